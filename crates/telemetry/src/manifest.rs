//! The manifest: which segments are Parquet, in which objects. A file of frames, one a segment, each fsynced.
//!
//! An object that no entry names does not exist for readers: a conversion that a crash interrupted is done again under the same
//! names, and then entered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::framing::{self, Next};
use crate::wal::{io_error, read_file};
use crate::{Counts, Error};

/// A Parquet object of predictions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PredictionFile {
    pub(crate) path: String,
    pub(crate) deployment: Arc<str>,
    pub(crate) model: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) rows: u64,
    pub(crate) min_event_us: i64,
    pub(crate) max_event_us: i64,
}

/// A Parquet object of outcomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OutcomeFile {
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) min_observed_us: i64,
    pub(crate) max_observed_us: i64,
}

/// One segment that has become Parquet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Converted {
    pub(crate) segment: u64,
    pub(crate) predictions: Vec<Arc<PredictionFile>>,
    pub(crate) outcomes: Vec<Arc<OutcomeFile>>,
    /// What the segment added to the counts of each deployment.
    pub(crate) counts: BTreeMap<String, Counts>,
}

/// The manifest file.
#[derive(Debug)]
pub(crate) struct Manifest {
    path: PathBuf,
    file: File,
}

/// All objects that readers see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub(crate) segments: BTreeSet<u64>,
    pub(crate) predictions: BTreeMap<Arc<str>, Vec<Arc<PredictionFile>>>,
    pub(crate) outcomes: Vec<Arc<OutcomeFile>>,
}

impl Index {
    pub(crate) fn add(&mut self, entry: &Converted) {
        self.segments.insert(entry.segment);
        for file in &entry.predictions {
            self.predictions.entry(file.deployment.clone()).or_default().push(file.clone());
        }
        self.outcomes.extend(entry.outcomes.iter().cloned());
    }
}

impl Manifest {
    /// Opens the manifest of a directory and reads every entry; a torn last entry is cut, its segment is still there.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Vec<Converted>), Error> {
        let path = dir.join("manifest");
        let file = OpenOptions::new().create(true).read(true).append(true).open(&path);
        let file = file.map_err(io_error("opening", &path))?;
        let bytes = read_file(&path)?;
        let (mut entries, mut at) = (Vec::new(), 0);
        loop {
            match framing::next(&bytes, at) {
                Next::Frame(payload, after) => {
                    entries.push(serde_json::from_slice(payload).map_err(|error| damaged(&path, &error.to_string()))?);
                    at = after;
                }
                Next::End => break,
                Next::Torn => {
                    tracing::warn!(telemetry.manifest = %path.display(), cut_bytes = bytes.len() - at, "cut an unfinished entry off the manifest");
                    file.set_len(at as u64).map_err(io_error("cutting", &path))?;
                    break;
                }
                Next::Corrupt => return Err(damaged(&path, &format!("no readable entry at byte {at}"))),
            }
        }
        file.sync_all().map_err(io_error("syncing", &path))?;
        Ok((Self { path, file }, entries))
    }

    /// Adds an entry; it is on the disk when this returns.
    pub(crate) fn add(&mut self, entry: &Converted) -> Result<(), Error> {
        let mut buffer = Vec::new();
        let start = framing::begin(&mut buffer);
        serde_json::to_writer(&mut buffer, entry).map_err(|error| Error::Internal(error.to_string()))?;
        framing::end(&mut buffer, start);
        let length = self.file.metadata().map_err(io_error("reading", &self.path))?.len();
        let written = self.file.write_all(&buffer).and_then(|()| self.file.sync_data());
        written.map_err(|error| {
            // Half an entry must not stand before the next one.
            let _ = self.file.set_len(length);
            io_error("writing", &self.path)(error)
        })
    }
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::Damaged { path: path.display().to_string(), reason: reason.to_owned() }
}
