//! Searching runs and experiments: filters, orders, pages.

use db::Db;
use testkit::on_both;
use tracking::batch::{self, Batch};
use tracking::dataset::{self, DatasetInput};
use tracking::metric::Metric;
use tracking::run::{self, NewRun};
use tracking::search::{self, ExperimentSearch, RunSearch};
use tracking::{Error, MIGRATIONS, View, experiment};

use crate::{assert_error, pairs, read, write};

/// Runs named `a` to `e`, with what the searches below look for.
async fn five_runs(db: &Db) {
    let rows: [(&str, Option<f64>, &str, &str); 5] = [
        ("a", Some(1.0), "4", "x"),
        ("b", Some(2.0), "8", "x"),
        ("c", Some(f64::NAN), "Deep", "y"),
        ("d", None, "", ""),
        ("e", Some(0.0), "4", "Y%"),
    ];
    for (index, (name, mae, depth, team)) in rows.into_iter().enumerate() {
        let new = NewRun {
            experiment_id: "0".to_owned(),
            user_id: "ada".to_owned(),
            run_name: name.to_owned(),
            start_ms: 10 + index as i64,
            tags: if team.is_empty() { Vec::new() } else { pairs(&[("team", team)]) },
        };
        let id = write(db, move |tx, ctx| run::create(tx, ctx, new)).await.unwrap().info.run_id;
        let metrics = mae.map(|value| Metric { key: "val mae".to_owned(), value, ..Metric::default() });
        let params = if depth.is_empty() { Vec::new() } else { pairs(&[("depth", depth)]) };
        let batch = Batch { metrics: metrics.into_iter().collect(), params, tags: Vec::new() };
        let own = id.clone();
        write(db, move |tx, ctx| batch::log(tx, ctx, &own, batch)).await.unwrap();
        if name == "b" {
            let input = DatasetInput {
                name: "flights".to_owned(),
                digest: "1f".to_owned(),
                tags: pairs(&[(dataset::CONTEXT_TAG, "training")]),
                ..DatasetInput::default()
            };
            write(db, move |tx, ctx| dataset::log_inputs(tx, ctx, &id, &[input], &[])).await.unwrap();
        } else if name == "e" {
            write(db, move |tx, ctx| run::update(tx, ctx, &id, ended())).await.unwrap();
        }
    }
}

fn ended() -> run::Change {
    run::Change { status: Some(run::Status::Finished), end_ms: Some(99), run_name: None }
}

fn by(filter: &str, order_by: &[&str]) -> RunSearch {
    RunSearch {
        experiment_ids: vec!["0".to_owned()],
        filter: filter.to_owned(),
        view: View::ActiveOnly,
        max_results: 100,
        order_by: order_by.iter().map(|item| (*item).to_owned()).collect(),
        page_token: None,
    }
}

async fn names(db: &Db, search: RunSearch) -> Result<String, Error> {
    let page = read(db, move |tx, ctx| search::runs(tx, ctx, &search)).await?;
    Ok(page.items.iter().map(|run| run.info.run_name.as_str()).collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn runs_are_filtered() {
    on_both(MIGRATIONS, |db| async move {
        five_runs(&db).await;
        for (filter, expect) in [
            ("", "a b c d e"),
            ("metrics.`val mae` > 0.5", "a b"),
            ("metrics.\"val mae\" <= 1", "a e"),
            ("metric.`val mae` != 1", "b c e"),
            ("metrics.`val mae` = 0", "e"),
            ("params.depth = '4'", "a e"),
            ("param.depth != '4'", "b c"),
            ("parameters.depth LIKE '%ee%'", "c"),
            ("params.depth LIKE 'deep'", ""),
            ("params.depth ilike 'deep'", "c"),
            ("params.depth IS NULL", "d"),
            ("params.depth IS NOT NULL AND tags.team = 'x'", "a b"),
            ("tags.team LIKE '_'", "a b c"),
            ("tag.team LIKE 'Y%'", "e"),
            ("tags.team LIKE 'Y\\%'", ""),
            ("attributes.run_name = 'c'", "c"),
            ("`run name` = 'c'", "c"),
            ("run_name ILIKE 'C'", "c"),
            ("tags.`mlflow.runName` = 'c'", "c"),
            ("status = 'RUNNING' AND status != 'FAILED'", "a b c d"),
            ("attr.start_time >= 12", "c d e"),
            ("created < 10.5", "a"),
            ("end_time > 5", "e"),
            ("user_id = 'ada'", "a b c d e"),
            ("run_id IN ('nope', 'neither')", ""),
            ("run_id NOT IN ('nope')", "a b c d e"),
            ("datasets.name = 'flights' AND dataset.digest IN ('1f', '2')", "b"),
            ("dataset.context LIKE 'train%'", "b"),
            ("dataset.context = 'testing'", ""),
        ] {
            assert_eq!(names(&db, by(filter, &["start_time ASC"])).await.unwrap(), expect, "{filter}");
        }
    })
    .await;
}

#[tokio::test]
async fn runs_are_ordered() {
    on_both(MIGRATIONS, |db| async move {
        five_runs(&db).await;
        for (order, expect) in [
            (&[][..], "e d c b a"),
            (&["metrics.`val mae`"], "e a b c d"),
            (&["metrics.`val mae` DESC"], "b a e c d"),
            (&["params.depth DESC"], "c b e a d"),
            (&["params.depth", "start_time"], "a e b c d"),
            (&["tags.team desc"], "c b a e d"),
            (&["attribute.end_time ASC", "run_name ASC"], "e a b c d"),
            (&["created ASC"], "a b c d e"),
            (&["metrics.nope DESC"], "e d c b a"),
        ] {
            assert_eq!(names(&db, by("", order)).await.unwrap(), expect, "{order:?}");
        }
        let twice = by("", &["params.depth", "param.depth DESC"]);
        assert_error(names(&db, twice).await, "`order_by` contains duplicate fields");
        assert_error(names(&db, by("", &["dataset.name"])).await, "Invalid identifier type 'dataset'");
        assert_error(names(&db, by("", &["metrics.a b"])).await, "Invalid order_by clause 'metrics.a b'");
    })
    .await;
}

#[tokio::test]
async fn wrong_filters_say_what_is_wrong() {
    on_both(MIGRATIONS, |db| async move {
        for (filter, expect) in [
            (" ", "Invalid filter ' '. Could not be parsed."),
            ("metrics.a > 1 OR metrics.b > 1", "expected AND or the end at position 15, found 'OR'"),
            ("wrong.a = 'x'", "Invalid entity type 'wrong'."),
            ("metrics.a > 'x'", "Expected numeric value type for metric. Found 'x'"),
            ("params.a = 1", "Expected a quoted string value"),
            ("params.a > '1'", "Invalid comparator '>' not one of"),
            ("metrics.a LIKE 1", "Invalid comparator 'LIKE'"),
            ("metrics.a IS NULL", "Invalid comparator 'IS NULL'"),
            ("start_time = 'x'", "Expected numeric value type for numeric attribute: start_time. Found 'x'"),
            ("nope = 'x'", "Invalid attribute key 'nope' specified."),
            ("status IN ('a')", "Only ['run_id'] attributes support comparison with a list"),
            ("dataset.nope = 'x'", "Invalid dataset key 'nope' specified."),
        ] {
            assert_error(names(&db, by(filter, &[])).await, expect);
        }
        let no_such = RunSearch { experiment_ids: vec!["a".to_owned()], ..by("", &[]) };
        assert_error(names(&db, no_such).await, "Invalid experiment ID 'a'");
        let zero = RunSearch { max_results: 0, ..by("", &[]) };
        assert_error(
            names(&db, zero).await,
            "Invalid value 0 for parameter 'max_results' supplied. It must be a positive",
        );
        let many = RunSearch { max_results: 50_001, ..by("", &[]) };
        assert_error(names(&db, many).await, "It must be at most 50000");
    })
    .await;
}

#[tokio::test]
async fn pages_and_views_show_each_run_once() {
    on_both(MIGRATIONS, |db| async move {
        five_runs(&db).await;
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let search = RunSearch { max_results: 2, page_token: token, ..by("", &["run_name ASC"]) };
            let page = read(&db, move |tx, ctx| search::runs(tx, ctx, &search)).await.unwrap();
            assert!(page.items.iter().all(|run| !run.tags.is_empty()));
            seen.extend(page.items.into_iter().map(|run| run.info.run_name));
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["a", "b", "c", "d", "e"]);
        let all = read(&db, |tx, ctx| search::runs(tx, ctx, &by("run_name = 'a'", &[]))).await.unwrap();
        let id = all.items[0].info.run_id.clone();
        write(&db, move |tx, ctx| run::delete(tx, ctx, &id)).await.unwrap();
        let in_view = |view: View| RunSearch { view, ..by("", &["run_name"]) };
        assert_eq!(names(&db, in_view(View::ActiveOnly)).await.unwrap(), "b c d e");
        assert_eq!(names(&db, in_view(View::DeletedOnly)).await.unwrap(), "a");
        assert_eq!(names(&db, in_view(View::All)).await.unwrap(), "a b c d e");
        let elsewhere = RunSearch { experiment_ids: vec!["77".to_owned()], ..by("", &[]) };
        assert_eq!(names(&db, elsewhere).await.unwrap(), "");
        let nowhere = RunSearch { experiment_ids: Vec::new(), ..by("", &[]) };
        assert_eq!(names(&db, nowhere).await.unwrap(), "");
    })
    .await;
}

async fn experiments(db: &Db, filter: &str, order_by: &[&str]) -> Result<String, Error> {
    let search = ExperimentSearch {
        filter: filter.to_owned(),
        view: View::ActiveOnly,
        max_results: 100,
        order_by: order_by.iter().map(|item| (*item).to_owned()).collect(),
        page_token: None,
    };
    let page = read(db, move |tx, ctx| search::experiments(tx, ctx, &search)).await?;
    Ok(page.items.iter().map(|found| found.name.as_str()).collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn experiments_are_searched() {
    on_both(MIGRATIONS, |db| async move {
        for (name, team) in [("visit", "a"), ("flight", "b"), ("gone", "a")] {
            let tags = pairs(&[("team", team)]);
            write(&db, move |tx, ctx| experiment::create(tx, ctx, name, None, &tags)).await.unwrap();
        }
        write(&db, |tx, ctx| experiment::delete(tx, ctx, "3")).await.unwrap();
        for (filter, order, expect) in [
            ("", &[][..], "visit flight Default"),
            ("", &["name ASC"], "Default flight visit"),
            ("", &["creation_time"], "Default flight visit"),
            ("", &["experiment_id DESC"], "flight visit Default"),
            ("name LIKE '%i%t'", &["name"], "flight visit"),
            ("attribute.name ILIKE 'VISIT' AND tags.team = 'a'", &[], "visit"),
            ("tags.team IS NULL", &[], "Default"),
            ("tag.team != 'a'", &[], "flight"),
            ("experiment_id IN ('1', '2') AND experiment_id != '2'", &[], "visit"),
            ("creation_time > 0", &["name"], "flight visit"),
        ] {
            assert_eq!(experiments(&db, filter, order).await.unwrap(), expect, "{filter} {order:?}");
        }
        assert_error(experiments(&db, "metrics.a = 1", &[]).await, "Invalid entity type 'metrics'");
        assert_error(experiments(&db, "creation_time > 1.5", &[]).await, "Invalid value for numeric attribute");
        assert_error(experiments(&db, "name IN ('a')", &[]).await, "Invalid comparator 'IN'");
        assert_error(experiments(&db, "", &["tags.team"]).await, "Invalid order_by entity: tag");
        assert_error(experiments(&db, "", &["nope"]).await, "Invalid attribute key 'nope'");
    })
    .await;
}

/// A run of the test below: its number is its start; `m` repeats, is NaN or absent now and then; few have `rare`.
fn many(number: i64) -> Vec<Metric> {
    let metric = |key: &str, value: f64| Metric { key: key.to_owned(), value, ..Metric::default() };
    let m = match number % 10 {
        8 => None,
        9 => Some(f64::NAN),
        _ => Some((number % 97) as f64),
    };
    let rare = (number % 50 == 0).then(|| metric("rare", number as f64));
    m.map(|value| metric("m", value)).into_iter().chain([metric("n", number as f64)]).chain(rare).collect()
}

/// Whatever index a search goes by, the order is the same: value, NaN, absent, then the newest.
#[tokio::test]
async fn many_runs_are_found_in_the_same_order_by_every_way() {
    on_both(MIGRATIONS, |db| async move {
        let start = |tx: &mut db::Tx<'_>, ctx: &kernel::ctx::Ctx| {
            for number in 0..700 {
                let name = number.to_string();
                let new =
                    NewRun { experiment_id: "0".to_owned(), run_name: name, start_ms: number, ..NewRun::default() };
                let run = run::create(tx, ctx, new)?.info.run_id;
                batch::log(tx, ctx, &run, Batch { metrics: many(number), ..Batch::default() })?;
            }
            Ok(())
        };
        write(&db, start).await.unwrap();
        let value = |number: i64| many(number).iter().find(|metric| metric.key == "m").map(|metric| metric.value);
        let rank = |number: &i64| value(*number).map_or(2, |value| i32::from(value.is_nan()));
        let check = async |filter: &str, pass: &dyn Fn(i64) -> bool, order: &str, sign: f64| {
            let mut expect: Vec<i64> = (0..700).filter(|number| pass(*number)).collect();
            if order.is_empty() {
                expect.reverse();
            } else {
                let key = |number: &i64| sign * value(*number).filter(|value| !value.is_nan()).unwrap_or(0.0);
                expect.sort_by(|a, b| rank(a).cmp(&rank(b)).then(key(a).total_cmp(&key(b))).then(b.cmp(a)));
            }
            let (mut seen, mut token) = (Vec::new(), None);
            loop {
                let orders: &[&str] = if order.is_empty() { &[] } else { &[order] };
                let search = RunSearch { max_results: 150, page_token: token, ..by(filter, orders) };
                let page = read(&db, move |tx, ctx| search::runs(tx, ctx, &search)).await.unwrap();
                seen.extend(page.items.iter().map(|run| run.info.run_name.parse::<i64>().unwrap()));
                token = page.next_token;
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expect, "{filter} {order}");
        };
        let less = |limit: f64| move |number: i64| value(number).is_some_and(|value| value < limit);
        check("", &|_| true, "metrics.m ASC", 1.0).await;
        check("", &|_| true, "metrics.m DESC", -1.0).await;
        check("metrics.m < 90", &less(90.0), "metrics.m ASC", 1.0).await;
        check("metrics.m < 90", &less(90.0), "metrics.m DESC", -1.0).await;
        check("metrics.m < 90", &less(90.0), "", 1.0).await;
        check("metrics.m < 3", &less(3.0), "metrics.m DESC", -1.0).await;
        check(
            "metrics.n >= 20 AND metrics.m != 5",
            &|number| number >= 20 && value(number).is_some_and(|value| value != 5.0),
            "metrics.m ASC",
            1.0,
        )
        .await;
        check("metrics.rare > 100", &|number| number > 100 && number % 50 == 0, "metrics.m DESC", -1.0).await;
        check(
            "metrics.n < 600 AND metrics.rare > 100",
            &|number| number > 100 && number < 600 && number % 50 == 0,
            "",
            1.0,
        )
        .await;
        check("metrics.none > 1", &|_| false, "metrics.m", 1.0).await;
    })
    .await;
}
