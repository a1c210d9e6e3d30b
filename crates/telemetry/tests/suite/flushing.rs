//! Parquet or not: the same answer. And versions whose features differ.

use std::sync::Arc;

use blob::Blob;
use kernel::clock::{Clock, DAY_US};
use kernel::frame::{Cell, Column, ColumnKind, Frame};
use proptest::prelude::*;
use rondo_telemetry::{Log, Options, PredictionBatch, Scan, Schema};

use crate::kit::{DAY, all, files, open, outcome, p, rows, send};

#[derive(Clone, Debug)]
enum Act {
    Predict(Vec<(u8, i64)>, bool),
    Outcome(u8, i64, i64),
    Flush,
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let prediction = (0_u8..40, 0_i64..4 * DAY_US);
    prop_oneof![
        4 => (proptest::collection::vec(prediction, 1..6), any::<bool>()).prop_map(|(rows, two)| Act::Predict(rows, two)),
        3 => (0_u8..40, 0_i64..3, 0_i64..6 * DAY_US).prop_map(|(id, value, at)| Act::Outcome(id, value, at)),
        1 => Just(Act::Flush),
        1 => Just(Act::Reopen),
    ]
}

async fn play(
    acts: &[Act],
    disturbed: bool,
) -> (rondo_telemetry::Rows, rondo_telemetry::Rows, rondo_telemetry::Counts) {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for act in acts {
        match act {
            Act::Predict(sent, two) => {
                let sent: Vec<_> = sent.iter().map(|(id, at)| p(&id.to_string(), DAY + at)).collect();
                send(&log, "d", if *two { "2" } else { "1" }, &sent).unwrap();
            }
            Act::Outcome(id, value, at) => {
                log.append_outcomes(vec![outcome(&id.to_string(), *value as f64, DAY + at)]).await.unwrap();
            }
            Act::Flush if disturbed => log.flush().await.unwrap(),
            Act::Reopen if disturbed => {
                drop(log);
                log = open(dir.path());
            }
            Act::Flush | Act::Reopen => {}
        }
    }
    let part = Scan { from_us: DAY + DAY_US, until_us: DAY + 3 * DAY_US, as_of_us: Some(DAY + 2 * DAY_US), ..all("d") };
    (rows(&log).await, log.scan(part).await.unwrap(), log.counts("d"))
}

/// NaN is not itself, so rows are compared as text.
fn same<T: std::fmt::Debug>(a: &T, b: &T) -> Result<(), TestCaseError> {
    prop_assert_eq!(format!("{a:?}"), format!("{b:?}"));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn flushes_and_restarts_change_no_answer(acts in proptest::collection::vec(act(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (calm, disturbed) = runtime.block_on(async { (play(&acts, false).await, play(&acts, true).await) });
        same(&calm, &disturbed)?;
    }
}

#[tokio::test]
async fn rows_are_sorted_and_features_come_back_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let sent: Vec<_> = (0..3000_i64).map(|n| p(&format!("{n:05}"), DAY + (n * 7919) % (3 * DAY_US))).collect();
    for some in sent.chunks(700) {
        send(&log, "d", "1", some).unwrap();
    }
    let mut order = sent.clone();
    order.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    for _ in 0..2 {
        let read = rows(&log).await;
        assert_eq!(read.ids, order.iter().map(|p| p.id.clone()).collect::<Vec<_>>());
        assert_eq!(format!("{:?}", read.features), format!("{:?}", crate::kit::frame(&order)));
        assert_eq!(read.scores, order.iter().map(|p| p.n as f64 / 1e4).collect::<Vec<_>>());
        log.flush().await.unwrap();
    }
    let days: std::collections::BTreeSet<_> = sent.iter().map(|p| p.at.div_euclid(DAY_US)).collect();
    assert_eq!(files(&dir.path().join("blob"), ".parquet").len(), days.len(), "one object a day");
    assert!(files(&dir.path().join("telemetry"), ".wal").len() == 1, "the flushed segment is gone");
}

#[tokio::test]
async fn a_short_window_of_a_busy_day_is_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let busy: Vec<_> = (0..20_000_i64).map(|n| p(&format!("{n:05}"), DAY + (n * 7919) % 20_000)).collect();
    for some in busy.chunks(1000) {
        send(&log, "d", "1", some).unwrap();
    }
    let windows = [(0, 1), (8_191, 8_193), (5_000, 17_000), (19_999, 30_000), (0, 20_000)];
    let scan = |(from, until)| Scan { from_us: DAY + from, until_us: DAY + until, ..all("d") };
    let mut before = Vec::new();
    for window in windows {
        before.push(crate::kit::shown(&log.scan(scan(window)).await.unwrap()));
    }
    log.flush().await.unwrap();
    for (window, before) in windows.into_iter().zip(before) {
        let after = log.scan(scan(window)).await.unwrap();
        assert_eq!(after.len() as i64, window.1.min(20_000) - window.0);
        assert_eq!(crate::kit::shown(&after), before);
    }
}

#[tokio::test]
async fn columns_meet_by_name_when_the_features_change() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let send = |version: &str, id: &str, at: i64, features: &[(&str, Cell)]| {
        let kind = |cell: &Cell| if matches!(cell, Cell::Text(_)) { ColumnKind::Text } else { ColumnKind::Number };
        let schema =
            Arc::new(Schema { features: features.iter().map(|(name, cell)| ((*name).into(), kind(cell))).collect() });
        let column = |cell: &Cell| match cell {
            Cell::Text(text) => Column::Text(vec![Some(text.clone())]),
            cell => Column::Number(vec![cell.as_f64().unwrap()]),
        };
        let names: Vec<Arc<str>> = features.iter().map(|(name, _)| (*name).into()).collect();
        let frame = Frame::new(names, features.iter().map(|(_, cell)| column(cell)).collect()).unwrap();
        let (ids, at) = ([id.to_owned()], [at]);
        let batch = PredictionBatch {
            deployment: "a/b c",
            model: "m",
            version,
            schema: &schema,
            ids: &ids,
            event_times_us: &at,
            frame: &frame,
            scores: &[0.5],
            received_us: 1,
            latency_us: 1,
        };
        log.append_predictions(&batch).unwrap();
    };
    send("1", "p1", DAY, &[("x", Cell::Number(1.0)), ("y", Cell::Text("u".into())), ("z", Cell::Number(7.5))]);
    send("2", "p2", DAY + 1, &[("z", Cell::Text("w".into())), ("x", Cell::Number(2.0)), ("new", Cell::Number(3.0))]);
    for _ in 0..2 {
        let read = log.scan(all("a/b c")).await.unwrap();
        let names: Vec<_> = read.features.names().iter().map(|name| &**name).collect();
        assert_eq!(names, ["x", "y", "z", "new"]);
        let cells = |row| read.features.columns().iter().map(|column| column.cell(row)).collect::<Vec<_>>();
        assert_eq!(cells(0), [Cell::Number(1.0), Cell::Text("u".into()), Cell::Text("7.5".into()), Cell::Missing]);
        assert_eq!(cells(1), [Cell::Number(2.0), Cell::Missing, Cell::Text("w".into()), Cell::Number(3.0)]);
        log.flush().await.unwrap();
    }
}

#[tokio::test]
async fn a_segment_that_is_full_becomes_parquet_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 20_000, max_waiting_segments: 1000, ..Options::default() };
    let log = Log::open(&dir.path().join("t"), Blob::memory(), Clock::system(), options).unwrap();
    for n in 0..2000 {
        send(&log, "d", "1", &[p(&format!("{n:05}"), DAY + n)]).unwrap();
    }
    assert_eq!(rows(&log).await.len(), 2000);
    let started = std::time::Instant::now();
    while files(dir.path(), ".wal").len() > 1 {
        assert!(started.elapsed().as_secs() < 30, "closed segments are still there");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(rows(&log).await.len(), 2000);
    assert_eq!(log.counts("d").predictions, 2000);
}
