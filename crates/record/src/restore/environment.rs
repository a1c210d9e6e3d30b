//! The Python environment of a run, built by `uv` and kept under the digest of its packages, so that it is built once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::capture::{is_uv_run, probe};
use crate::manifest::{Environment, Manifest};
use crate::program::{self, output};
use crate::{Error, Result};

/// How faithful an environment must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The same interpreter version and the same version of every package.
    #[default]
    Exact,
    /// The same packages, in whatever versions are current.
    Relock,
}

/// An environment that is ready.
#[derive(Clone, Debug)]
pub struct Built {
    /// The folder with `bin/python`.
    pub home: PathBuf,
    /// The interpreter.
    pub interpreter: PathBuf,
    /// What was done, for people.
    pub note: String,
}

/// Builds the environment, or finds it built. `root` is the restored code. When `uv` cannot build it, the interpreter of the run
/// serves if it still has exactly the packages that it had.
pub fn restore(wanted: &Environment, root: &Path, original_root: &Path, cache: &Path, kind: Kind) -> Result<Built> {
    let failed = match build(wanted, root, original_root, cache, kind) {
        Ok(built) => return Ok(built),
        Err(error) => error,
    };
    let original = PathBuf::from(&wanted.interpreter);
    let same = kind == Kind::Exact
        && wanted.local.is_empty()
        && probe(&original, root).is_ok_and(|found| found.digest == wanted.digest);
    if same {
        let home = original.parent().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned();
        let note = format!("the interpreter of the run, whose packages have not changed (building failed: {failed})");
        return Ok(Built { home, interpreter: original, note });
    }
    Err(Error::Missing(format!("the environment cannot be built: {failed}")))
}

fn build(wanted: &Environment, root: &Path, original_root: &Path, cache: &Path, kind: Kind) -> Result<Built> {
    let uv = find_uv(wanted)
        .ok_or_else(|| Error::Missing("there is no `uv`: install it, or put it on the PATH".to_owned()))?;
    let mut key = kernel::digest::Builder::default();
    key.piece(wanted.digest.as_bytes()).piece(if kind == Kind::Exact { b"exact" } else { b"relock" });
    // A package that is part of the code makes the environment one of that code.
    if !wanted.local.is_empty() || kind == Kind::Relock {
        key.piece(root.as_os_str().as_encoded_bytes());
    }
    let home = cache.join(format!("{:.24}", key.finish()));
    let interpreter = home.join("bin/python");
    fs::create_dir_all(cache).map_err(Error::file("make", cache))?;
    // One at a time builds it; the others find it.
    let lock = cache.join(format!("{:.24}.lock", key.finish()));
    let held = File::create(&lock).map_err(Error::file("make", &lock))?;
    held.lock().map_err(Error::file("lock", &lock))?;
    let complete = home.join("rondo-complete");
    if complete.exists() && probe(&interpreter, root).is_ok_and(|found| kind == Kind::Relock || same(&found, wanted)) {
        return Ok(Built { home, interpreter, note: "built before, from the same packages".to_owned() });
    }
    if home.exists() {
        fs::remove_dir_all(&home).map_err(Error::file("remove", &home))?;
    }
    venv(&uv, wanted, &home)?;
    install(&uv, wanted, root, original_root, &interpreter, kind)?;
    let found = probe(&interpreter, root)?;
    if kind == Kind::Exact
        && let Some(other) = difference(&found, wanted)
    {
        return Err(Error::Missing(other));
    }
    fs::write(&complete, "").map_err(Error::file("write", &complete))?;
    let what = if kind == Kind::Exact { "exactly the packages of the run" } else { "the same packages, resolved anew" };
    Ok(Built { home, interpreter, note: format!("built by uv with {what}") })
}

/// `uv` beside the interpreter of the run, or on the path.
fn find_uv(wanted: &Environment) -> Option<PathBuf> {
    let beside = Path::new(&wanted.interpreter).with_file_name("uv");
    Some(beside).filter(|path| path.is_file()).or_else(|| program::find("uv"))
}

/// An empty environment with the version of the interpreter: the very one of the run, if it is still there.
fn venv(uv: &Path, wanted: &Environment, home: &Path) -> Result<()> {
    let create = |python: &str| {
        let mut create = Command::new(uv);
        create.args(["venv", "--quiet", "--no-project", "--python", python]).arg(home);
        output(&mut create).map(drop)
    };
    let original = probe_version(Path::new(&wanted.interpreter));
    if original.as_deref() == Some(&wanted.version) && create(&wanted.interpreter).is_ok() {
        return Ok(());
    }
    create(&wanted.version)
}

fn probe_version(interpreter: &Path) -> Option<String> {
    let mut ask = Command::new(interpreter);
    program::text(ask.args(["-c", "import platform; print(platform.python_version())"])).ok()
}

/// Installs what is recorded, from uv's cache if that has everything, so that no network is needed.
fn install(
    uv: &Path,
    wanted: &Environment,
    root: &Path,
    original_root: &Path,
    interpreter: &Path,
    kind: Kind,
) -> Result<()> {
    let list = interpreter.with_file_name("rondo-requirements.txt");
    let name = |line: &String| line.split(['=', ' ']).next().unwrap_or_default().to_owned();
    let lines: Vec<String> = match kind {
        Kind::Exact => wanted.requirements.clone(),
        Kind::Relock => wanted.requirements.iter().map(name).collect(),
    };
    fs::write(&list, lines.join("\n")).map_err(Error::file("write", &list))?;
    let install = |arguments: &[&str], offline: bool| {
        let mut install = Command::new(uv);
        install.args(["pip", "install", "--quiet", "--python"]).arg(interpreter).args(arguments).current_dir(root);
        if offline {
            install.arg("--offline");
        }
        output(&mut install).map(drop)
    };
    let list = list.to_string_lossy();
    let mut arguments = vec!["--requirement", &*list];
    if kind == Kind::Exact {
        arguments.push("--no-deps");
    }
    if !lines.is_empty() && (kind == Kind::Relock || install(&arguments, true).is_err()) {
        install(&arguments, false)?;
    }
    for (name, folder) in &wanted.local {
        let within = Path::new(folder).strip_prefix(original_root);
        let folder = within.map_or_else(|_| PathBuf::from(folder), |below| root.join(below));
        if !folder.exists() {
            return Err(Error::Missing(format!(
                "the package `{name}` was the folder {}, which is gone",
                folder.display()
            )));
        }
        let folder = folder.to_string_lossy();
        let arguments = ["--no-deps", "--editable", &*folder];
        if install(&arguments, true).is_err() {
            install(&arguments, false)?;
        }
    }
    Ok(())
}

fn same(found: &Environment, wanted: &Environment) -> bool {
    difference(found, wanted).is_none()
}

/// The first thing in which two environments differ.
fn difference(found: &Environment, wanted: &Environment) -> Option<String> {
    if found.version != wanted.version {
        return Some(format!("Python {} and not {}, which the run had", found.version, wanted.version));
    }
    if found.platform != wanted.platform {
        return Some(format!("the platform {} and not {}, which the run had", found.platform, wanted.platform));
    }
    let lacking = wanted.requirements.iter().find(|line| !found.requirements.contains(line));
    lacking.map(|line| format!("the package `{line}` is not in what was built"))
}

/// The command of a run with its paths in the restored code and its program in the built environment.
pub fn command(manifest: &Manifest, built: Option<&Built>, root: &Path) -> Vec<String> {
    let original_root = manifest.code.as_ref().map(|code| code.root.clone()).filter(|root| !root.is_empty());
    let moved = |word: &String| match &original_root {
        Some(original) => word.replace(original.as_str(), &root.to_string_lossy()),
        None => word.clone(),
    };
    let argv = &manifest.command.argv;
    let mut moved: Vec<String> = argv.iter().map(moved).collect();
    if let (Some(built), Some(program), false) = (built, argv.first(), is_uv_run(argv)) {
        let name = Path::new(program).file_name().unwrap_or_default();
        let own = built.home.join("bin").join(name);
        let environment = manifest.environment.as_ref();
        let is_interpreter = crate::capture::interpreter(program, Path::new("/"))
            .is_some_and(|path| path.file_name() == Some(name))
            || environment.is_some_and(|environment| Path::new(&environment.interpreter).file_name() == Some(name));
        if own.exists() {
            moved[0] = own.to_string_lossy().into_owned();
        } else if is_interpreter {
            moved[0] = built.interpreter.to_string_lossy().into_owned();
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;

    #[test]
    fn a_command_moves_to_the_restored_code() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::write(bin.join("python3"), "").unwrap();
        let built = Built { home: dir.path().to_owned(), interpreter: bin.join("python3"), note: String::new() };
        let check = |argv: &[&str], expect: &[&str]| {
            let argv = argv.iter().map(|word| (*word).to_owned()).collect();
            let manifest = Manifest {
                code: Some(manifest::Code { root: "/old/code".to_owned(), ..manifest::Code::default() }),
                command: manifest::Command { argv, directory: String::new() },
                environment: Some(Environment {
                    interpreter: "/v/bin/python3.12".to_owned(),
                    ..Environment::default()
                }),
                ..Manifest::default()
            };
            assert_eq!(command(&manifest, Some(&built), Path::new("/new")), expect);
        };
        let own = bin.join("python3");
        let own = own.to_string_lossy();
        check(&["/old/code/.venv/bin/python3", "train.py"], &[&own, "train.py"]);
        check(&["python3.12", "/old/code/train.py", "--out=/old/code/o"], &[&own, "/new/train.py", "--out=/new/o"]);
        check(&["./run.sh"], &["./run.sh"]);
        check(&["uv", "run", "python3", "a.py"], &["uv", "run", "python3", "a.py"]);
    }
}
