//! A full disk, an object store that is away, batches that are not what they say.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use kernel::error::{Classified as _, Kind};
use kernel::frame::{Column, Frame};
use rondo_telemetry::{Options, PredictionBatch};

use crate::kit::{DAY, files, frame, open, open_with, outcome, p, rows, schema, send};

const CHILD: &str = "RONDO_TELEMETRY_FULL_DISK";

/// Not a test of its own: runs where no file may grow beyond some size.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a helper process"]
async fn full_disk_child() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let log = open(Path::new(&dir));
    let mut accepted = 0;
    let error = loop {
        match send(&log, "d", "1", &[p(&format!("{accepted:06}"), DAY + accepted)]) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(error.hint().is_some());
    let big = "x".repeat(500);
    let error = log.append_outcomes(vec![outcome(&big, 1.0, DAY)]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(rows(&log).await.len() as i64, accepted, "reading goes on");
    println!("accepted {accepted}");
}

#[tokio::test]
async fn a_full_disk_refuses_appends_and_keeps_what_was_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec '{}' --exact limits::full_disk_child --ignored --nocapture",
        test.display()
    );
    let output = Command::new("bash").args(["-c", &script]).env(CHILD, dir.path()).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let accepted = output.lines().find_map(|line| line.strip_prefix("accepted ")).expect(&output);
    let accepted: i64 = accepted.parse().unwrap();
    assert!(accepted > 100);
    let log = open(dir.path());
    assert_eq!(rows(&log).await.len() as i64, accepted);
    assert_eq!(files(dir.path(), ".corrupt").len(), 0);
    send(&log, "d", "1", &[p("more", DAY)]).unwrap();
}

#[tokio::test]
async fn segments_that_wait_for_the_store_are_bounded_and_written_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 2_000, max_waiting_segments: 3, ..Options::default() };
    let log = open_with(dir.path(), options.clone()).unwrap();
    // A file where a directory must be: every object fails.
    let store = dir.path().join("blob");
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::write(&store, b"in the way").unwrap();
    let mut accepted = 0;
    let error = loop {
        match send(&log, "d", "1", &[p(&format!("{accepted:06}"), DAY + accepted)]) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 10_000, "never refused");
    };
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(rows(&log).await.len() as i64, accepted, "reading goes on from memory");
    drop(log);
    std::fs::remove_file(&store).unwrap();
    let log = open_with(dir.path(), options).unwrap();
    log.flush().await.unwrap();
    assert_eq!(rows(&log).await.len() as i64, accepted);
    send(&log, "d", "1", &[p("more", DAY)]).unwrap();
}

#[tokio::test]
async fn a_batch_that_does_not_add_up_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let good = [p("a", DAY), p("b", DAY)];
    let (ids, frame, schema) = (["a".to_owned(), "b".to_owned()], frame(&good), schema());
    let base = PredictionBatch {
        deployment: "d",
        model: "m",
        version: "1",
        schema: &schema,
        ids: &ids,
        event_times_us: &[DAY, DAY],
        frame: &frame,
        scores: &[0.1, 0.2],
        received_us: 0,
        latency_us: 0,
    };
    let other = Frame::new(vec!["delay".into()], vec![Column::Number(vec![1.0, 2.0])]).unwrap();
    let swapped = Frame::new(frame.names().to_vec(), frame.columns().iter().rev().cloned().collect()).unwrap();
    let empty = ["a".to_owned(), String::new()];
    let long = ["a".to_owned(), "x".repeat(513)];
    let none = Arc::new(rondo_telemetry::Schema { features: Vec::new() });
    let check = |batch: PredictionBatch<'_>, why: &str| {
        let error = log.append_predictions(&batch).expect_err(why);
        assert_eq!(error.kind(), Kind::Invalid, "{why}: {error}");
    };
    check(PredictionBatch { scores: &[0.1], ..base }, "a score short");
    check(PredictionBatch { event_times_us: &[DAY], ..base }, "an event time short");
    check(PredictionBatch { frame: &other, ..base }, "a column short");
    check(PredictionBatch { frame: &swapped, ..base }, "kinds swapped");
    check(PredictionBatch { schema: &none, ..base }, "no schema");
    check(PredictionBatch { ids: &empty, ..base }, "an empty id");
    check(PredictionBatch { ids: &long, ..base }, "a long id");
    check(PredictionBatch { deployment: "", ..base }, "no deployment");
    assert!(rows(&log).await.is_empty());
    log.append_predictions(&base).unwrap();
    assert_eq!(rows(&log).await.len(), 2);
}
