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

/// A batch of many different metrics waits; nobody sees it, whoever reads, and however often its points come again.
#[tokio::test]
async fn a_wide_batch_is_there_at_once_for_every_reader() {
    use tracking::search::{RunSearch, runs, settled_runs};
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        let at = |step: i64, value: f64, keys: usize| {
            let one = |index| Metric {
                key: format!("m{index}"),
                value: value + index as f64,
                timestamp_ms: 1,
                step,
                ..Metric::default()
            };
            Batch { metrics: (0..keys).map(one).collect(), ..Batch::default() }
        };
        let log = |batch: Batch| {
            let id = id.clone();
            write(&db, move |tx, ctx| batch::log(tx, ctx, &id, batch))
        };
        // One narrow batch between, and the latest step comes first.
        log(at(7, 700.0, 40)).await.unwrap();
        log(at(3, 300.0, 2)).await.unwrap();
        log(at(5, 500.0, 50)).await.unwrap();
        log(at(5, 500.0, 50)).await.unwrap();
        let seen = async |when: &str| {
            let run = get(&db, &id).await;
            let latest: Vec<_> =
                run.metrics.iter().map(|metric| (metric.key.as_str(), metric.step, metric.value)).collect();
            assert_eq!(latest.len(), 50, "{when}");
            assert!(latest.is_sorted(), "{when}: {latest:?}");
            assert!(latest.contains(&("m1", 7, 701.0)) && latest.contains(&("m45", 5, 545.0)), "{when}: {latest:?}");
            let history = async |key: &str, max: Option<i64>, token: Option<String>| {
                let (id, key) = (id.clone(), key.to_owned());
                let get = move |tx: &mut db::Tx<'_>, ctx: &_| history::get(tx, ctx, &id, &key, max, token.as_deref());
                read(&db, get).await.unwrap()
            };
            let steps = |points: &[Metric]| points.iter().map(|point| point.step).collect::<Vec<_>>();
            assert_eq!(steps(&history("m1", None, None).await.items), [3, 5, 7], "{when}");
            assert_eq!(steps(&history("m45", None, None).await.items), [5], "{when}");
            assert!(history("m50", None, None).await.items.is_empty(), "{when}");
            let first = history("m0", Some(2), None).await;
            assert_eq!(steps(&first.items), [3, 5], "{when}");
            assert_eq!(steps(&history("m0", Some(2), first.next_token).await.items), [7], "{when}");
            let own = id.clone();
            let bulk = read(&db, move |tx, ctx| history::bulk(tx, ctx, &[own], "m45", 10)).await.unwrap();
            assert_eq!(steps(&bulk), [5], "{when}");
            let own = id.clone();
            let sample = read(&db, move |tx, ctx| history::sample(tx, ctx, &[own], "m1", None, 2)).await.unwrap();
            assert_eq!(steps(&sample), [3, 7], "{when}");
        };
        seen("while it waits").await;

        let search = |filter: &str| RunSearch {
            experiment_ids: vec!["0".to_owned()],
            filter: filter.to_owned(),
            view: tracking::View::ActiveOnly,
            max_results: 10,
            order_by: Vec::new(),
            page_token: None,
        };
        let all = search("");
        let found = read(&db, move |tx, ctx| runs(tx, ctx, &all)).await.unwrap().items;
        assert_eq!(found[0].metrics.len(), 50, "a search that asks for no metric");
        let by_metric = search("metrics.m45 = 545");
        let again = by_metric.clone();
        assert!(matches!(read(&db, move |tx, ctx| runs(tx, ctx, &again)).await, Err(tracking::Error::Unsettled)));
        let found = write(&db, move |tx, ctx| settled_runs(tx, ctx, &by_metric)).await.unwrap().items;
        assert_eq!((found.len(), found[0].metrics.len()), (1, 50));
        seen("after it was settled").await;

        log(at(9, 900.0, 40)).await.unwrap();
        let quiet = |until: i64| db.write(move |tx| tracking::metric::settle_quiet(tx, until, 10));
        assert_eq!(quiet(crate::NOW_US / 1_000 - 1).await.unwrap(), 0, "not quiet yet");
        assert_eq!(quiet(crate::NOW_US / 1_000).await.unwrap(), 1);
        assert!(!db.read(tracking::metric::is_any_waiting).await.unwrap());
        let newest = search("metrics.m39 = 939");
        assert_eq!(read(&db, move |tx, ctx| runs(tx, ctx, &newest)).await.unwrap().items.len(), 1);

        // What waits goes along when its run is put into another experiment.
        log(at(11, 1_100.0, 40)).await.unwrap();
        let own = id.clone();
        let into = write(&db, move |tx, ctx| {
            let made = tracking::experiment::create(tx, ctx, "other", None, &[])?;
            tracking::run::put_into(tx, ctx, &own, &made)?;
            Ok(made)
        });
        let moved = RunSearch { experiment_ids: vec![into.await.unwrap()], ..search("metrics.m39 = 1139") };
        let left = search("metrics.m39 > 0");
        assert!(read(&db, move |tx, ctx| runs(tx, ctx, &left)).await.unwrap().items.is_empty());
        assert_eq!(write(&db, move |tx, ctx| settled_runs(tx, ctx, &moved)).await.unwrap().items.len(), 1);
    })
    .await;
}

/// However many wide batches come, few wait; and a run that ended has none.
#[tokio::test]
async fn wide_batches_do_not_pile_up() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        let waiting = || db.read(|tx| tx.query("SELECT batch FROM metric_waiting", &[]));
        for step in 0..100 {
            let one = |index: i64| Metric {
                key: format!("m{index}"),
                value: f64::NAN,
                timestamp_ms: step,
                step,
                ..Metric::default()
            };
            let batch = Batch { metrics: (0..32).map(one).collect(), ..Batch::default() };
            let own = id.clone();
            write(&db, move |tx, ctx| batch::log(tx, ctx, &own, batch)).await.unwrap();
            assert!(waiting().await.unwrap().len() < 64);
        }
        assert!(!waiting().await.unwrap().is_empty());
        let all = |key: &'static str| {
            let id = id.clone();
            read(&db, move |tx, ctx| history::get(tx, ctx, &id, key, None, None))
        };
        let steps: Vec<i64> = all("m31").await.unwrap().items.iter().map(|point| point.step).collect();
        assert_eq!(steps, (0..100).collect::<Vec<_>>());
        let own = id.clone();
        let ended = tracking::run::Change { status: Some(tracking::run::Status::Finished), ..Default::default() };
        write(&db, move |tx, ctx| tracking::run::update(tx, ctx, &own, ended)).await.unwrap();
        assert!(waiting().await.unwrap().is_empty());
        assert_eq!(all("m0").await.unwrap().items.len(), 100);
        assert!(get(&db, &id).await.metrics.iter().all(|metric| metric.step == 99 && metric.value.is_nan()));
    })
    .await;
}
