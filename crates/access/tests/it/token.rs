//! Tokens.

use access::token::{self, NewToken};
use access::{MIGRATIONS, Permission, Role};
use testkit::on_both;

use super::{NOW_US, a_token, denied, door, new, write};

#[tokio::test]
async fn a_token_opens_what_its_role_and_scopes_do() {
    on_both(MIGRATIONS, |db| async move {
        let scopes = vec![Permission::Predict, Permission::Admin];
        let narrowed = a_token(&db, NewToken { scopes, ..new("predictor", Role::Editor) }).await;
        let (door, _) = door(&db);
        let it = door.verify(&narrowed).await?;
        assert_eq!(it.principal.to_string(), "service:predictor");
        let may: Vec<_> = Permission::SCOPES.into_iter().filter(|one| it.may(*one)).collect();
        assert_eq!(may, [Permission::Predict], "a scope adds nothing to the role");
        denied(door.verify(&access::Credential::Token("rondo_guess".to_owned())).await, "the token is not known here");
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn no_secret_is_stored() {
    on_both(MIGRATIONS, |db| async move {
        let access::Credential::Token(secret) = a_token(&db, new("ci", Role::Editor)).await else { unreachable!() };
        let rows = db.read(|tx| tx.query("SELECT digest, name, scopes, id FROM tokens", &[])).await?;
        assert_eq!(rows.len(), 1);
        for column in ["digest", "name", "scopes", "id"] {
            assert!(!secret.contains(&rows[0].text(column)?) || rows[0].text(column)?.is_empty());
        }
        let events = db.read(|tx| db::events::after(tx, -1, 10)).await?;
        assert_eq!(events[0].kind, "token.created");
        assert!(!format!("{events:?}").contains(&secret));
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_token_ends() {
    on_both(MIGRATIONS, |db| async move {
        let expires_us = Some(NOW_US + 1_000_000);
        let short = a_token(&db, NewToken { expires_us, ..new("short", Role::Viewer) }).await;
        let (door, clock) = door(&db);
        assert!(door.verify(&short).await.is_ok());
        clock.advance_us(1_000_000);
        assert!(door.lookup(&short).is_none(), "not even what is remembered outlives it");
        denied(door.verify(&short).await, "the token `short` has expired");

        let ci = a_token(&db, new("ci", Role::Viewer)).await;
        assert!(door.verify(&ci).await.is_ok());
        let ended = write(&db, |tx, ctx| token::revoke(tx, ctx, "ci")).await?;
        assert_eq!(ended.revoked_us, Some(NOW_US));
        door.forget();
        denied(door.verify(&ci).await, "the token `ci` was revoked");
        // the name is free again
        let again = a_token(&db, new("ci", Role::Viewer)).await;
        assert!(door.verify(&again).await.is_ok());
        let past = NewToken { expires_us: Some(NOW_US), ..new("past", Role::Viewer) };
        let secret = access::Secret::random()?;
        assert!(write(&db, move |tx, ctx| token::create(tx, ctx, &past, &secret)).await.is_err());
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn somebody_can_always_administer() {
    on_both(MIGRATIONS, |db| async move {
        let first = write(&db, token::first_admin).await?;
        assert!(first.is_some());
        assert!(write(&db, token::first_admin).await?.is_none(), "only once");
        write(&db, |tx, ctx| token::revoke(tx, ctx, "admin")).await?;
        assert!(write(&db, token::first_admin).await?.is_some(), "nobody could administer");
        write(&db, |tx, ctx| token::revoke(tx, ctx, "admin")).await?;
        let narrowed = NewToken { scopes: vec![Permission::View], ..new("admin", Role::Admin) };
        a_token(&db, narrowed).await;
        assert!(write(&db, token::first_admin).await?.is_some(), "a narrowed admin cannot");
        anyhow::Ok(())
    })
    .await;
}
