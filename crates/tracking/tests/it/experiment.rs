//! Experiments: ids, names, tags, the bin.

use testkit::on_both;
use tracking::{MIGRATIONS, Pair, Stage, experiment, run};

use crate::{a_run, assert_error, get, pairs, read, write};

#[tokio::test]
async fn the_default_experiment_is_there() {
    on_both(MIGRATIONS, |db| async move {
        let default = read(&db, |tx, ctx| experiment::get(tx, ctx, "0")).await.unwrap();
        assert_eq!(default.name, "Default");
        let location = default.artifact_location.clone();
        let named = read(&db, |tx, ctx| experiment::get_by_name(tx, ctx, "Default")).await.unwrap();
        assert_eq!((named, location.as_str()), (default, "mlflow-artifacts:/0"));
    })
    .await;
}

#[tokio::test]
async fn ids_grow_and_names_are_unique_even_among_the_deleted() {
    on_both(MIGRATIONS, |db| async move {
        let create = |name: &'static str| write(&db, move |tx, ctx| experiment::create(tx, ctx, name, None, &[]));
        assert_eq!(create("a").await.unwrap(), "1");
        assert_error(create("a").await, "Experiment(name=a) already exists.");
        assert_eq!(create("b").await.unwrap(), "2");
        write(&db, |tx, ctx| experiment::delete(tx, ctx, "1")).await.unwrap();
        assert_error(create("a").await, "already exists");
        assert_error(create("  ").await, "Invalid experiment name");
        let rename = |name: &'static str| write(&db, move |tx, ctx| experiment::rename(tx, ctx, "2", name));
        assert_error(rename("a").await, "already exists");
        rename("c").await.unwrap();
        assert_error(write(&db, |tx, ctx| experiment::rename(tx, ctx, "1", "d")).await, "non-active");
        let long = "x".repeat(501);
        let too_long = write(&db, move |tx, ctx| experiment::create(tx, ctx, &long, None, &[])).await;
        assert_error(too_long, "'name' exceeds the maximum length of 500 characters");
    })
    .await;
}

#[tokio::test]
async fn deleting_takes_the_runs_along_and_restoring_brings_them_back() {
    on_both(MIGRATIONS, |db| async move {
        let run_id = a_run(&db).await;
        write(&db, |tx, ctx| experiment::delete(tx, ctx, "0")).await.unwrap();
        assert_eq!(get(&db, &run_id).await.info.stage, Stage::Deleted);
        let gone = read(&db, |tx, ctx| experiment::get(tx, ctx, "0")).await.unwrap();
        assert_eq!(gone.stage, Stage::Deleted);
        assert_error(write(&db, |tx, ctx| experiment::delete(tx, ctx, "0")).await, "No Experiment with id=0 exists");
        let new = run::NewRun { experiment_id: "0".to_owned(), ..run::NewRun::default() };
        let refused = write(&db, move |tx, ctx| run::create(tx, ctx, new)).await;
        assert_error(refused, "The experiment 0 must be in the 'active' state. Current state is deleted.");
        write(&db, |tx, ctx| experiment::restore(tx, ctx, "0")).await.unwrap();
        assert_eq!(get(&db, &run_id).await.info.stage, Stage::Active);
        assert_error(write(&db, |tx, ctx| experiment::restore(tx, ctx, "0")).await, "No Experiment with id=0 exists");
    })
    .await;
}

#[tokio::test]
async fn tags_are_set_overwritten_and_deleted() {
    on_both(MIGRATIONS, |db| async move {
        let tags = pairs(&[("team", "a"), ("empty", "")]);
        let id = write(&db, move |tx, ctx| experiment::create(tx, ctx, "x", Some("s3://b/x"), &tags)).await.unwrap();
        let set = |key: &'static str| {
            let id = id.clone();
            write(&db, move |tx, ctx| {
                experiment::set_tag(tx, ctx, &id, &Pair::new(key, "b"))?;
                experiment::delete_tag(tx, ctx, &id, "empty")?;
                experiment::get(tx, ctx, &id)
            })
        };
        let found = set("team").await.unwrap();
        assert_eq!((found.tags, found.artifact_location.as_str()), (pairs(&[("team", "b")]), "s3://b/x"));
        assert_error(set("team").await, "No tag with name: empty in experiment with id 1");
        assert_error(set("a//b").await, "would resolve to 'a/b'");
    })
    .await;
}

#[tokio::test]
async fn ids_that_are_no_numbers_are_told_so() {
    on_both(MIGRATIONS, |db| async move {
        let wrong = read(&db, |tx, ctx| experiment::get(tx, ctx, "abc")).await;
        assert_error(wrong, "Invalid experiment ID 'abc'. Experiment ID must be a valid integer.");
        let missing = read(&db, |tx, ctx| experiment::get(tx, ctx, "77")).await;
        assert_error(missing, "No Experiment with id=77 exists");
    })
    .await;
}
