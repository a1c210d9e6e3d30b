//! Where things go that outlive a checkout: tools, Python environments, the build.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::report;

/// `$RONDO_CACHE`, else `~/.cache/rondo`.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let given = std::env::var_os("RONDO_CACHE").filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/rondo"));
    given.or_else(home).context("neither RONDO_CACHE nor HOME is set: say where tools and the build may be kept")
}

/// Installed tools.
pub(crate) fn tools() -> anyhow::Result<PathBuf> {
    Ok(root()?.join("tools"))
}

/// The build: `$CARGO_TARGET_DIR`, else in the cache, so that a new checkout finds its dependencies compiled.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
        Some(given) => Ok(PathBuf::from(given)),
        None => Ok(root()?.join("target")),
    }
}

/// Holds other runs back while this one installs something. Let go when the file is dropped.
pub(crate) fn lock() -> anyhow::Result<File> {
    let directory = root()?;
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let file = File::create(directory.join("lock")).context("cannot make the lock of the cache")?;
    file.lock().context("cannot lock the cache")?;
    Ok(file)
}

/// Takes the build for one checkout until the file is dropped.
///
/// Cargo names what it builds by the paths inside of a checkout, and calls it fresh if it is younger than the sources: of two
/// checkouts that share a build, one would be given the other's crates. So the build remembers whose our own crates are, and they
/// are removed when another checkout comes. The dependencies stay.
pub(crate) fn take_build(root: &Path, remove_own: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<File> {
    let target = target()?;
    fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
    let mut options = OpenOptions::new();
    let mut owner = options.read(true).write(true).create(true).truncate(false).open(target.join("checkout.lock"))?;
    if owner.try_lock().is_err() {
        report::note("another checkout uses the build; waiting for it");
        owner.lock().context("cannot lock the build")?;
    }
    let mut last = String::new();
    owner.read_to_string(&mut last)?;
    let own = root.display().to_string();
    if last != own {
        remove_own()?;
        owner.set_len(0)?;
        owner.rewind()?;
        owner.write_all(own.as_bytes())?;
    }
    Ok(owner)
}
