//! Where things go that outlive a checkout: tools, Python environments, the build.

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::Context as _;

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
