//! The private Python environment of the training scripts, made once.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use tokio::process::Command;

use super::house::{Folder, REQUIREMENTS};
use super::progress::{self, Step};
use crate::term::hinted;

/// Interpreters by preference, and the versions for which everything in `requirements.txt` has wheels.
const NAMES: [&str; 7] = ["python3", "python3.13", "python3.12", "python3.11", "python3.10", "python3.14", "python"];
const VERSIONS: std::ops::RangeInclusive<u32> = 10..=14;

/// Makes the environment unless it is there with these very requirements.
pub(super) async fn provide(folder: &Folder) -> anyhow::Result<()> {
    let step = progress::step("python");
    let ready = folder.venv().join("ready");
    let wanted = kernel::digest::of(REQUIREMENTS.as_bytes());
    if std::fs::read_to_string(&ready).is_ok_and(|there| there == wanted) {
        step.done("environment is there");
        return Ok(());
    }
    let (python, version) = interpreter().await?;
    let log = folder.python_log();
    let venv = folder.venv();
    step.note(format!("making an environment with {python} (3.{version})"));
    run(&log, Command::new(&python).args(["-m", "venv", "--clear"]).arg(&venv)).await.map_err(|error| {
        hinted(
            format!("{python} cannot make an environment: {error:#}"),
            "on Debian and Ubuntu: apt-get install python3-venv",
        )
    })?;
    let inside = venv.join("bin/python");
    step.note("installing uv");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"];
    network(run(&log, Command::new(&inside).args(pip)).await, &log)?;
    step.note("installing scikit-learn, mlflow and the flights");
    install(&log, &venv, folder).await?;
    warm(&log, &inside, &step).await?;
    std::fs::write(&ready, wanted).with_context(|| format!("{} cannot be written", ready.display()))?;
    step.done(format!("private environment with Python 3.{version}"));
    Ok(())
}

async fn install(log: &Path, venv: &Path, folder: &Folder) -> anyhow::Result<()> {
    let mut uv = Command::new(venv.join("bin/uv"));
    uv.args(["pip", "install", "--quiet", "--python"]).arg(venv.join("bin/python"));
    uv.arg("-r").arg(folder.demo().join("requirements.txt"));
    network(run(log, &mut uv).await, log)
}

/// The first import of a fresh environment compiles it; better here, beside nothing else, than in the first training.
async fn warm(log: &Path, python: &Path, step: &Step) -> anyhow::Result<()> {
    step.note("first import");
    let program = "import mlflow.sklearn, mlflow.data, sklearn.ensemble, sklearn.compose, pandas";
    run(log, Command::new(python).args(["-c", program])).await
}

fn network(outcome: anyhow::Result<()>, log: &Path) -> anyhow::Result<()> {
    outcome.map_err(|error| {
        hinted(
            format!("the packages of the demo cannot be installed: {error:#}"),
            format!("is there a network? the whole output is in {}", log.display()),
        )
    })
}

/// The first interpreter that is new enough, with the minor version.
async fn interpreter() -> anyhow::Result<(String, u32)> {
    let mut found = Vec::new();
    for name in NAMES {
        let program = "import sys; print(sys.version_info[1] if sys.version_info[0] == 3 else 0)";
        let output = Command::new(name).args(["-c", program]).stdin(Stdio::null()).output().await;
        let Some(output) = output.ok().filter(|output| output.status.success()) else { continue };
        let Ok(minor) = String::from_utf8_lossy(&output.stdout).trim().parse::<u32>() else { continue };
        if VERSIONS.contains(&minor) {
            return Ok((name.to_owned(), minor));
        }
        found.push(format!("{name} is 3.{minor}"));
    }
    let found = if found.is_empty() { "none was found".to_owned() } else { found.join(", ") };
    Err(hinted(
        format!("the demo trains with Python 3.10 to 3.14, and {found}"),
        "install one and put it on the PATH; the server itself needs none",
    ))
}

/// Runs a program with its output in the log; the error is the last line it wrote.
async fn run(log: &Path, command: &mut Command) -> anyhow::Result<()> {
    let file = File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("{} cannot be written", log.display()))?;
    let program = PathBuf::from(command.as_std().get_program());
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
    let status = command.status().await.with_context(|| format!("{} cannot be run", program.display()))?;
    if status.success() {
        return Ok(());
    }
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it wrote nothing").trim();
    Err(anyhow::anyhow!("{last}"))
}
