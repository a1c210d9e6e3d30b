//! Metrics: the latest point, histories, samples.

use db::Db;
use testkit::on_both;
use tracking::batch::{self, Batch};
use tracking::metric::{self, Metric};
use tracking::{MIGRATIONS, history};

use crate::{a_run, assert_error, get, read, write};

/// A point by value, timestamp and step.
fn point(value: f64, timestamp_ms: i64, step: i64) -> Metric {
    Metric { key: "m".to_owned(), value, timestamp_ms, step, ..Metric::default() }
}

async fn log(db: &Db, run_id: &str, metric: Metric) -> Result<(), tracking::Error> {
    let run_id = run_id.to_owned();
    write(db, move |tx, ctx| metric::log(tx, ctx, &run_id, metric)).await
}

async fn values(db: &Db, run_id: &str) -> Vec<f64> {
    let run_id = run_id.to_owned();
    let page = read(db, move |tx, ctx| history::get(tx, ctx, &run_id, "m", None, None)).await.unwrap();
    page.items.iter().map(|point| point.value).collect()
}

async fn latest(db: &Db, run_id: &str) -> (f64, i64, i64) {
    let metrics = get(db, run_id).await.metrics;
    assert_eq!(metrics.len(), 1);
    (metrics[0].value, metrics[0].timestamp_ms, metrics[0].step)
}

#[tokio::test]
async fn the_latest_point_is_the_greatest_not_the_last_written() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        log(&db, &id, point(1.0, 10, 5)).await.unwrap();
        log(&db, &id, point(9.0, 99, 4)).await.unwrap();
        assert_eq!(latest(&db, &id).await, (1.0, 10, 5), "an older step comes late");
        log(&db, &id, point(0.5, 10, 5)).await.unwrap();
        assert_eq!(latest(&db, &id).await, (1.0, 10, 5), "a smaller value at the same step and time");
        log(&db, &id, point(2.0, 10, 5)).await.unwrap();
        assert_eq!(latest(&db, &id).await, (2.0, 10, 5), "a greater value");
        log(&db, &id, point(-7.0, 11, 5)).await.unwrap();
        assert_eq!(latest(&db, &id).await, (-7.0, 11, 5), "a later time");
        log(&db, &id, point(f64::NAN, 11, 5)).await.unwrap();
        assert!(latest(&db, &id).await.0.is_nan(), "NaN counts as 0, which is greater than -7");
        log(&db, &id, point(0.5, 11, 5)).await.unwrap();
        assert_eq!(latest(&db, &id).await, (0.5, 11, 5));
        assert_eq!(values(&db, &id).await.len(), 7);
    })
    .await;
}

#[tokio::test]
async fn every_distinct_point_is_kept_once() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        for metric in [point(2.0, 2, 0), point(1.0, 1, 0), point(2.0, 2, 0), point(3.0, 2, 0), point(1.0, 1, 0)] {
            log(&db, &id, metric).await.unwrap();
        }
        assert_eq!(values(&db, &id).await, [1.0, 2.0, 3.0]);
        log(&db, &id, point(f64::INFINITY, 3, 0)).await.unwrap();
        log(&db, &id, point(f64::NAN, 3, 0)).await.unwrap();
        log(&db, &id, point(f64::NAN, 3, 0)).await.unwrap();
        log(&db, &id, point(f64::NEG_INFINITY, 3, 0)).await.unwrap();
        let all = values(&db, &id).await;
        assert_eq!((all.len(), all[3], all[5]), (6, f64::MIN, f64::MAX));
        assert!(all[4].is_nan());
    })
    .await;
}

#[tokio::test]
async fn wrong_points_are_refused_with_their_path() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        assert_error(log(&db, &id, point(1.0, -1, 0)).await, "Invalid value -1 for parameter 'timestamp' supplied");
        let named = |key: &str| Metric { key: key.to_owned(), ..point(1.0, 1, 1) };
        assert_error(log(&db, &id, named("../x")).await, "for parameter 'name' supplied");
        assert_error(log(&db, &id, named("a?b")).await, "Names may only contain alphanumerics");
        assert_error(log(&db, &id, named(&"x".repeat(251))).await, "'Metric name' exceeds the maximum length of 250");
        assert_error(log(&db, "nope", point(1.0, 1, 1)).await, "Run with id=nope not found");
    })
    .await;
}

#[tokio::test]
async fn histories_are_read_in_pages() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        for step in 0..7 {
            log(&db, &id, point(step as f64, 100 - step, step)).await.unwrap();
        }
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let (own, at) = (id.clone(), token.clone());
            let page =
                read(&db, move |tx, ctx| history::get(tx, ctx, &own, "m", Some(3), at.as_deref())).await.unwrap();
            seen.extend(page.items.iter().map(|point| point.step));
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, [6, 5, 4, 3, 2, 1, 0], "by timestamp");
        let page = read(&db, |tx, ctx| history::get(tx, ctx, "nope", "m", None, None)).await.unwrap();
        assert!(page.items.is_empty());
        let own = id.clone();
        let wrong = read(&db, move |tx, ctx| history::get(tx, ctx, &own, "m", Some(0), None)).await;
        assert_error(wrong, "Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer.");
        let wrong = read(&db, move |tx, ctx| history::get(tx, ctx, &id, "m", None, Some("%%"))).await;
        assert_error(wrong, "Invalid page token, could not base64-decode");
    })
    .await;
}

#[tokio::test]
async fn a_sample_takes_the_first_of_each_part_and_the_very_last() {
    on_both(MIGRATIONS, |db| async move {
        let (id, other) = (a_run(&db).await, a_run(&db).await);
        for step in 0..10 {
            log(&db, &id, point(0.0, 0, step)).await.unwrap();
        }
        log(&db, &other, point(5.0, 0, 1)).await.unwrap();
        let sample = |steps: Option<(i64, i64)>, max_results: i64| {
            let ids = vec![id.clone(), "nope".to_owned()];
            let sampled = read(&db, move |tx, ctx| history::sample(tx, ctx, &ids, "m", steps, max_results));
            async move { sampled.await.unwrap().iter().map(|point| point.step).collect::<Vec<i64>>() }
        };
        // What MLflow 3.18 answers: NTILE(k), first of each, and the last point in place of the last sample.
        assert_eq!(sample(None, 100).await, (0..10).collect::<Vec<i64>>());
        assert_eq!(sample(None, 4).await, [0, 3, 6, 9]);
        assert_eq!(sample(None, 3).await, [0, 4, 9]);
        assert_eq!(sample(None, 1).await, [9]);
        assert_eq!(sample(Some((2, 5)), 2).await, [2, 5]);
        assert_eq!(sample(Some((20, 30)), 2).await, [] as [i64; 0]);
        let ids = vec![other.clone(), id.clone()];
        let all = read(&db, move |tx, ctx| history::bulk(tx, ctx, &ids, "m", 1_000)).await.unwrap();
        assert_eq!(all.len(), 11);
        assert!(all.is_sorted_by_key(|point| (point.run_id.clone(), point.step)));
    })
    .await;
}

/// Points of one series that came in batches, one by one, twice and out of order are one history.
#[tokio::test]
async fn batches_and_single_points_are_one_history() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        let batch = |steps: &[i64], value: f64| Batch {
            metrics: steps.iter().map(|step| point(value, 1_000 - step, *step)).collect(),
            ..Batch::default()
        };
        let up: Vec<i64> = (0..20).collect();
        let down: Vec<i64> = (10..30).rev().collect();
        for (steps, value) in [(&up, 1.0), (&down, 1.0), (&up, 1.0), (&up, f64::NAN), (&down, f64::INFINITY)] {
            let (own, batch) = (id.clone(), batch(steps, value));
            write(&db, move |tx, ctx| batch::log(tx, ctx, &own, batch)).await.unwrap();
        }
        log(&db, &id, point(1.0, 1_000 - 5, 5)).await.unwrap();
        log(&db, &id, point(0.0, 1_000 - 5, 5)).await.unwrap();
        log(&db, &id, point(-0.0, 1_000 - 5, 5)).await.unwrap();
        let own = id.clone();
        let whole = read(&db, move |tx, ctx| history::get(tx, ctx, &own, "m", None, None)).await.unwrap().items;
        let mut expect = vec![(995, 5, 0.0)];
        expect.extend((0..30).map(|step| (1_000 - step, step, 1.0)));
        expect.extend((0..20).map(|step| (1_000 - step, step, f64::NAN)));
        expect.extend((10..30).map(|step| (1_000 - step, step, f64::MAX)));
        let order = |value: f64| if value.is_nan() { 0.0 } else { value };
        expect.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(order(a.2).total_cmp(&order(b.2))));
        let seen: Vec<(i64, i64, f64)> = whole.iter().map(|one| (one.timestamp_ms, one.step, one.value)).collect();
        assert_eq!(format!("{seen:?}"), format!("{expect:?}"), "0 comes before NaN, which counts as 0");
        let (mut pages, mut token) = (Vec::new(), None);
        loop {
            let (own, at) = (id.clone(), token.clone());
            let get = move |tx: &mut db::Tx<'_>, ctx: &_| history::get(tx, ctx, &own, "m", Some(7), at.as_deref());
            let page = read(&db, get).await.unwrap();
            pages.extend(page.items);
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(format!("{pages:?}"), format!("{whole:?}"));
        assert_eq!(latest(&db, &id).await, (f64::MAX, 971, 29));
    })
    .await;
}
