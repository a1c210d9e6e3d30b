//! The servers that share a database: who is there, and who may come.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use db::replica::{self, Newcomer};
use db::{Db, Error};
use futures_util::future::join_all;
use testkit::{TestDb, on_both};

use super::SCHEMA;

const LONG: Duration = Duration::from_mins(10);

fn server(id: &str, version: &str, store: &str) -> Newcomer {
    let address = format!("http://{id}");
    Newcomer { id: id.to_owned(), version: version.to_owned(), store: store.to_owned(), address }
}

async fn attend(db: &Db, who: Newcomer, ttl: Duration) -> Result<(), Error> {
    db.write(move |tx| replica::attend(tx, &who, ttl)).await
}

async fn alive(db: &Db) -> Vec<String> {
    let alive = db.read(replica::alive).await.unwrap();
    alive.into_iter().map(|one| one.id).collect()
}

#[tokio::test]
async fn those_who_fit_are_there_until_they_go_or_are_not_heard_of() {
    on_both(&[], |db| async move {
        attend(&db, server("a", "1", "s"), LONG).await.unwrap();
        attend(&db, server("b", "1", "s"), LONG).await.unwrap();
        attend(&db, server("a", "1", "s"), LONG).await.unwrap();
        assert_eq!(alive(&db).await, ["a", "b"]);
        db.write(|tx| replica::leave(tx, "a")).await.unwrap();
        db.write(|tx| tx.execute("UPDATE replicas SET until_us = 1", &[])).await.unwrap();
        assert!(alive(&db).await.is_empty());
        attend(&db, server("c", "2", "other"), LONG).await.unwrap();
        let forgotten = db.read(|tx| tx.query("SELECT id FROM replicas", &[])).await.unwrap();
        assert_eq!(forgotten.len(), 1, "a server that is long gone leaves no row");
    })
    .await;
}

#[tokio::test]
async fn one_of_another_version_or_with_another_store_is_refused() {
    on_both(&[], |db| async move {
        attend(&db, server("a", "1", "s"), LONG).await.unwrap();
        let refused = attend(&db, server("b", "2", "s"), LONG).await.unwrap_err().to_string();
        assert_eq!(refused, "the server at http://a runs rondo 1 on this database, and this is 2");
        let refused = attend(&db, server("b", "1", "t"), LONG).await.unwrap_err().to_string();
        assert_eq!(
            refused,
            "the server at http://a keeps the artifacts of this database in another store than this one would"
        );
        assert_eq!(alive(&db).await, ["a"]);
        attend(&db, server("a", "2", "t"), LONG).await.expect("what it was in its last life does not count");
    })
    .await;
}

#[tokio::test]
async fn of_two_that_do_not_fit_and_come_at_once_one_is_refused() {
    on_both(&[], |db| async move {
        let coming = ["a", "b", "c", "d"].map(|id| attend(&db, server(id, id, "s"), LONG));
        assert_eq!(join_all(coming).await.iter().filter(|done| done.is_ok()).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_database_at_work_is_not_migrated_by_another_version() {
    let database = tokio::task::spawn_blocking(TestDb::postgres).await.unwrap().unwrap();
    let older = database.open(&[]).await.unwrap();
    attend(&older, server("a", &db::version(&[]), "s"), LONG).await.unwrap();
    let refused = database.open(&[SCHEMA]).await.unwrap_err();
    assert!(matches!(refused, Error::Mixed { .. }), "{refused}");
    let untouched = older.read(db::applied).await.unwrap();
    assert!(!untouched.iter().any(|step| step.id.starts_with("test/")), "{untouched:?}");
    database.open(&[]).await.expect("the same version may come");
    Db::open_as(database.url(), &[SCHEMA], "a").await.expect("the server itself may have been replaced by a newer one");
}

#[tokio::test]
async fn several_may_open_and_migrate_at_the_same_moment() {
    let database = tokio::task::spawn_blocking(TestDb::postgres).await.unwrap().unwrap();
    let opened = join_all((0..6).map(|_| database.open(&[SCHEMA]))).await;
    for one in &opened {
        assert!(one.is_ok(), "{one:?}");
    }
    let steps = opened[0].as_ref().unwrap().read(db::applied).await.unwrap();
    assert_eq!(steps.iter().filter(|step| step.id == "test/0001-rows").count(), 1);
}

#[tokio::test]
async fn what_one_emits_the_others_hear_of() {
    let database = tokio::task::spawn_blocking(TestDb::postgres).await.unwrap().unwrap();
    let (here, there) = (database.open(&[]).await.unwrap(), database.open(&[]).await.unwrap());
    let mut news = there.subscribe();
    news.mark_unchanged();
    let ctx = kernel::ctx::Ctx::new(kernel::ctx::Principal::System("test"), 1);
    let event = kernel::event::NewEvent {
        kind: "pointer.moved",
        subject: "model/m".to_owned(),
        model: None,
        payload: serde_json::Value::Null,
    };
    here.write(move |tx| db::events::emit(tx, &ctx, event)).await.unwrap();
    assert_eq!(there.look_for_events().await.unwrap(), 0);
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    assert_eq!(there.look_for_events().await.unwrap(), 0);
    assert!(!news.has_changed().unwrap(), "no news without events");
}
