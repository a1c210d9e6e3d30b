//! Running other programs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::cache;

/// Runs a program with its output on the terminal; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if status.success() { Ok(()) } else { bail!("`{shown}` failed ({status})") }
}

/// Runs a program and returns what it wrote to standard output; what it wrote to standard error is part of the failure.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    bail!("`{shown}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
}

/// Cargo, with the build in the cache and the installed tools in reach.
pub(crate) fn cargo(root: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).env("CARGO_TARGET_DIR", cache::target()?).env("PATH", path()?);
    if in_ci() {
        // A clean checkout gains nothing from it, and it doubles the size of our own crates.
        command.env("CARGO_INCREMENTAL", "0");
    }
    Ok(command)
}

/// True on a CI machine.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// The program of a name in the directories of `PATH` and among the installed tools.
pub(crate) fn find(program: &str) -> anyhow::Result<Option<PathBuf>> {
    let path = path()?;
    Ok(std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file()))
}

fn path() -> anyhow::Result<OsString> {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let directories = [cache::tools()?.join("cargo/bin")].into_iter().chain(std::env::split_paths(&old));
    std::env::join_paths(directories).context("PATH cannot be extended")
}

fn shown(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
