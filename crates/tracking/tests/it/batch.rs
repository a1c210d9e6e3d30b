//! Batches: what goes in together, what is refused together.

use testkit::on_both;
use tracking::batch::{self, Batch};
use tracking::metric::Metric;
use tracking::{MIGRATIONS, history};

use crate::{a_run, assert_error, get, pairs, read, write};

fn metrics(count: usize, keys: usize) -> Vec<Metric> {
    let one = |index: usize| Metric {
        key: format!("m{}", index % keys),
        value: index as f64,
        timestamp_ms: 1,
        step: (index / keys) as i64,
        ..Metric::default()
    };
    (0..count).map(one).collect()
}

#[tokio::test]
async fn a_thousand_points_go_into_one_batch() {
    on_both(MIGRATIONS, |db| async move {
        for keys in [1, 7, 1_000] {
            let id = a_run(&db).await;
            let (own, batch) = (id.clone(), Batch { metrics: metrics(1_000, keys), ..Batch::default() });
            let again = batch.clone();
            write(&db, move |tx, ctx| batch::log(tx, ctx, &own, batch)).await.unwrap();
            let own = id.clone();
            write(&db, move |tx, ctx| batch::log(tx, ctx, &own, again)).await.unwrap();
            let run = get(&db, &id).await;
            assert_eq!(run.metrics.len(), keys);
            let newest = (1_000 - 1) / keys;
            let last = run.metrics.iter().find(|metric| metric.key == format!("m{}", 999 % keys)).unwrap();
            assert_eq!((last.step, last.value), (newest as i64, 999.0), "{keys} keys");
            let all = read(&db, move |tx, ctx| history::get(tx, ctx, &id, "m0", None, None)).await.unwrap().items;
            assert_eq!(all.len(), 1_000_usize.div_ceil(keys), "{keys} keys");
        }
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        let log = |batch: Batch| {
            let id = id.clone();
            write(&db, move |tx, ctx| batch::log(tx, ctx, &id, batch))
        };
        let first =
            Batch { params: pairs(&[("p", "1"), ("q", "it's")]), tags: pairs(&[("t", "1")]), ..Batch::default() };
        log(first).await.unwrap();
        let clash = Batch {
            metrics: metrics(1, 1),
            params: pairs(&[("p", "3"), ("q", "it's"), ("r", "1")]),
            tags: pairs(&[("t", "2")]),
        };
        let text = format!(
            "Changing param values is not allowed. Params were already logged='[{{'key': 'p', 'old_value': '1', \
             'new_value': '3'}}]' for run ID='{id}'."
        );
        assert_error(log(clash).await, &text);
        let run = get(&db, &id).await;
        assert_eq!((run.metrics.len(), run.params.len()), (0, 2));
        assert_eq!(run.tags, pairs(&[("mlflow.runName", "first"), ("t", "1")]));
        let twice = Batch { params: pairs(&[("a", "1"), ("a", "1")]), ..Batch::default() };
        assert_error(log(twice).await, "Duplicate parameter keys have been submitted: ['a'].");
        let renamed = Batch { tags: pairs(&[("mlflow.runName", "second")]), ..Batch::default() };
        log(renamed).await.unwrap();
        assert_eq!(get(&db, &id).await.info.run_name, "second");
    })
    .await;
}

#[tokio::test]
async fn limits_and_paths_are_told() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        let log = |batch: Batch| {
            let id = id.clone();
            write(&db, move |tx, ctx| batch::log(tx, ctx, &id, batch))
        };
        let many = Batch { metrics: metrics(1_001, 1), ..Batch::default() };
        assert_error(log(many).await, "can contain at most 1000 metrics. Got 1001 metrics. Please split up metrics");
        let hundred_one: Vec<(String, String)> = (0..101).map(|n| (format!("k{n}"), String::new())).collect();
        let hundred_one: Vec<(&str, &str)> = hundred_one.iter().map(|(key, value)| (&**key, &**value)).collect();
        let many = Batch { params: pairs(&hundred_one), ..Batch::default() };
        assert_error(log(many).await, "can contain at most 100 params. Got 101 params.");
        let many = Batch { metrics: metrics(950, 1), params: pairs(&hundred_one[..51]), ..Batch::default() };
        assert_error(log(many).await, "at most 1000 metrics, params, and tags. Got 1001 metrics, params, and tags.");
        let mut points = metrics(4, 1);
        points[3].key = "a//b".to_owned();
        assert_error(log(Batch { metrics: points, ..Batch::default() }).await, "for parameter 'metrics[3].name'");
        let wrong = Batch { params: pairs(&[("", "1")]), ..Batch::default() };
        assert_error(log(wrong).await, "for parameter 'params[0].key'");
        let wrong = Batch { tags: pairs(&[("a", "1"), ("/b", "1")]), ..Batch::default() };
        assert_error(log(wrong).await, "for parameter 'tags[1].key'");
    })
    .await;
}
