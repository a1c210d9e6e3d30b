//! The code of a run in a clean folder. The folder is a repository of its own that borrows objects from the one it came from: no
//! branch, index or work tree of the user is touched.

use std::fs;
use std::path::{Path, PathBuf};

use crate::manifest::{Code, Submodule};
use crate::program::{git, output, text};
use crate::{Error, Result};

/// Puts the code into a folder that does not exist yet. `near` is a folder that may lie in a clone, looked at when the repository
/// of the run is gone. `patch` is what the manifest calls the patch.
pub fn restore(code: &Code, patch: Option<&[u8]>, near: &Path, into: &Path) -> Result<()> {
    check_patch(code, patch)?;
    let source = source(code, near);
    fs::create_dir_all(into).map_err(Error::file("make", into))?;
    output(git(into).args(["init", "--quiet"]))?;
    match source {
        Some(repository) => borrow(&repository, into)?,
        None => fetch(code, into)?,
    }
    output(git(into).args(["checkout", "--quiet", "--detach", &code.commit]))?;
    if let Some(patch) = patch {
        let file = into.join(".git/rondo.patch");
        fs::write(&file, patch).map_err(Error::file("write", &file))?;
        output(git(into).args(["apply", "--index", "--binary", "--whitespace=nowarn"]).arg(&file)).map_err(
            |error| Error::Missing(format!("the patch does not fit the commit {:.12}: {error}", code.commit)),
        )?;
    }
    let tree = text(git(into).arg("write-tree"))?;
    if tree != code.tree {
        let message = format!("the restored code has the tree {tree:.12} and not {:.12}, which the run had", code.tree);
        return Err(Error::Missing(message));
    }
    for submodule in &code.submodules {
        restore_submodule(code, submodule, into)?;
    }
    Ok(())
}

fn check_patch(code: &Code, patch: Option<&[u8]>) -> Result<()> {
    let Some(expected) = &code.patch else { return Ok(()) };
    let Some(patch) = patch else { return Err(Error::Missing(format!("the patch {} is gone", expected.artifact))) };
    if kernel::digest::of(patch) == expected.digest {
        return Ok(());
    }
    Err(Error::Missing(format!("the patch {} is not the one that was recorded", expected.artifact)))
}

/// A repository of this machine that has the commit: the one of the run, or the one we are in.
fn source(code: &Code, near: &Path) -> Option<PathBuf> {
    let has = |dir: &Path| {
        dir.is_dir() && output(git(dir).args(["cat-file", "-e", &format!("{}^{{commit}}", code.commit)])).is_ok()
    };
    [Path::new(&code.root), near].into_iter().find(|dir| has(dir)).map(Path::to_owned)
}

/// Lets a new repository use the objects of another.
fn borrow(repository: &Path, into: &Path) -> Result<()> {
    let objects = text(git(repository).args(["rev-parse", "--path-format=absolute", "--git-path", "objects"]))?;
    let alternates = into.join(".git/objects/info/alternates");
    fs::write(&alternates, objects + "\n").map_err(Error::file("write", &alternates))
}

/// Gets the commit from where the repository was cloned.
fn fetch(code: &Code, into: &Path) -> Result<()> {
    let lost = |why: String| {
        Error::Missing(format!("the commit {:.12} is in no repository that we can reach: {why}", code.commit))
    };
    let Some(remote) = &code.remote else {
        return Err(lost(format!("it is not in {}, and that has no remote", code.root)));
    };
    // Most servers give a commit by its id; an old one gives what its branches hold.
    let by_id = output(git(into).args(["fetch", "--quiet", "--depth", "1", remote, &code.commit]));
    if by_id.is_err() {
        output(git(into).args(["fetch", "--quiet", remote, "+refs/heads/*:refs/rondo/*"]))
            .map_err(|error| lost(error.to_string()))?;
    }
    let there = output(git(into).args(["cat-file", "-e", &format!("{}^{{commit}}", code.commit)]));
    there.map(drop).map_err(|_| lost(format!("{remote} does not have it")))
}

fn restore_submodule(code: &Code, submodule: &Submodule, into: &Path) -> Result<()> {
    let place = into.join(&submodule.path);
    let original = Path::new(&code.root).join(&submodule.path);
    let own = Code {
        root: original.to_string_lossy().into_owned(),
        commit: submodule.commit.clone(),
        tree: String::new(),
        ..Code::default()
    };
    if source(&own, &original).is_some() {
        fs::create_dir_all(&place).map_err(Error::file("make", &place))?;
        output(git(&place).args(["init", "--quiet"]))?;
        borrow(&original, &place)?;
        output(git(&place).args(["checkout", "--quiet", "--detach", &submodule.commit]))?;
        return Ok(());
    }
    let update = output(git(into).args(["submodule", "update", "--init", "--"]).arg(&submodule.path));
    update
        .map(drop)
        .map_err(|error| Error::Missing(format!("the submodule `{}` cannot be had: {error}", submodule.path)))
}
