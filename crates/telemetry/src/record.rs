//! What goes into the log and what comes out.

use std::sync::Arc;

use kernel::frame::{Cell, ColumnKind, Frame};
use serde::{Deserialize, Serialize};

/// The features of a model version: names and kinds, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schema {
    /// Name and kind of each feature.
    pub features: Vec<(Arc<str>, ColumnKind)>,
}

/// Predictions of one model version for one deployment, by column.
#[derive(Clone, Copy, Debug)]
pub struct PredictionBatch<'a> {
    /// The deployment that answered.
    pub deployment: &'a str,
    /// The registered model.
    pub model: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The features, in the order of `frame`.
    pub schema: &'a Arc<Schema>,
    /// One id a row, 1 to 512 bytes.
    pub ids: &'a [String],
    /// When each thing predicted about happened, microseconds since the epoch.
    pub event_times_us: &'a [i64],
    /// The inputs.
    pub frame: &'a Frame,
    /// The outputs.
    pub scores: &'a [f64],
    /// When the request was received.
    pub received_us: i64,
    /// How long it took.
    pub latency_us: u32,
}

/// The truth about one prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The prediction it belongs to; it may be unknown yet.
    pub prediction_id: String,
    /// The truth.
    pub value: Cell,
    /// When the truth was observed (event time).
    pub observed_us: i64,
    /// When we were told.
    pub received_us: i64,
}

/// How far the event time of a deployment has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// Up to here everything has been sent, says the sender.
    pub declared_us: Option<i64>,
    /// The greatest event time seen.
    pub max_event_us: Option<i64>,
}

/// How much of a deployment is in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Predictions, each id once.
    pub predictions: u64,
    /// Predictions whose outcome has arrived.
    pub outcomes: u64,
    /// When the newest prediction was received.
    pub last_received_us: Option<i64>,
}

impl Counts {
    /// Adds what came later.
    pub(crate) fn add(&mut self, later: &Self) {
        self.predictions += later.predictions;
        self.outcomes += later.outcomes;
        self.last_received_us = self.last_received_us.max(later.last_received_us);
    }
}

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// The deployment.
    pub deployment: String,
    /// Event time from here.
    pub from_us: i64,
    /// Event time up to here, exclusive.
    pub until_us: i64,
    /// Only this model version.
    pub version: Option<String>,
    /// Only outcomes observed at or before this instant.
    pub as_of_us: Option<i64>,
    /// Only predictions that have an outcome.
    pub labelled_only: bool,
    /// At most so many, the newest by event time.
    pub newest: Option<usize>,
}

/// Predictions with their outcomes, sorted by (event time, id).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Prediction ids.
    pub ids: Vec<String>,
    /// Event times.
    pub event_time_us: Vec<i64>,
    /// The version that answered.
    pub versions: Vec<Arc<str>>,
    /// The inputs; a column that a version did not have is missing there.
    pub features: Frame,
    /// The outputs.
    pub scores: Vec<f64>,
    /// The outcomes; `Missing` is not yet.
    pub outcomes: Vec<Cell>,
    /// When the outcome was observed; 0 without one.
    pub observed_us: Vec<i64>,
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// One prediction and everything known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its id.
    pub prediction_id: String,
    /// The deployment that answered.
    pub deployment: String,
    /// The registered model.
    pub model: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// Event time.
    pub event_time_us: i64,
    /// When the request was received.
    pub received_us: i64,
    /// How long it took.
    pub latency_us: u32,
    /// The inputs.
    pub features: Vec<(Arc<str>, Cell)>,
    /// The output.
    pub score: f64,
    /// Every outcome sent for it, the one that counts last.
    pub outcomes: Vec<Outcome>,
}
