//! Datasets as inputs of runs.

use testkit::on_both;
use tracking::dataset::{self, DatasetInput};
use tracking::{MIGRATIONS, experiment};

use crate::{a_run, assert_error, get, pairs, read, write};

fn input(name: &str, digest: &str, context: &str) -> DatasetInput {
    DatasetInput {
        name: name.to_owned(),
        digest: digest.to_owned(),
        source_type: "local".to_owned(),
        source: "{\"uri\": \"flights.csv\"}".to_owned(),
        schema: Some("{}".to_owned()),
        profile: None,
        tags: pairs(&[(dataset::CONTEXT_TAG, context)]),
    }
}

#[tokio::test]
async fn a_dataset_is_kept_once_and_an_edge_keeps_its_tags() {
    on_both(MIGRATIONS, |db| async move {
        let (id, other) = (a_run(&db).await, a_run(&db).await);
        for (run_id, inputs) in [
            (&id, vec![input("b", "1", "training"), input("a", "1", "training"), input("b", "1", "ignored")]),
            (&id, vec![input("b", "1", "too late")]),
            (&other, vec![input("b", "1", "testing"), input("b", "2", "testing")]),
        ] {
            let run_id = run_id.clone();
            write(&db, move |tx, ctx| dataset::log_inputs(tx, ctx, &run_id, &inputs, &[])).await.unwrap();
        }
        let own = id.clone();
        let found = read(&db, move |tx, ctx| dataset::of_run(tx, ctx, &own)).await.unwrap();
        assert_eq!(found, [input("b", "1", "training"), input("a", "1", "training")]);
        assert_eq!(get(&db, &id).await.datasets, found);
        let ids = ["0".to_owned(), "77".to_owned()];
        let summaries = read(&db, move |tx, ctx| dataset::summaries(tx, ctx, &ids)).await.unwrap();
        let shown: Vec<_> = summaries.iter().map(|one| (&*one.name, &*one.digest, one.context.as_deref())).collect();
        let expect = [
            ("a", "1", Some("training")),
            ("b", "1", Some("testing")),
            ("b", "1", Some("training")),
            ("b", "2", Some("testing")),
        ];
        assert_eq!(shown, expect);
    })
    .await;
}

#[tokio::test]
async fn datasets_are_kept_apart_by_experiment() {
    on_both(MIGRATIONS, |db| async move {
        let id = write(&db, |tx, ctx| experiment::create(tx, ctx, "x", None, &[])).await.unwrap();
        let new = tracking::run::NewRun { experiment_id: id, ..tracking::run::NewRun::default() };
        let elsewhere = write(&db, move |tx, ctx| tracking::run::create(tx, ctx, new)).await.unwrap().info.run_id;
        for run_id in [a_run(&db).await, elsewhere] {
            let one = [input("a", "1", "training")];
            write(&db, move |tx, ctx| dataset::log_inputs(tx, ctx, &run_id, &one, &[])).await.unwrap();
        }
        let found = read(&db, |tx, ctx| dataset::summaries(tx, ctx, &["1".to_owned()])).await.unwrap();
        assert_eq!(found.iter().map(|one| &*one.experiment_id).collect::<Vec<_>>(), ["1"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        let log = |one: DatasetInput| {
            let id = id.clone();
            write(&db, move |tx, ctx| dataset::log_inputs(tx, ctx, &id, &[one], &[]))
        };
        let long = |length: usize| "x".repeat(length);
        assert_error(log(input(&long(501), "1", "")).await, "'name' exceeds the maximum length of 500 characters");
        assert_error(log(input("a", &long(37), "")).await, "'digest' exceeds the maximum length of 36 characters");
        assert_error(log(input("a", "1", &long(501))).await, "'value' exceeds the maximum length of 500 characters");
        assert!(get(&db, &id).await.datasets.is_empty());
    })
    .await;
}
