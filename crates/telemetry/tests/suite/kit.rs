//! Short ways to say what the tests say.

use std::path::Path;
use std::sync::Arc;

use blob::Blob;
use kernel::clock::{Clock, DAY_US};
use kernel::frame::{Cell, Column, ColumnKind, Frame};
use rondo_telemetry::{Error, Log, Options, Outcome, PredictionBatch, Rows, Scan, Schema};

/// A day in 2013.
pub(crate) const DAY: i64 = 15_765 * DAY_US;

pub(crate) fn open_with(dir: &Path, options: Options) -> Result<Log, Error> {
    let blob = Blob::open(dir.join("blob").to_str().unwrap()).unwrap();
    Log::open(&dir.join("telemetry"), blob, Clock::system(), options)
}

pub(crate) fn open(dir: &Path) -> Log {
    open_with(dir, Options::default()).unwrap()
}

pub(crate) fn schema() -> Arc<Schema> {
    Arc::new(Schema { features: vec![("delay".into(), ColumnKind::Number), ("carrier".into(), ColumnKind::Text)] })
}

/// A prediction whose inputs follow from its number, so that a reader can check them.
#[derive(Clone, Debug)]
pub(crate) struct P {
    pub(crate) id: String,
    pub(crate) at: i64,
    pub(crate) n: usize,
}

pub(crate) fn p(id: &str, at: i64) -> P {
    P { id: id.to_owned(), at, n: id.bytes().map(usize::from).sum() }
}

pub(crate) fn frame(rows: &[P]) -> Frame {
    let delay = rows.iter().map(|p| if p.n % 7 == 0 { f64::NAN } else { p.n as f64 / 3.0 }).collect();
    let carrier = rows.iter().map(|p| (p.n % 5 != 0).then(|| Arc::from(["AA", "UA", "B6"][p.n % 3]))).collect();
    Frame::new(vec!["delay".into(), "carrier".into()], vec![Column::Number(delay), Column::Text(carrier)]).unwrap()
}

pub(crate) fn send(log: &Log, deployment: &str, version: &str, rows: &[P]) -> Result<(), Error> {
    let ids: Vec<_> = rows.iter().map(|p| p.id.clone()).collect();
    let at: Vec<_> = rows.iter().map(|p| p.at).collect();
    let scores: Vec<_> = rows.iter().map(|p| p.n as f64 / 1e4).collect();
    log.append_predictions(&PredictionBatch {
        deployment,
        model: "flight-delay",
        version,
        schema: &schema(),
        ids: &ids,
        event_times_us: &at,
        frame: &frame(rows),
        scores: &scores,
        received_us: DAY,
        latency_us: 42,
    })
}

pub(crate) fn outcome(id: &str, value: f64, observed_us: i64) -> Outcome {
    Outcome { prediction_id: id.to_owned(), value: Cell::Number(value), observed_us, received_us: observed_us + 1 }
}

pub(crate) fn all(deployment: &str) -> Scan {
    Scan { deployment: deployment.to_owned(), from_us: i64::MIN, until_us: i64::MAX, ..Scan::default() }
}

pub(crate) async fn rows(log: &Log) -> Rows {
    log.scan(all("d")).await.unwrap()
}

/// Rows as text; unlike NaN, it equals itself.
pub(crate) fn shown(rows: &Rows) -> String {
    format!("{rows:?}")
}

/// Ids in order, each with its outcome.
pub(crate) fn told(rows: &Rows) -> Vec<(&str, Option<f64>)> {
    rows.ids.iter().map(String::as_str).zip(rows.outcomes.iter().map(Cell::as_f64)).collect()
}

/// Files below a directory, without their directories.
pub(crate) fn files(dir: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}
