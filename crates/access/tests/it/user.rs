//! Users.

use access::user::{self, PasswordHash};
use access::{Credential, MIGRATIONS, Permission, Role};
use testkit::on_both;

use super::{denied, door, new, write};

const PASSWORD: &str = "correct horse battery";

fn password(text: &str) -> Credential {
    Credential::basic("ada", text)
}

#[tokio::test]
async fn a_user_comes_in_with_name_and_password() {
    on_both(MIGRATIONS, |db| async move {
        let hash = PasswordHash::of(PASSWORD)?;
        write(&db, move |tx, ctx| user::create(tx, ctx, "ada", Role::Approver, Some(hash))).await?;
        let (door, clock) = door(&db);
        let ada = door.verify(&password(PASSWORD)).await?;
        assert_eq!((ada.principal.to_string().as_str(), ada.role), ("person:ada", Role::Approver));
        assert!(ada.may(Permission::Approve) && !ada.may(Permission::Admin));
        denied(door.verify(&password("correct horse batterx")).await, "the user or password is not known here");
        denied(door.verify(&Credential::basic("bob", PASSWORD)).await, "the user or password is not known here");

        // another password, and the old one ends when it is asked again
        let hash = PasswordHash::of("another horse battery")?;
        write(&db, move |tx, ctx| user::change(tx, ctx, "ada", None, Some(hash))).await?;
        clock.advance_us(20_000_000);
        denied(door.verify(&password(PASSWORD)).await, "the user or password is not known here");
        assert_eq!(door.verify(&password("another horse battery")).await?.role, Role::Approver);
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_user_that_goes_takes_its_tokens_along() {
    on_both(MIGRATIONS, |db| async move {
        write(&db, |tx, ctx| user::create(tx, ctx, "ada", Role::Editor, None)).await?;
        let of_ada = access::token::NewToken { user: Some("ada".to_owned()), ..new("ada-1", Role::Admin) };
        let token = super::a_token(&db, of_ada).await;
        let (door, _) = door(&db);
        let ada = door.verify(&token).await?;
        assert_eq!(
            (ada.principal.to_string().as_str(), ada.role),
            ("person:ada", Role::Editor),
            "no more than the user"
        );
        assert!(!ada.may(Permission::Admin));
        write(&db, |tx, ctx| user::delete(tx, ctx, "ada")).await?;
        door.forget();
        denied(door.verify(&token).await, "the token `ada-1` was revoked");
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_is_told() {
    on_both(MIGRATIONS, |db| async move {
        let twice = |tx: &mut db::Tx<'_>, ctx: &kernel::ctx::Ctx| user::create(tx, ctx, "ada", Role::Viewer, None);
        write(&db, twice).await?;
        assert_eq!(write(&db, twice).await.unwrap_err().to_string(), "user `ada` exists already");
        for name in ["", "a b", "../x", "a/b", &"x".repeat(65)] {
            let given = name.to_owned();
            let refused = write(&db, move |tx, ctx| user::create(tx, ctx, &given, Role::Viewer, None)).await;
            assert!(refused.unwrap_err().to_string().contains("cannot be a name"), "{name}");
        }
        let gone = write(&db, |tx, ctx| user::delete(tx, ctx, "bob")).await;
        assert_eq!(gone.unwrap_err().to_string(), "user `bob` does not exist");
        assert!(PasswordHash::of("too short").is_err());
        let users = db.read(|tx| user::list(tx, &kernel::ctx::Ctx::new(kernel::ctx::Principal::System("test"), 0)));
        assert_eq!(users.await?.len(), 1);
        anyhow::Ok(())
    })
    .await;
}
