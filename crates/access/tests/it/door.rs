//! What is remembered, and for how long.

use std::sync::Arc;

use access::{MIGRATIONS, Role, token};
use testkit::on_both;

use super::{NOW_US, a_token, denied, door, new, write};

#[tokio::test]
async fn who_was_seen_is_known_for_a_while() {
    on_both(MIGRATIONS, |db| async move {
        let ci = a_token(&db, new("ci", Role::Viewer)).await;
        let (door, clock) = door(&db);
        assert!(door.lookup(&ci).is_none());
        let seen = door.verify(&ci).await?;
        assert!(Arc::ptr_eq(&seen, &door.lookup(&ci).unwrap()));
        write(&db, |tx, ctx| token::revoke(tx, ctx, "ci")).await?;
        clock.advance_us(14_000_000);
        assert!(door.lookup(&ci).is_some(), "once more, while it is checked again");
        while door.lookup(&ci).is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        denied(door.verify(&ci).await, "the token `ci` was revoked");
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn nobody_is_known_for_long_without_the_database() {
    on_both(MIGRATIONS, |db| async move {
        let ci = a_token(&db, new("ci", Role::Viewer)).await;
        let (door, clock) = door(&db);
        door.verify(&ci).await?;
        clock.advance_us(15_000_000);
        assert!(door.lookup(&ci).is_none());
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_part_of_the_process_is_stored_nowhere() {
    on_both(MIGRATIONS, |db| async move {
        let (door, clock) = door(&db);
        let secret = door.internal("pipeline", Role::Editor, "default")?;
        let it = access::Credential::Token(secret.reveal().to_owned());
        door.forget();
        clock.advance_us(86_400_000_000);
        assert_eq!(door.lookup(&it).unwrap().principal.to_string(), "service:pipeline");
        let rows = db.read(|tx| tx.query("SELECT id FROM tokens", &[])).await?;
        assert!(rows.is_empty());
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_last_use_is_noted() {
    on_both(MIGRATIONS, |db| async move {
        let ci = a_token(&db, new("ci", Role::Viewer)).await;
        let (door, _) = door(&db);
        door.verify(&ci).await?;
        let used = || db.read(|tx| tx.query("SELECT last_used_us FROM tokens WHERE last_used_us IS NOT NULL", &[]));
        let mut rows = used().await?;
        while rows.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            rows = used().await?;
        }
        assert_eq!(rows[0].i64("last_used_us")?, NOW_US);
        anyhow::Ok(())
    })
    .await;
}
