//! Development tasks, run as `cargo xtask TASK`.
//!
//! `cargo xtask test` is the one command that a fresh checkout needs: it installs what the tests use and runs every check, the
//! same on a laptop and in CI.

mod cache;
mod process;
mod report;
mod stage;
mod tidy;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

const USAGE: &str = "\
cargo xtask TASK

tasks:
  test                 install what the tests need and run every check
  test --stage NAME    only one stage, and what it needs; may be repeated
  tidy                 only the checks of the tree: floors, sizes, dependencies, documents

stages of test, in order: tools, fmt, tidy, clippy, rust, doc, clients

variables:
  RONDO_CACHE          where tools, Python environments and the build go [default: ~/.cache/rondo]
  CARGO_TARGET_DIR     where the build goes [default: RONDO_CACHE/target]
  RONDO_PG_BIN         the directory of PostgreSQL's `postgres` and `initdb` [default: looked for, then installed]
  RONDO_TEST_POSTGRES  the URL of a running PostgreSQL server to test on [default: tests start their own]
  RONDO_PROMTOOL       Prometheus' promtool [default: looked for, then installed]
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let root = root()?;
    match arguments {
        ["test", options @ ..] => stage::run(&root, &chosen(options)?),
        ["tidy"] => stage::tidy(&root),
        ["help" | "--help" | "-h"] => {
            report::text(USAGE);
            Ok(())
        }
        [] => bail!("which task?\n\n{USAGE}"),
        other => bail!("there is no task `{}`\n\n{USAGE}", other.join(" ")),
    }
}

fn chosen<'a>(options: &[&'a str]) -> anyhow::Result<Vec<&'a str>> {
    match options {
        [] => Ok(Vec::new()),
        ["--stage", name, rest @ ..] => {
            let mut names = chosen(rest)?;
            names.insert(0, name);
            Ok(names)
        }
        [other, ..] => bail!("`test` does not know `{other}`\n\n{USAGE}"),
    }
}

/// The root of the checkout.
fn root() -> anyhow::Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().map(Path::to_owned).context("xtask lies outside of a checkout")
}
