//! Reactions: each event has its consequence once, however often and whenever the conductor looks.

use db::events;
use kernel::event::{NewEvent, kind};
use rondo_conductor::reaction::{self, Reaction};
use rondo_conductor::{Error, House, job, status};
use serde_json::json;

fn named(name: &str) -> &'static Reaction {
    reaction::TABLE.iter().find(|reaction| reaction.name == name).unwrap()
}

async fn emit(house: &House, kind: &'static str, model: &'static str, payload: serde_json::Value) {
    let ctx = house.conductor_ctx();
    let event = NewEvent { kind, subject: format!("model/{model}"), model: Some(model.to_owned()), payload };
    house.db.write(move |tx| events::emit(tx, &ctx, event)).await.unwrap();
}

async fn waiting(house: &House) -> Vec<String> {
    {
        let ctx = house.conductor_ctx();
        house.db.read(move |tx| job::waiting(tx, &ctx)).await
    }
    .unwrap()
}

#[tokio::test]
async fn an_event_has_its_consequence_once() {
    testkit::on_both_with(&rondo_conductor::TABLES, |db| async move {
        let (house, _dir) = super::house(db);
        emit(&house, kind::POLICY_CHANGED, "m", json!({})).await;
        emit(&house, kind::VERSION_REGISTERED, "m", json!({ "version": "1" })).await;
        assert!(!status::of(&house).await.unwrap().idle, "nobody has looked at the events");
        let admit = named("admit-version");
        assert_eq!(reaction::catch_up(&house, admit).await.unwrap(), 2);
        assert_eq!(reaction::catch_up(&house, admit).await.unwrap(), 0);
        assert_eq!(waiting(&house).await, ["admit/1"]);
        // Even a cursor that was set back (a restored copy of it, say) does not make a second job of the same event.
        house.db.write(|tx| Ok::<_, Error>(events::set_cursor(tx, "admit-version", -1)?)).await.unwrap();
        assert_eq!(reaction::catch_up(&house, admit).await.unwrap(), 2);
        assert_eq!(waiting(&house).await, ["admit/1"]);
    })
    .await;
}

#[tokio::test]
async fn a_reaction_that_fails_moves_nothing() {
    testkit::on_both_with(&rondo_conductor::TABLES, |db| async move {
        let (house, _dir) = super::house(db);
        emit(&house, kind::VERSION_REGISTERED, "m", json!({ "version": "1" })).await;
        let broken: &'static Reaction = Box::leak(Box::new(Reaction {
            name: "broken",
            on: &[kind::VERSION_REGISTERED],
            decide: |tx, ctx, _| {
                job::enqueue(tx, ctx, job::Kind::Admit, "half", &"done")?;
                Err(Error::Unproven("it broke".to_owned()))
            },
        }));
        reaction::catch_up(&house, broken).await.unwrap_err();
        assert!(waiting(&house).await.is_empty());
        let cursor = house.db.read(|tx| events::cursor(tx, "broken")).await.unwrap();
        assert_eq!(cursor, -1);
    })
    .await;
}

#[tokio::test]
async fn the_loop_is_idle_when_everything_has_been_looked_at() {
    testkit::on_both_with(&rondo_conductor::TABLES, |db| async move {
        let (house, _dir) = super::house(db);
        assert!(status::of(&house).await.unwrap().idle);
        emit(&house, kind::POLICY_CHANGED, "m", json!({})).await;
        for reaction in &reaction::TABLE {
            assert!(!status::of(&house).await.unwrap().idle);
            reaction::catch_up(&house, reaction).await.unwrap();
        }
        assert_eq!(status::of(&house).await.unwrap().pending, Vec::<String>::new());
    })
    .await;
}
