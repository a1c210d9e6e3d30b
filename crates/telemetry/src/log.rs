//! The log: its face.

use std::path::Path;

use blob::Blob;
use kernel::clock::Clock;

use crate::{Counts, Error, Found, Options, Outcome, PredictionBatch, Rows, Scan, Watermark};

/// The event log; cheap to clone.
#[derive(Clone)]
pub struct Log {}

impl Log {
    /// Opens the log in `dir` (made if missing) and replays what the last process left.
    pub fn open(dir: &Path, blob: Blob, clock: Clock, options: Options) -> Result<Self, Error> {
        let _ = (dir, blob, clock, options);
        Ok(Self {})
    }

    /// Logs predictions: one write to the open segment.
    pub fn append_predictions(&self, batch: &PredictionBatch<'_>) -> Result<(), Error> {
        let _ = batch;
        Ok(())
    }

    /// Logs outcomes; they are on the disk when this returns.
    pub async fn append_outcomes(&self, outcomes: Vec<Outcome>) -> Result<(), Error> {
        drop(outcomes);
        Ok(())
    }

    /// Declares that everything up to this event time has been sent; never moves back; on the disk when this returns.
    pub async fn advance_watermark(&self, deployment: &str, event_time_us: i64) -> Result<(), Error> {
        let _ = (deployment, event_time_us);
        Ok(())
    }

    /// How far a deployment has come.
    pub fn watermark(&self, deployment: &str) -> Watermark {
        let _ = deployment;
        Watermark::default()
    }

    /// Reads predictions with their outcomes.
    pub async fn scan(&self, query: Scan) -> Result<Rows, Error> {
        drop(query);
        Ok(Rows::default())
    }

    /// One prediction by its id; may read many files.
    pub async fn find(&self, prediction_id: &str) -> Result<Option<Found>, Error> {
        let _ = prediction_id;
        Ok(None)
    }

    /// How much of a deployment there is.
    pub fn counts(&self, deployment: &str) -> Counts {
        let _ = deployment;
        Counts::default()
    }

    /// Deployments that have predictions or a watermark, sorted.
    pub fn deployments(&self) -> Vec<String> {
        Vec::new()
    }

    /// Closes the open segment and writes everything closed to the object store.
    pub async fn flush(&self) -> Result<(), Error> {
        Ok(())
    }
}
