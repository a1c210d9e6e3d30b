//! The outbox: numbers, cursors, news, and that nobody rewrites it.

use std::time::Duration;

use db::{Error, Failure, events};
use futures_util::future::join_all;
use kernel::ctx::{Ctx, Principal};
use kernel::event::NewEvent;
use serde_json::json;
use testkit::on_both;

fn ctx() -> Ctx {
    Ctx::new(Principal::Person("ada".to_owned()), 1_700_000_000_000_000)
}

fn event(subject: &str, model: Option<&str>) -> NewEvent {
    let payload = json!({"version": "3", "share": 0.25, "to": null});
    NewEvent { kind: "pointer.moved", subject: subject.to_owned(), model: model.map(str::to_owned), payload }
}

#[tokio::test]
async fn an_event_is_read_back_as_it_was_written() {
    on_both(&[], |db| async move {
        assert_eq!(db.read(events::head).await?, -1);
        assert_eq!(db.write(|tx| events::emit(tx, &ctx(), event("model/m", Some("m")))).await?, 0);
        let read = db.read(|tx| events::after(tx, -1, 10)).await?;
        let [found] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((found.seq, found.at_us, found.actor.as_str()), (0, 1_700_000_000_000_000, "person:ada"));
        assert_eq!((found.kind.as_str(), found.subject.as_str()), ("pointer.moved", "model/m"));
        assert_eq!(found.payload, json!({"version": "3", "share": 0.25, "to": null}));
        assert_eq!(db.read(events::head).await?, 0);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn numbers_follow_the_commits_without_gaps() {
    on_both(&[], |db| async move {
        let all = join_all((0..60).map(|number| {
            db.write(move |tx| {
                let seq = events::emit(tx, &ctx(), event(&format!("row/{number}"), None))?;
                if number % 5 == 0 { Err(Error::Closed) } else { Ok(seq) }
            })
        }));
        let kept = all.await.into_iter().filter_map(Result::ok).count();
        assert_eq!(kept, 48);
        let seqs: Vec<i64> = db.read(|tx| events::after(tx, -1, 1000)).await?.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, (0..48).collect::<Vec<_>>());
        let after: Vec<i64> = db.read(|tx| events::after(tx, 40, 3)).await?.iter().map(|event| event.seq).collect();
        assert_eq!(after, [41, 42, 43]);
        let latest: Vec<i64> =
            db.read(|tx| events::latest(tx, &ctx(), 2)).await?.iter().map(|event| event.seq).collect();
        assert_eq!(latest, [47, 46]);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn the_story_of_one_model_leaves_out_the_others() {
    on_both(&[], |db| async move {
        db.write(|tx| {
            for model in [Some("a"), Some("b"), None, Some("a")] {
                events::emit(tx, &ctx(), event("x", model))?;
            }
            Ok::<_, Error>(())
        })
        .await?;
        let story = |after| db.read(move |tx| events::for_model(tx, &ctx(), "a", after, 10));
        let seqs =
            async |after| story(after).await.map(|found| found.iter().map(|event| event.seq).collect::<Vec<_>>());
        assert_eq!(seqs(-1).await?, [0, 3]);
        assert_eq!(seqs(0).await?, [3]);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn a_cursor_starts_before_the_first_event_and_moves_with_its_transaction() {
    on_both(&[], |db| async move {
        assert_eq!(db.read(|tx| events::cursor(tx, "roll")).await?, -1);
        db.write(|tx| events::set_cursor(tx, "roll", 4)).await?;
        let undone: Result<(), Error> = db
            .write(|tx| {
                events::set_cursor(tx, "roll", 9)?;
                Err(Error::Closed)
            })
            .await;
        assert!(undone.is_err());
        assert_eq!(db.read(|tx| events::cursor(tx, "roll")).await?, 4);
        assert_eq!(db.read(|tx| events::cursor(tx, "other")).await?, -1);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn subscribers_hear_of_commits_only() {
    on_both(&[], |db| async move {
        let mut news = db.subscribe();
        assert_eq!(*news.borrow_and_update(), -1);
        let undone: Result<(), Error> = db
            .write(|tx| {
                events::emit(tx, &ctx(), event("x", None))?;
                Err(Error::Closed)
            })
            .await;
        assert!(undone.is_err());
        assert!(!news.has_changed().unwrap(), "a rolled back event was announced");
        db.write(|tx| events::emit(tx, &ctx(), event("x", None))).await?;
        tokio::time::timeout(Duration::from_secs(10), news.changed()).await.expect("the commit is announced").unwrap();
        assert_eq!(*news.borrow_and_update(), 0);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn the_trail_cannot_be_rewritten() {
    on_both(&[], |db| async move {
        db.write(|tx| events::emit(tx, &ctx(), event("x", None))).await?;
        for sql in ["UPDATE events SET actor = 'nobody'", "DELETE FROM events"] {
            let error = db.write(move |tx| tx.execute(sql, &[])).await.unwrap_err();
            assert!(matches!(&error, Error::Statement { failure: Failure::Constraint, .. }), "{sql}: {error:?}");
            assert!(error.to_string().contains("append-only"), "{error}");
        }
        Ok::<_, Error>(())
    })
    .await;
}
