//! Runs: their life, params and tags.

use testkit::on_both;
use tracking::run::{Change, NewRun, Status};
use tracking::{MIGRATIONS, Pair, Stage, param, run, tag};

use crate::{a_run, assert_error, get, pairs, read, write};

fn new(name: &str, tagged: &str) -> NewRun {
    NewRun {
        experiment_id: "0".to_owned(),
        user_id: "ada".to_owned(),
        run_name: name.to_owned(),
        start_ms: 7,
        tags: if tagged.is_empty() { Vec::new() } else { pairs(&[("mlflow.runName", tagged)]) },
    }
}

#[tokio::test]
async fn a_new_run_is_running_and_named() {
    on_both(MIGRATIONS, |db| async move {
        let run = write(&db, |tx, ctx| run::create(tx, ctx, new("visit", ""))).await.unwrap();
        let id = run.info.run_id.clone();
        assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
        assert_eq!(run.info.artifact_uri, format!("mlflow-artifacts:/0/{id}/artifacts"));
        assert_eq!((run.info.status, run.info.start_ms, run.info.end_ms), (Status::Running, 7, None));
        assert_eq!((run.info.run_name.as_str(), run.info.user_id.as_str()), ("visit", "ada"));
        assert_eq!(run.tags, pairs(&[("mlflow.runName", "visit")]));
        assert_eq!(run, get(&db, &id).await);
        let by_tag = write(&db, |tx, ctx| run::create(tx, ctx, new("", "tagged"))).await.unwrap();
        assert_eq!(by_tag.info.run_name, "tagged");
        let made_up = write(&db, |tx, ctx| run::create(tx, ctx, new("", ""))).await.unwrap().info.run_name;
        assert!(made_up.len() <= 20 && made_up.matches('-').count() == 2, "{made_up}");
        let both = write(&db, |tx, ctx| run::create(tx, ctx, new("a", "b"))).await;
        assert_error(both, "with different values (run_name='a', mlflow.runName='b')");
    })
    .await;
}

#[tokio::test]
async fn an_update_changes_only_what_it_says() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        let update = |change: Change| {
            let id = id.clone();
            write(&db, move |tx, ctx| run::update(tx, ctx, &id, change))
        };
        let ended = Change { status: Some(Status::Finished), end_ms: Some(9), run_name: None };
        let info = update(ended).await.unwrap();
        assert_eq!((info.status, info.end_ms, info.run_name.as_str()), (Status::Finished, Some(9), "first"));
        let renamed = Change { run_name: Some("second".to_owned()), ..Change::default() };
        let info = update(renamed).await.unwrap();
        assert_eq!((info.status, info.end_ms, info.run_name.as_str()), (Status::Finished, Some(9), "second"));
        assert_eq!(get(&db, &id).await.tags, pairs(&[("mlflow.runName", "second")]));
        let tagged = id.clone();
        let name = Pair::new("mlflow.runName", "third");
        write(&db, move |tx, ctx| tag::set(tx, ctx, &tagged, name)).await.unwrap();
        assert_eq!(get(&db, &id).await.info.run_name, "third");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_run_can_be_read_but_takes_nothing() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        let own = id.clone();
        write(&db, move |tx, ctx| run::delete(tx, ctx, &own)).await.unwrap();
        assert_eq!(get(&db, &id).await.info.stage, Stage::Deleted);
        let own = id.clone();
        let refused = write(&db, move |tx, ctx| param::log(tx, ctx, &own, Pair::new("p", "1"))).await;
        assert_error(refused, &format!("The run {id} must be in the 'active' state. Current state is deleted."));
        let own = id.clone();
        write(&db, move |tx, ctx| run::restore(tx, ctx, &own)).await.unwrap();
        let own = id.clone();
        write(&db, move |tx, ctx| param::log(tx, ctx, &own, Pair::new("p", "1"))).await.unwrap();
        assert_error(read(&db, |tx, ctx| run::get(tx, ctx, "nope")).await, "Run with id=nope not found");
        assert_error(write(&db, |tx, ctx| run::delete(tx, ctx, "nope")).await, "Run with id=nope not found");
    })
    .await;
}

#[tokio::test]
async fn params_are_written_once() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        let log = |key: &'static str, value: String| {
            let id = id.clone();
            write(&db, move |tx, ctx| param::log(tx, ctx, &id, Pair { key: key.to_owned(), value }))
        };
        log("p", "1".to_owned()).await.unwrap();
        log("p", "1".to_owned()).await.unwrap();
        log("empty", String::new()).await.unwrap();
        let text = format!(
            "Changing param values is not allowed. Param with key='p' was already logged with value='1' for run \
             ID='{id}'. Attempted logging new value '2'."
        );
        assert_error(log("p", "2".to_owned()).await, &text);
        log("long", "é".repeat(6_001)).await.unwrap();
        let params = get(&db, &id).await.params;
        let lengths: Vec<(String, usize)> =
            params.into_iter().map(|param| (param.key, param.value.chars().count())).collect();
        assert_eq!(lengths, [("empty".to_owned(), 0), ("long".to_owned(), 6_000), ("p".to_owned(), 1)]);
        assert_error(log("a/../b", "1".to_owned()).await, "This name would resolve to 'b'");
    })
    .await;
}

#[tokio::test]
async fn tags_change_and_go() {
    on_both(MIGRATIONS, |db| async move {
        let id = a_run(&db).await;
        let set = |value: String| {
            let id = id.clone();
            write(&db, move |tx, ctx| tag::set(tx, ctx, &id, Pair { key: "t".to_owned(), value }))
        };
        set("1".to_owned()).await.unwrap();
        set("x".repeat(8_001)).await.unwrap();
        assert_eq!(get(&db, &id).await.tags.last().map(|tag| tag.value.len()), Some(8_000));
        let delete = || {
            let id = id.clone();
            write(&db, move |tx, ctx| tag::delete(tx, ctx, &id, "t"))
        };
        delete().await.unwrap();
        assert_error(delete().await, &format!("No tag with name: t in run with id {id}"));
    })
    .await;
}
