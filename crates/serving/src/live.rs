//! A version that is live, and one call of it: rows in, run, logged, answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use inference::{Model, Output};
use kernel::clock::{Clock, DAY_US};
use kernel::frame::Frame;

use crate::Error;
use crate::decode::Inputs;
use crate::deployment::Config;
use crate::pool::Cost;
use crate::stats::VersionStats;

/// Longest id of a prediction, in bytes.
const MAX_ID_BYTES: usize = 512;

/// A version of a model as one deployment serves it. Requests share it by reference count: when a newer one has taken its place and
/// the last request that began with it is answered, it is freed.
pub struct Live {
    deployment: Arc<str>,
    model_name: Arc<str>,
    version: Arc<str>,
    model: Arc<Model>,
    inputs: Inputs,
    schema: Arc<telemetry::Schema>,
    config: Config,
    max_rows: usize,
    since_us: i64,
    desk: Desk,
    pub(crate) cost: Cost,
    pub(crate) stats: Arc<VersionStats>,
}

/// What every version of a fleet shares.
pub(crate) struct Desk {
    pub(crate) log: telemetry::Log,
    pub(crate) clock: Clock,
    pub(crate) max_rows: usize,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("deployment", &self.deployment)
            .field("model", &self.model_name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Rows to be answered.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The rows, their columns in the order of the model's inputs.
    pub frame: Frame,
    /// The caller's ids, one a row; empty to have them made.
    pub ids: Vec<String>,
    /// When each thing predicted about happened; empty if each happened when it was asked about.
    pub event_times_us: Vec<i64>,
}

/// What a model answered; already in the log.
#[derive(Clone, Debug)]
pub struct Answer {
    /// One id a row.
    pub ids: Vec<String>,
    /// The output.
    pub output: Output,
}

/// One request on its way through a version.
#[derive(Debug)]
pub struct Call {
    live: Arc<Live>,
    started: Instant,
    received_us: i64,
}

impl Live {
    pub(crate) fn new(
        deployment: Arc<str>,
        model: Arc<Model>,
        config: Config,
        stats: Arc<VersionStats>,
        one_row: Duration,
        desk: Desk,
    ) -> Self {
        let inputs = Inputs::of(&model);
        let features = inputs.iter().map(|input| (input.name.clone(), input.kind)).collect();
        Self {
            deployment,
            model_name: stats.model.clone(),
            version: stats.version.clone(),
            schema: Arc::new(telemetry::Schema { features }),
            max_rows: config.max_rows.unwrap_or(desk.max_rows).min(desk.max_rows),
            inputs,
            config,
            model,
            since_us: desk.clock.now_us(),
            desk,
            cost: Cost::first_guess(one_row),
            stats,
        }
    }

    /// The deployment.
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// The registered model.
    pub fn model_name(&self) -> &str {
        &self.model_name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The model itself.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// What it takes.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// What the deployment accepts.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Most rows in one request.
    pub fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// Since when it has been live, microseconds since the epoch.
    pub fn since_us(&self) -> i64 {
        self.since_us
    }
}

impl Call {
    pub(crate) fn new(live: Arc<Live>) -> Self {
        let received_us = live.desk.clock.now_us();
        Self { live, started: Instant::now(), received_us }
    }

    /// The version that answers.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// When the request was received.
    pub fn received_us(&self) -> i64 {
        self.received_us
    }

    pub(crate) fn took(&self) -> Duration {
        self.started.elapsed()
    }

    /// Answers a batch. The answer is in the log before it is returned; one that cannot be logged is not given.
    pub fn predict(&self, mut batch: Batch) -> Result<Answer, Error> {
        let live = &*self.live;
        let rows = batch.frame.rows();
        self.check(&batch, rows)?;
        if batch.ids.is_empty() {
            batch.ids = (0..rows).map(|_| kernel::id::new()).collect();
        }
        if batch.event_times_us.is_empty() {
            batch.event_times_us = vec![self.received_us; rows];
        }
        let output = live.model.predict(&batch.frame).map_err(Error::Predict)?;
        live.desk
            .log
            .append_predictions(&telemetry::PredictionBatch {
                deployment: &live.deployment,
                model: &live.model_name,
                version: &live.version,
                schema: &live.schema,
                ids: &batch.ids,
                event_times_us: &batch.event_times_us,
                frame: &batch.frame,
                scores: &output.scores,
                received_us: self.received_us,
                latency_us: u32::try_from(self.took().as_micros()).unwrap_or(u32::MAX),
            })
            .map_err(Error::Log)?;
        live.stats.predicted(rows, self.received_us);
        Ok(Answer { ids: batch.ids, output })
    }

    fn check(&self, batch: &Batch, rows: usize) -> Result<(), Error> {
        if rows == 0 {
            return Err(Error::request("rows", "there are no rows to predict"));
        }
        if rows > self.live.max_rows {
            return Err(Error::TooLarge { what: format!("{rows} rows"), limit: self.live.max_rows });
        }
        check_ids(&batch.ids, rows)?;
        self.check_times(&batch.event_times_us, rows)
    }

    /// An event time ahead of the clock would close windows that have not happened yet, for good.
    fn check_times(&self, times: &[i64], rows: usize) -> Result<(), Error> {
        if times.is_empty() {
            return Ok(());
        }
        if times.len() != rows {
            return Err(Error::request("event_times", format!("{} event times for {rows} rows", times.len())));
        }
        let latest = self.received_us.saturating_add(DAY_US);
        match times.iter().position(|at| *at > latest) {
            None => Ok(()),
            Some(row) => Err(Error::Request {
                field: format!("event_times[{row}]"),
                message: format!(
                    "row {row}: the event time {} is more than a day ahead of the clock",
                    kernel::clock::rfc3339(times.get(row).copied().unwrap_or_default())
                ),
                hint: Some("send RFC 3339 text or seconds since the epoch".to_owned()),
            }),
        }
    }
}

fn check_ids(ids: &[String], rows: usize) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    if ids.len() != rows {
        return Err(Error::request("ids", format!("{} ids for {rows} rows", ids.len())));
    }
    if let Some(row) = ids.iter().position(|id| !is_id(id)) {
        let message = format!("row {row}: an id has 1 to {MAX_ID_BYTES} bytes and no control characters");
        return Err(Error::request(format!("ids[{row}]"), message));
    }
    let mut seen = std::collections::HashSet::with_capacity(if ids.len() > 1 { ids.len() } else { 0 });
    if ids.len() > 1
        && let Some(row) = ids.iter().position(|id| !seen.insert(id.as_str()))
    {
        let id = ids.get(row).map_or("", String::as_str);
        return Err(Error::request(format!("ids[{row}]"), format!("row {row}: the id `{id}` is given twice")));
    }
    Ok(())
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID_BYTES && !id.chars().any(char::is_control)
}
