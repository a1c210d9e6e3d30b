//! What a step depends on, as one digest: its command, the content of its `deps`, its parameters, its environment and what the
//! steps before it made. Same digest, same outputs on disk: nothing to do.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use kernel::digest;

use crate::definition::{Command, Step};
use crate::run::Run;

/// Changed when the meaning of the digest changes, so that nothing is skipped by mistake.
const FORM: &[u8] = b"rondo step 1";

/// The digest of everything a step depends on. `before` holds the result of each step that it waits for. A dependency that
/// does not exist is an error for people. Blocking.
pub(crate) fn of(step: &Step, run: &Run, before: &BTreeMap<String, String>) -> Result<String, String> {
    let mut key = digest::Builder::default();
    key.piece(FORM);
    match &step.run {
        Command::Shell(line) => key.piece(b"shell").piece(line.as_bytes()),
        Command::Words(words) => words.iter().fold(key.piece(b"words"), |key, word| key.piece(word.as_bytes())),
    };
    key.piece(b"venv").piece(step.venv.as_deref().unwrap_or_default().as_bytes());
    for (group, values) in [("params", params(step, run)), ("env", env(step, run)), ("before", before.clone())] {
        key.piece(group.as_bytes()).piece(&(values.len() as u64).to_le_bytes());
        for (name, value) in &values {
            key.piece(name.as_bytes()).piece(value.as_bytes());
        }
    }
    key.piece(b"inherit");
    for name in &step.inherit {
        key.piece(name.as_bytes());
    }
    key.piece(b"deps");
    for (path, content) in contents(Path::new(&run.dir), &step.deps)? {
        let content =
            content.ok_or_else(|| format!("`{path}` is not there: no step makes it, and it is not in the folder"))?;
        key.piece(path.as_bytes()).piece(content.as_bytes());
    }
    key.piece(b"outs");
    for path in &step.outs {
        key.piece(path.as_bytes());
    }
    Ok(key.finish())
}

/// The values of a step's parameters in a run.
pub(crate) fn params(step: &Step, run: &Run) -> BTreeMap<String, String> {
    let given = |name: &String, value: &String| run.params.get(name).unwrap_or(value).clone();
    step.params.iter().map(|(name, value)| (name.clone(), given(name, value))).collect()
}

/// The variables that the definition and the run set; the run's win.
pub(crate) fn env(step: &Step, run: &Run) -> BTreeMap<String, String> {
    step.env.iter().chain(&run.env).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The digest of each path; `None` for one that is not there. Blocking.
pub(crate) fn contents(dir: &Path, paths: &[String]) -> Result<BTreeMap<String, Option<String>>, String> {
    let one = |path: &String| match digest::of_path(&dir.join(path)) {
        Ok(digest) => Ok((path.clone(), Some(digest))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((path.clone(), None)),
        Err(error) => Err(format!("`{path}` cannot be read: {error}")),
    };
    paths.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_folder_covers_names_and_contents() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir_all(data.join("sub")).unwrap();
        std::fs::write(data.join("sub/a"), "1").unwrap();
        let of_data = || digest::of_path(&data).unwrap();
        let first = of_data();
        assert_eq!(first, of_data());
        std::fs::write(data.join("sub/a"), "2").unwrap();
        let changed = of_data();
        assert_ne!(first, changed);
        std::fs::rename(data.join("sub/a"), data.join("sub/b")).unwrap();
        assert_ne!(changed, of_data());
        std::os::unix::fs::symlink(".", data.join("circle")).unwrap();
        of_data();
    }

    #[test]
    fn a_path_that_is_not_there_has_no_digest() {
        let dir = tempfile::tempdir().unwrap();
        let all = contents(dir.path(), &["x".to_owned()]).unwrap();
        assert_eq!(all, BTreeMap::from([("x".to_owned(), None)]));
    }
}
