//! Outcomes: before, after, late, repeated, revised; as of an instant; counted once.

use kernel::clock::DAY_US;
use kernel::frame::Cell;
use rondo_telemetry::{Outcome, Scan};

use crate::kit::{DAY, all, open, outcome, p, rows, send, shown, told};

#[tokio::test]
async fn an_outcome_joins_its_prediction_in_whichever_order_they_come() {
    for flushes in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        log.append_outcomes(vec![outcome("early", 1.0, DAY + 50)]).await.unwrap();
        if flushes & 1 == 1 {
            log.flush().await.unwrap();
        }
        send(&log, "d", "1", &[p("early", DAY + 10), p("late", DAY + 20), p("never", DAY + 30)]).unwrap();
        if flushes & 2 == 2 {
            log.flush().await.unwrap();
        }
        log.append_outcomes(vec![outcome("late", 0.0, DAY + 3 * DAY_US)]).await.unwrap();
        let expect = vec![("early", Some(1.0)), ("late", Some(0.0)), ("never", None)];
        assert_eq!(told(&rows(&log).await), expect, "flushes {flushes:b}");
        let counts = log.counts("d");
        assert_eq!((counts.predictions, counts.outcomes), (3, 2), "flushes {flushes:b}");
    }
}

#[tokio::test]
async fn a_revision_counts_from_when_it_was_observed() {
    for flush in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        send(&log, "d", "1", &[p("a", DAY)]).unwrap();
        for (value, observed) in [(1.0, 10), (3.0, 30), (2.0, 20), (1.0, 10)] {
            log.append_outcomes(vec![outcome("a", value, DAY + observed)]).await.unwrap();
            if flush {
                log.flush().await.unwrap();
            }
        }
        let check = async |as_of: Option<i64>, expect: Option<f64>| {
            let read = log.scan(Scan { as_of_us: as_of.map(|at| DAY + at), ..all("d") }).await.unwrap();
            assert_eq!(read.outcomes[0].as_f64(), expect, "as of {as_of:?}, flush {flush}");
        };
        check(Some(9), None).await;
        check(Some(10), Some(1.0)).await;
        check(Some(29), Some(2.0)).await;
        check(Some(30), Some(3.0)).await;
        check(None, Some(3.0)).await;
        assert_eq!(log.counts("d").outcomes, 1, "revisions are not counted");
        let found = log.find("a").await.unwrap().unwrap();
        assert_eq!(found.outcomes.last().unwrap().value, Cell::Number(3.0));
        assert_eq!((&*found.deployment, &*found.version, found.event_time_us, found.latency_us), ("d", "1", DAY, 42));
    }
}

#[tokio::test]
async fn every_type_of_outcome_comes_back_as_it_was() {
    let values = [Cell::Number(-0.5), Cell::Bool(true), Cell::Bool(false), Cell::Text("late".into())];
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let ids = ["a", "b", "c", "d"];
    send(&log, "d", "1", &ids.map(|id| p(id, DAY))).unwrap();
    let outcomes =
        ids.iter().zip(&values).map(|(id, value)| Outcome { value: value.clone(), ..outcome(id, 0.0, DAY + 7) });
    log.append_outcomes(outcomes.collect()).await.unwrap();
    let before = rows(&log).await;
    assert_eq!(before.outcomes, values);
    assert_eq!(before.observed_us, [DAY + 7; 4]);
    log.flush().await.unwrap();
    assert_eq!(shown(&rows(&log).await), shown(&before));
}

#[tokio::test]
async fn an_outcome_that_is_missing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for value in [Cell::Missing, Cell::Number(f64::NAN)] {
        let bad = Outcome { value, ..outcome("a", 0.0, DAY) };
        let error = log.append_outcomes(vec![bad]).await.unwrap_err();
        assert!(error.to_string().contains("\"a\""), "{error}");
    }
}

#[tokio::test]
async fn only_labelled_only_a_version_only_the_newest() {
    for flush in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        for day in 0..5 {
            let at = DAY + day * DAY_US;
            send(&log, "d", "1", &[p(&format!("a{day}"), at), p(&format!("b{day}"), at + 1)]).unwrap();
            send(&log, "d", "2", &[p(&format!("c{day}"), at + 1)]).unwrap();
            send(&log, "other", "1", &[p(&format!("o{day}"), at)]).unwrap();
            log.append_outcomes(vec![outcome(&format!("a{day}"), 1.0, at + 5)]).await.unwrap();
            if flush {
                log.flush().await.unwrap();
            }
        }
        let check = async |scan: Scan, expect: &[&str]| {
            assert_eq!(log.scan(scan.clone()).await.unwrap().ids, expect, "{scan:?}, flush {flush}");
        };
        check(Scan { labelled_only: true, ..all("d") }, &["a0", "a1", "a2", "a3", "a4"]).await;
        check(Scan { labelled_only: true, newest: Some(2), ..all("d") }, &["a3", "a4"]).await;
        check(Scan { version: Some("2".to_owned()), ..all("d") }, &["c0", "c1", "c2", "c3", "c4"]).await;
        check(Scan { newest: Some(4), ..all("d") }, &["c3", "a4", "b4", "c4"]).await;
        check(Scan { newest: Some(2), version: Some("1".to_owned()), ..all("d") }, &["a4", "b4"]).await;
        check(Scan { from_us: DAY + DAY_US + 1, until_us: DAY + 2 * DAY_US + 1, ..all("d") }, &["b1", "c1", "a2"])
            .await;
        check(Scan { from_us: DAY + 9 * DAY_US, ..all("d") }, &[]).await;
        check(all("nobody"), &[]).await;
        assert_eq!(log.deployments(), ["d", "other"]);
    }
}
