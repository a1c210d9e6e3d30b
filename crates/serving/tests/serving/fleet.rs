//! The live half.

use std::sync::Arc;
use std::time::Duration;

use kernel::error::{Classified as _, Kind};
use kernel::frame::{Column, Frame};
use serving::{Batch, Call, Error, Fleet, Options, State};

use crate::support::{Ground, ground, ground_with, loaded};

#[expect(clippy::unwrap_used, reason = "the columns are even")]
fn row(rows: usize) -> Frame {
    let names = (0..4).map(|at| Arc::from(format!("f{at}"))).collect();
    let columns = (0..4).map(|at| Column::Number(vec![f64::from(at); rows])).collect();
    Frame::new(names, columns).unwrap()
}

async fn ask(fleet: &Fleet, bytes: usize, batch: Batch) -> Result<(String, Vec<String>, Vec<f64>), Error> {
    let work = move |call: &Call| {
        let answer = call.predict(batch)?;
        Ok((call.live().version().to_owned(), answer.ids, answer.output.scores))
    };
    fleet.run("d", bytes, work).await
}

fn batch(rows: usize) -> Batch {
    Batch { frame: row(rows), ..Batch::default() }
}

#[tokio::test]
async fn an_unknown_deployment_is_not_found_and_an_empty_one_is_unavailable() {
    let Ground { fleet, .. } = ground(Options::default()).unwrap();
    assert_eq!(ask(&fleet, 10, batch(1)).await.unwrap_err().kind(), Kind::NotFound);
    fleet.declare("d", serving::deployment::Config::default());
    assert_eq!(ask(&fleet, 10, batch(1)).await.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(fleet.status("d").unwrap().state, State::Empty);
    assert_eq!(fleet.status("d").unwrap().errors, [("unavailable", 1)]);
    fleet.note_failure("d", "class x.Y is not supported");
    let told = ask(&fleet, 10, batch(1)).await.unwrap_err().to_string();
    assert_eq!(told, "deployment `d` has no version to serve: class x.Y is not supported");
}

#[tokio::test]
async fn a_switch_changes_the_answer_and_frees_the_old_model() {
    let Ground { fleet, .. } = ground(Options::default()).unwrap();
    let first = loaded("regression-1", "1").unwrap();
    let (model, expect) = (Arc::downgrade(&first.model), first.model.predict(&row(1)).unwrap().scores);
    let rolled = fleet.roll("d", first).await.unwrap();
    assert_eq!((rolled.from, rolled.to.as_str()), (None, "1"));
    assert_eq!(ask(&fleet, 10, batch(1)).await.unwrap().2, expect);

    // a request that began with the old version ends with it
    let (entered, wait_entered) = std::sync::mpsc::channel();
    let (release, wait_release) = std::sync::mpsc::channel::<()>();
    let busy = fleet.clone();
    let slow = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(busy.run("d", 10, move |call| {
            entered.send(()).unwrap();
            wait_release.recv().unwrap();
            call.predict(batch(1)).map(|_| call.live().version().to_owned())
        }))
    });
    wait_entered.recv().unwrap();
    let rolled = fleet.roll("d", loaded("regression-2", "2").unwrap()).await.unwrap();
    assert_eq!((rolled.from.as_deref(), rolled.to.as_str(), rolled.changes.len()), (Some("1"), "2", 0));
    assert_eq!(ask(&fleet, 10, batch(1)).await.unwrap().0, "2");
    assert!(model.upgrade().is_some(), "a request still holds the old model");
    assert_eq!(fleet.status("d").unwrap().draining, 1);
    release.send(()).unwrap();
    assert_eq!(slow.join().unwrap().unwrap(), "1");
    assert!(model.upgrade().is_none(), "the old model is freed with its last request");
    assert_eq!(fleet.status("d").unwrap().draining, 0);
}

#[tokio::test]
async fn every_answer_is_in_the_log() {
    let Ground { fleet, log, .. } = ground(Options::default()).unwrap();
    fleet.roll("d", loaded("regression-1", "1").unwrap()).await.unwrap();
    let named = Batch { ids: vec!["a".into(), "b".into()], event_times_us: vec![5, 6], ..batch(2) };
    let (_, ids, scores) = ask(&fleet, 10, named).await.unwrap();
    assert_eq!(ids, ["a", "b"]);
    let scan = telemetry::Scan { deployment: "d".into(), until_us: 7, ..telemetry::Scan::default() };
    let rows = log.scan(scan).await.unwrap();
    assert_eq!((rows.ids, rows.event_time_us, rows.scores), (ids, vec![5, 6], scores));
    assert_eq!(rows.features, row(2));

    let (_, ids, _) = ask(&fleet, 10, batch(3)).await.unwrap();
    assert_eq!(ids.len(), 3);
    assert_eq!(log.counts("d").predictions, 5);
    let status = fleet.status("d").unwrap();
    assert_eq!((status.versions[0].predictions, status.versions[0].buckets.iter().sum::<u64>()), (5, 2));
}

#[tokio::test]
async fn an_answer_that_cannot_be_logged_is_not_given() {
    let full = telemetry::Options { segment_bytes: 1, max_waiting_segments: 1, ..telemetry::Options::default() };
    let Ground { fleet, log, directory } = ground_with(Options::default(), full).unwrap();
    fleet.roll("d", loaded("regression-1", "1").unwrap()).await.unwrap();
    let store = directory.path().join("blob");
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::write(&store, "not a directory").unwrap();
    let (mut given, mut refused) = (0, None);
    while refused.is_none() && given < 1_000 {
        match ask(&fleet, 10, batch(1)).await {
            Ok(_) => given += 1,
            Err(error) => refused = Some(error),
        }
    }
    assert_eq!(refused.unwrap().kind(), Kind::Unavailable);
    assert_eq!(log.counts("d").predictions, given);
    assert_eq!(fleet.status("d").unwrap().versions[0].predictions, given);
}

#[tokio::test]
async fn batches_that_break_a_rule_are_refused_with_their_field() {
    let Ground { fleet, log, .. } = ground(Options { max_rows: 3, ..Options::default() }).unwrap();
    fleet.roll("d", loaded("regression-1", "1").unwrap()).await.unwrap();
    let far = kernel::clock::Clock::system().now_us() + 3 * kernel::clock::DAY_US;
    let cases = [
        (batch(0), Kind::Invalid, Some("rows")),
        (batch(4), Kind::TooLarge, None),
        (Batch { ids: vec!["a".into()], ..batch(2) }, Kind::Invalid, Some("ids")),
        (Batch { ids: vec!["a".into(), String::new()], ..batch(2) }, Kind::Invalid, Some("ids[1]")),
        (Batch { ids: vec!["a".into(), "a".into()], ..batch(2) }, Kind::Invalid, Some("ids[1]")),
        (Batch { ids: vec!["a\nb".into()], ..batch(1) }, Kind::Invalid, Some("ids[0]")),
        (Batch { event_times_us: vec![1], ..batch(2) }, Kind::Invalid, Some("event_times")),
        (Batch { event_times_us: vec![1, far], ..batch(2) }, Kind::Invalid, Some("event_times[1]")),
    ];
    for (batch, kind, field) in cases {
        let error = ask(&fleet, 10, batch).await.unwrap_err();
        assert_eq!((error.kind(), error.field()), (kind, field), "{error}");
    }
    assert_eq!(ask(&fleet, usize::MAX, batch(1)).await.unwrap_err().kind(), Kind::TooLarge);
    assert_eq!(log.counts("d").predictions, 0);
}

#[tokio::test]
async fn large_requests_wait_in_a_bounded_queue() {
    let options = Options { inline: Duration::ZERO, workers: 1, queue: 1, ..Options::default() };
    let Ground { fleet, .. } = ground(options).unwrap();
    fleet.roll("d", loaded("regression-1", "1").unwrap()).await.unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = parking_lot::Mutex::new(held);
    let first = fleet.run("d", 10, move |_| held.lock().recv().map_err(|_| Error::Defect));
    let second = ask(&fleet, 10, batch(1));
    let third = async {
        // polled after the two before it have taken the worker and the place in the queue
        let refused = ask(&fleet, 10, batch(1)).await;
        release.send(()).unwrap();
        refused
    };
    let (first, second, third) = tokio::join!(biased; first, second, third);
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(third.unwrap_err().kind(), Kind::Overloaded);
}

#[tokio::test]
async fn a_panic_costs_one_answer_and_no_more() {
    let Ground { fleet, .. } = ground(Options::default()).unwrap();
    fleet.roll("d", loaded("regression-1", "1").unwrap()).await.unwrap();
    let error = fleet.run("d", 10, |_| -> Result<(), Error> { panic!("a defect") }).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
    assert!(ask(&fleet, 10, batch(1)).await.is_ok());
}

#[tokio::test]
async fn a_removed_deployment_is_gone() {
    let Ground { fleet, .. } = ground(Options::default()).unwrap();
    fleet.roll("d", loaded("regression-1", "1").unwrap()).await.unwrap();
    assert_eq!(fleet.only().as_deref(), Some("d"));
    fleet.remove("d");
    assert_eq!(ask(&fleet, 10, batch(1)).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(fleet.only(), None);
}

#[tokio::test]
async fn a_change_of_columns_is_told_with_the_switch() {
    let Ground { fleet, .. } = ground(Options::default()).unwrap();
    fleet.roll("d", loaded("regression-1", "1").unwrap()).await.unwrap();
    let rolled = fleet.roll("d", loaded("binary", "2").unwrap()).await.unwrap();
    assert!(rolled.changes.contains(&"column `carrier` is new and required".to_owned()), "{:?}", rolled.changes);
    assert!(rolled.changes.contains(&"column `f0` is gone".to_owned()));
}
