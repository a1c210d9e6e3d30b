//! Models from `tests/models`, and a fleet that logs to a temporary directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use inference::{Model, Package};
use kernel::clock::Clock;
use serving::{Fleet, Loaded, Options};
use tempfile::TempDir;

pub(crate) fn model_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name)
}

pub(crate) fn model(name: &str) -> anyhow::Result<Arc<Model>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(model_dir(name))? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if file != "expected.json" {
            files.push((file, std::fs::read(entry.path())?));
        }
    }
    inference::load(&Package::new(files)).map(Arc::new).with_context(|| format!("loading {name}"))
}

pub(crate) fn loaded(name: &str, version: &str) -> anyhow::Result<Loaded> {
    Ok(Loaded { model_name: "toy".to_owned(), version: version.to_owned(), model: model(name)? })
}

/// A fleet and what it stands on.
pub(crate) struct Ground {
    pub(crate) fleet: Fleet,
    pub(crate) log: telemetry::Log,
    pub(crate) directory: TempDir,
}

pub(crate) fn ground(options: Options) -> anyhow::Result<Ground> {
    ground_with(options, telemetry::Options::default())
}

pub(crate) fn ground_with(options: Options, log_options: telemetry::Options) -> anyhow::Result<Ground> {
    let directory = tempfile::tempdir()?;
    let blob = blob::Blob::open(&directory.path().join("blob").to_string_lossy())?;
    let log = telemetry::Log::open(&directory.path().join("log"), blob, Clock::system(), log_options)?;
    let fleet = Fleet::new(log.clone(), Clock::system(), options);
    Ok(Ground { fleet, log, directory })
}
