//! The chain of the trail: what was changed, removed or added by other means is found, at the first row that is not as it was.

use db::events::chain::{self, Link, Progress};
use db::{Db, Error, events};
use kernel::ctx::{Ctx, Principal};
use kernel::event::NewEvent;
use serde_json::json;
use testkit::on_both;

async fn with_events(db: &Db, count: i64) -> Result<(), Error> {
    for number in 0..count {
        db.write(move |tx| {
            let ctx = Ctx::new(Principal::Person("ada".to_owned()), 1_700_000_000_000_000 + number);
            let model = (number % 2 == 0).then(|| "m".to_owned());
            let payload = json!({"version": number, "share": 0.1});
            let event = NewEvent { kind: "pointer.moved", subject: "model/m".to_owned(), model, payload };
            events::emit(tx, &ctx, event)
        })
        .await?;
    }
    Ok(())
}

async fn check(db: &Db) -> Result<Progress, Error> {
    check_with(db, None).await
}

async fn check_with(db: &Db, noted: Option<Link>) -> Result<Progress, Error> {
    let mut link = Link::start();
    loop {
        let (from, noted) = (link.clone(), noted.clone());
        match db.read(move |tx| chain::verify(tx, &from, noted.as_ref())).await? {
            Progress::Sound(further) => link = further,
            end => return Ok(end),
        }
    }
}

/// What somebody does who has the database itself: the triggers stop nobody then.
async fn tamper(db: &Db, sql: &'static str) -> Result<(), Error> {
    let unlock: &[&'static str] = match db.engine() {
        db::Engine::Sqlite => &[
            "DROP TRIGGER IF EXISTS events_no_update",
            "DROP TRIGGER IF EXISTS events_no_delete",
            "DROP TRIGGER IF EXISTS event_hashes_no_update",
            "DROP TRIGGER IF EXISTS event_hashes_no_delete",
        ],
        db::Engine::Postgres => &[
            "DROP TRIGGER IF EXISTS events_no_change ON events",
            "DROP TRIGGER IF EXISTS event_hashes_no_change ON event_hashes",
        ],
    };
    db.write(move |tx| {
        for statement in unlock {
            tx.execute(statement, &[])?;
        }
        tx.execute(sql, &[]).map(drop)
    })
    .await
}

#[tokio::test]
async fn an_untouched_trail_is_whole() {
    on_both(&[], |db| async move {
        assert_eq!(check(&db).await?, Progress::Whole(Link::start()));
        with_events(&db, 5).await?;
        let Progress::Whole(head) = check(&db).await? else { panic!("not whole") };
        assert_eq!((head.seq, head.hash.len()), (4, 64));
        let exported = db.read(|tx| chain::export(tx, 2)).await?;
        assert_eq!(exported.len(), 2);
        assert_eq!(exported[1].hash.as_deref(), Some(head.hash.as_str()));
        assert_eq!(exported[1].payload.get(), r#"{"share":0.1,"version":4}"#);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn the_first_event_that_is_not_as_it_was_is_named() {
    let cases: [(&str, i64, &str); 12] = [
        ("UPDATE events SET actor = 'person:eve' WHERE seq = 2", 2, "does not match"),
        ("UPDATE events SET payload = '{}' WHERE seq = 0", 0, "does not match"),
        ("UPDATE events SET at_us = at_us + 1 WHERE seq >= 3", 3, "does not match"),
        ("UPDATE events SET model = NULL WHERE seq = 4", 4, "does not match"),
        ("UPDATE events SET model = '' WHERE seq = 1", 1, "does not match"),
        ("UPDATE events SET workspace = 'other' WHERE seq = 1", 1, "does not match"),
        ("UPDATE event_hashes SET hash = 'x' WHERE seq = 3", 3, "does not match"),
        ("DELETE FROM events WHERE seq = 2", 2, "missing"),
        ("DELETE FROM events WHERE seq >= 3", 3, "missing"),
        ("DELETE FROM events", 0, "missing"),
        ("DELETE FROM event_hashes WHERE seq = 4", 4, "no hash"),
        (
            "INSERT INTO events (seq, at_us, workspace, actor, kind, subject, payload)
             VALUES (5, 0, 'default', 'person:eve', 'approval.given', 'model/m', '{}')",
            5,
            "no hash",
        ),
    ];
    on_both(&[], |db| async move {
        with_events(&db, 5).await?;
        assert!(matches!(check(&db).await?, Progress::Whole(_)));
        Ok::<_, Error>(())
    })
    .await;
    for (sql, at, why) in cases {
        on_both(&[], |db| async move {
            with_events(&db, 5).await?;
            tamper(&db, sql).await?;
            let Progress::Broken { seq, reason } = check(&db).await? else { panic!("{sql} was not found") };
            assert_eq!(seq, at, "{sql}: {reason}");
            assert!(reason.contains(why), "{sql}: {reason}");
            Ok::<_, Error>(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_head_that_was_noted_tells_that_everything_was_rewritten() {
    on_both(&[], |db| async move {
        with_events(&db, 3).await?;
        let Progress::Whole(head) = check(&db).await? else { panic!("not whole") };
        assert!(matches!(check_with(&db, Some(head.clone())).await?, Progress::Whole(_)));
        let rewritten = Link { hash: "0".repeat(64), ..head.clone() };
        assert!(matches!(check_with(&db, Some(rewritten)).await?, Progress::Broken { seq: 2, .. }));
        let later = Link { seq: 3, ..head };
        assert!(matches!(check_with(&db, Some(later)).await?, Progress::Broken { seq: 3, .. }));
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn a_broken_trail_goes_on_and_stays_broken() {
    on_both(&[], |db| async move {
        with_events(&db, 3).await?;
        tamper(&db, "DELETE FROM event_hashes WHERE seq = 2").await?;
        with_events(&db, 2).await?;
        assert!(matches!(check(&db).await?, Progress::Broken { seq: 2, .. }));
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn hashes_cannot_be_rewritten() {
    on_both(&[], |db| async move {
        with_events(&db, 1).await?;
        for sql in ["UPDATE event_hashes SET hash = ''", "DELETE FROM event_hashes"] {
            let error = db.write(move |tx| tx.execute(sql, &[])).await.unwrap_err();
            assert!(error.to_string().contains("append-only"), "{error}");
        }
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn events_from_before_the_chain_are_chained_at_the_next_start() {
    for database in tokio::task::spawn_blocking(testkit::engines).await.unwrap().unwrap() {
        let db = database.open(&[]).await.unwrap();
        with_events(&db, 3).await.unwrap();
        let Progress::Whole(head) = check(&db).await.unwrap() else { panic!("not whole") };
        // as an older version left it
        tamper(&db, "DROP TABLE event_hashes").await.unwrap();
        let undone = "DELETE FROM schema_migrations WHERE id IN ('db/0003-chain', 'db/0004-append-only-hashes')";
        db.write(move |tx| tx.execute(undone, &[])).await.unwrap();
        drop(db);
        let db = database.open(&[]).await.unwrap();
        assert_eq!(check(&db).await.unwrap(), Progress::Whole(head));
        with_events(&db, 1).await.unwrap();
        assert!(matches!(check(&db).await.unwrap(), Progress::Whole(Link { seq: 3, .. })));
    }
}
