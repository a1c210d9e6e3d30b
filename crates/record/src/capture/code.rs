//! The state of a Git repository: the commit, and what differs from it as one patch and one tree.
//!
//! Changes and new files go through an index and an object folder of our own, so that the user's repository is not touched: no
//! lock, no staged file, no loose object. The id of the tree that comes out names the whole state.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::within;
use crate::manifest::{Code, Data, Submodule};
use crate::program::{git, output, text};
use crate::{Error, Result};

/// What a repository looks like.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Its state; none outside of a repository, or in one without a commit.
    pub code: Option<Code>,
    /// What differs from the commit.
    pub patch: Vec<u8>,
    /// What is not in the patch and would be needed.
    pub gaps: Vec<String>,
}

/// What `git status` says.
#[derive(Debug, Default)]
struct Status {
    commit: String,
    branch: Option<String>,
    changed: bool,
    untracked: Vec<String>,
    dirty_submodules: Vec<String>,
}

/// Looks at the repository around a folder. Declared data that lies in it is not code: it is not in the patch.
pub(super) fn capture(dir: &Path, data: &[Data], limit: u64) -> Result<Snapshot> {
    let gap = |text: &str| Ok(Snapshot { gaps: vec![text.to_owned()], ..Snapshot::default() });
    let mut ask = git(dir);
    let Ok(answer) = text(ask.args(["rev-parse", "--show-toplevel", "--git-path", "index", "--git-path", "objects"]))
    else {
        return gap("the folder is in no Git repository, so there is no code to go back to");
    };
    let mut lines = answer.lines();
    let mut next = || lines.next().map(|line| dir.join(line)).unwrap_or_default();
    let (root, index, objects) = (next(), next(), next());
    let mut ask = git(&root);
    let status =
        read_status(&output(ask.args(["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all"]))?);
    if status.commit.is_empty() || status.commit == "(initial)" {
        return gap("the repository has no commit yet, so there is no code to go back to");
    }
    let mut snapshot = Snapshot::default();
    let (kept, excluded) = choose(&root, &status, data, limit, &mut snapshot.gaps);
    for path in &status.dirty_submodules {
        snapshot.gaps.push(format!("the submodule `{path}` has changes that no commit of it holds"));
    }
    let mut code = Code {
        root: root.to_string_lossy().into_owned(),
        remote: remote(&root),
        branch: status.branch.clone(),
        submodules: submodules(&root)?,
        dirty: status.changed || !kept.is_empty(),
        untracked: kept,
        ..Code::default()
    };
    if code.dirty {
        (code.tree, snapshot.patch) = difference(&root, &index, &objects, &code.untracked, &excluded)?;
    } else {
        code.tree = text(git(&root).args(["rev-parse", "HEAD^{tree}"]))?;
    }
    code.commit = status.commit;
    snapshot.code = Some(code);
    Ok(snapshot)
}

/// New files that are kept, and tracked data that is left out.
fn choose(
    root: &Path,
    status: &Status,
    data: &[Data],
    limit: u64,
    gaps: &mut Vec<String>,
) -> (Vec<String>, Vec<String>) {
    let inside: Vec<&Data> = data.iter().filter(|data| within(data, root)).collect();
    let is_data = |path: &Path| inside.iter().any(|data| path.starts_with(&data.location));
    let mut kept = Vec::new();
    let mut largest = (0, "");
    let mut total = 0;
    for name in &status.untracked {
        let path = root.join(name);
        if is_data(&path) {
            continue;
        }
        if name.ends_with('/') {
            gaps.push(format!("`{name}` is a repository of its own that is no submodule"));
            continue;
        }
        let size = fs::symlink_metadata(&path).map_or(0, |meta| meta.len());
        total += size;
        if size >= largest.0 {
            largest = (size, name);
        }
        kept.push(name.clone());
    }
    if total > limit {
        gaps.push(format!(
            "new files of {total} bytes are more than the {limit} that are kept (the largest is `{}`): commit, ignore or \
             declare them with --data",
            largest.1
        ));
        kept.clear();
    }
    let relative = |data: &&Data| {
        Path::new(&data.location).strip_prefix(root).ok().map(|path| path.to_string_lossy().into_owned())
    };
    let excluded = inside.iter().filter_map(relative).filter(|path| !path.is_empty()).collect();
    (kept, excluded)
}

/// The tree of the folder, and its difference from the commit.
fn difference(
    root: &Path,
    index: &Path,
    objects: &Path,
    kept: &[String],
    excluded: &[String],
) -> Result<(String, Vec<u8>)> {
    let own = tempfile::tempdir().map_err(Error::file("make a folder in", std::env::temp_dir()))?;
    let own_index = own.path().join("index");
    // A copy knows which files have not changed; without one every file would be read.
    fs::copy(index, &own_index).map_err(Error::file("copy", index))?;
    let own_objects = own.path().join("objects");
    fs::create_dir(&own_objects).map_err(Error::file("make", &own_objects))?;
    let mut alternates = OsString::from(objects);
    if let Some(more) = std::env::var_os("GIT_ALTERNATE_OBJECT_DIRECTORIES") {
        alternates.push(":");
        alternates.push(more);
    }
    let own_git = || {
        let mut git = git(root);
        git.env("GIT_INDEX_FILE", &own_index).env("GIT_OBJECT_DIRECTORY", &own_objects);
        git.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &alternates);
        git
    };
    let mut update = own_git();
    update.args(["add", "--update", "--", ":/"]);
    update.args(excluded.iter().map(|path| format!(":(top,exclude,literal){path}")));
    output(&mut update)?;
    if !kept.is_empty() {
        let list = own.path().join("list");
        fs::write(&list, kept.join("\0")).map_err(Error::file("write", &list))?;
        let mut add = own_git();
        add.arg("--literal-pathspecs").args(["add", "--pathspec-file-nul", "--pathspec-from-file"]).arg(&list);
        output(&mut add)?;
    }
    let tree = text(own_git().arg("write-tree"))?;
    let mut diff = own_git();
    diff.args([
        "diff",
        "--cached",
        "--binary",
        "--full-index",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--no-renames",
    ]);
    Ok((tree, output(diff.arg("HEAD"))?))
}

fn read_status(answer: &[u8]) -> Status {
    let answer = String::from_utf8_lossy(answer);
    let mut status = Status::default();
    let mut entries = answer.split('\0');
    while let Some(entry) = entries.next() {
        let (kind, rest) = entry.split_once(' ').unwrap_or((entry, ""));
        match kind {
            "#" => {
                if let Some(commit) = rest.strip_prefix("branch.oid ") {
                    commit.clone_into(&mut status.commit);
                } else if let Some(branch) = rest.strip_prefix("branch.head ") {
                    status.branch = Some(branch.to_owned()).filter(|branch| branch != "(detached)");
                }
            }
            "?" => status.untracked.push(rest.to_owned()),
            "1" | "2" | "u" => {
                status.changed = true;
                let submodule = rest.split(' ').nth(1).unwrap_or_default();
                if submodule.starts_with('S') && submodule[2..].chars().any(|state| state != '.') {
                    let skipped = if kind == "1" { 7 } else { 8 };
                    status.dirty_submodules.extend(rest.splitn(skipped + 1, ' ').nth(skipped).map(str::to_owned));
                }
                // The old name of a renamed file is an entry of its own.
                if kind == "2" {
                    entries.next();
                }
            }
            _ => {}
        }
    }
    status
}

fn submodules(root: &Path) -> Result<Vec<Submodule>> {
    if !root.join(".gitmodules").exists() {
        return Ok(Vec::new());
    }
    let answer = output(git(root).args(["submodule", "status", "--recursive"]))?;
    let one = |line: &str| {
        let (commit, rest) = line.get(1..)?.split_once(' ')?;
        // A description of the commit in parentheses follows where there is one.
        let path = rest.rsplit_once(" (").map_or(rest, |(path, _)| path);
        let there = !line.starts_with('-');
        there.then(|| Submodule { path: path.to_owned(), commit: commit.to_owned() })
    };
    Ok(String::from_utf8_lossy(&answer).lines().filter_map(one).collect())
}

/// The address of `origin`, or of the first remote.
fn remote(root: &Path) -> Option<String> {
    let answer = text(git(root).args(["config", "--get-regexp", r"^remote\..*\.url$"])).ok()?;
    let origin = answer.lines().find(|line| line.starts_with("remote.origin.url "));
    let (_, address) = origin.or_else(|| answer.lines().next())?.split_once(' ')?;
    Some(without_credentials(address))
}

/// An address without the user and password in it. The user of an SSH address is part of the address.
pub(super) fn without_credentials(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let kept = match host.rsplit_once('@') {
        Some((user, host)) if scheme == "ssh" => format!("{}@{host}", user.split(':').next().unwrap_or_default()),
        Some((_, host)) => host.to_owned(),
        None => host.to_owned(),
    };
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    format!("{scheme}://{kept}{path}")
}

/// Absolute and without links, as Git writes its root.
pub(super) fn settled(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_do_not_leave_the_machine() {
        let check = |address: &str, expect: &str| assert_eq!(without_credentials(address), expect);
        check("https://me:secret@host/a.git", "https://host/a.git");
        check("https://token@host:8080/a@b.git", "https://host:8080/a@b.git");
        check("ssh://git:pass@host/a.git", "ssh://git@host/a.git");
        check("git@host:a.git", "git@host:a.git");
        check("/srv/a.git", "/srv/a.git");
    }

    #[test]
    fn a_status_is_read() {
        let answer = "# branch.oid abc\0# branch.head main\x001 .M N... 100644 100644 100644 1 2 a b.py\0\
                      2 R. N... 100644 100644 100644 1 2 R100 new\0old\0\
                      1 .M S.M. 160000 160000 160000 1 2 lib one\0? new file\0! ignored\0";
        let status = read_status(answer.as_bytes());
        assert_eq!((status.commit.as_str(), status.branch.as_deref(), status.changed), ("abc", Some("main"), true));
        assert_eq!(status.untracked, ["new file"]);
        assert_eq!(status.dirty_submodules, ["lib one"]);
    }
}
