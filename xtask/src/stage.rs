//! The stages of `cargo xtask test`, cheapest first.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};

use crate::{cache, process, report, tidy, tools};

/// The Python clients, each at the version that the tests were written against.
const REQUIREMENTS: &str = "tests/clients/requirements.txt";

/// What the clients do on PostgreSQL as well; the rest of the tests touches the database in no other way.
const ON_POSTGRES: [&str; 6] = [
    "tests/clients/test_tracking.py",
    "tests/clients/test_registry.py",
    "tests/clients/test_loop.py",
    "tests/clients/test_growing.py",
    "tests/clients/test_import.py",
    "tests/clients/test_import_logs.py",
];

type Stage = fn(&Path) -> anyhow::Result<()>;

const STAGES: &[(&str, Stage)] = &[
    ("tools", tools),
    ("fmt", fmt),
    ("tidy", tidy),
    ("clippy", clippy),
    ("rust", rust),
    ("doc", doc),
    ("clients", clients),
];

/// Runs the chosen stages, or all of them.
pub(crate) fn run(root: &Path, chosen: &[&str]) -> anyhow::Result<()> {
    for name in chosen {
        if !STAGES.iter().any(|(have, _)| have == name) {
            let names: Vec<&str> = STAGES.iter().map(|(name, _)| *name).collect();
            bail!("there is no stage `{name}`: the stages are {}", names.join(", "));
        }
    }
    let start = Instant::now();
    let _ours = cache::take_build(root, || remove_own_crates(root))?;
    for (name, stage) in STAGES.iter().filter(|(name, _)| chosen.is_empty() || chosen.contains(name)) {
        report::stage(name, start.elapsed());
        stage(root)
            .with_context(|| format!("stage {name} failed; run it alone with `cargo xtask test --stage {name}`"))?;
    }
    report::stage("all stages passed", start.elapsed());
    Ok(())
}

fn remove_own_crates(root: &Path) -> anyhow::Result<()> {
    process::output(process::cargo(root)?.args(["clean", "--quiet", "--workspace"])).map(drop)
}

/// The checks of the tree.
pub(crate) fn tidy(root: &Path) -> anyhow::Result<()> {
    let findings = tidy::check(root)?;
    for finding in &findings {
        report::text(finding);
    }
    ensure!(findings.is_empty(), "{} things are not tidy", findings.len());
    Ok(())
}

/// Installs what the later stages use, so that a machine that lacks something says so at once.
fn tools(root: &Path) -> anyhow::Result<()> {
    tools::component(root, "fmt")?;
    tools::component(root, "clippy")?;
    tools::nextest(root)?;
    tools::postgres()?;
    tools::promtool()?;
    tools::python(&root.join(REQUIREMENTS))?;
    Ok(())
}

fn fmt(root: &Path) -> anyhow::Result<()> {
    process::run(process::cargo(root)?.args(["fmt", "--all", "--check"])).context("run `cargo fmt --all`")
}

fn clippy(root: &Path) -> anyhow::Result<()> {
    let arguments = ["clippy", "--quiet", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    process::run(process::cargo(root)?.args(arguments))
}

fn rust(root: &Path) -> anyhow::Result<()> {
    tools::nextest(root)?;
    let mut nextest = process::cargo(root)?;
    nextest.args(["nextest", "run", "--locked", "--workspace"]).env("RONDO_PROMTOOL", tools::promtool()?);
    if let Some(programs) = tools::postgres()? {
        nextest.env("RONDO_PG_BIN", programs);
    }
    process::run(&mut nextest)
}

fn doc(root: &Path) -> anyhow::Result<()> {
    process::run(process::cargo(root)?.args(["test", "--quiet", "--locked", "--workspace", "--doc"]))
}

/// Real clients against the development binary, on both engines.
fn clients(root: &Path) -> anyhow::Result<()> {
    let python = tools::python(&root.join(REQUIREMENTS))?;
    process::run(process::cargo(root)?.args(["build", "--quiet", "--locked", "--package", "rondo"]))?;
    let programs = tools::postgres()?;
    let runs: [(&str, &[&str]); 2] = [("", &["tests/clients"]), ("postgres", &ON_POSTGRES)];
    for (database, tests) in runs {
        let mut pytest = Command::new(&python);
        pytest.args(["-m", "pytest", "-p", "no:cacheprovider"]).args(tests).current_dir(root);
        pytest.env("RONDO_BIN", cache::target()?.join("debug/rondo")).env("RONDO_PROMTOOL", tools::promtool()?);
        pytest.env("PYTHONDONTWRITEBYTECODE", "1").env("RONDO_CLIENTS_DATABASE", database);
        if let Some(programs) = &programs {
            pytest.env("RONDO_PG_BIN", programs);
        }
        process::run(&mut pytest)?;
    }
    Ok(())
}
