//! The durable half.

use db::Db;
use kernel::ctx::{Ctx, Principal};
use kernel::error::{Classified as _, Kind};
use kernel::event::kind;
use serving::deployment::{self, Config, ExtraColumns, MIGRATIONS, NewDeployment};

fn ctx(now_us: i64) -> Ctx {
    Ctx::new(Principal::Person("ada".to_owned()), now_us)
}

fn new(name: &str) -> NewDeployment {
    NewDeployment {
        name: name.to_owned(),
        pointer: "models:/toy/Production".to_owned(),
        model: "toy".to_owned(),
        config: Config { max_rows: Some(5), extra_columns: ExtraColumns::Ignore },
    }
}

#[tokio::test]
async fn a_deployment_is_created_read_back_and_deleted_with_an_event_each() {
    testkit::on_both(MIGRATIONS, |db: Db| async move {
        let created = db.write(|tx| deployment::create(tx, &ctx(7), new("b"))).await?;
        db.write(|tx| deployment::create(tx, &ctx(8), new("a"))).await?;
        assert_eq!(created.config.max_rows, Some(5));

        let read = db.read(|tx| deployment::get(tx, &ctx(0), "b")).await?;
        assert_eq!(read, created);
        let listed = db.read(|tx| deployment::list(tx, &ctx(0))).await?;
        assert_eq!(listed.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(db.read(|tx| deployment::of_model(tx, &ctx(0), "toy")).await?.len(), 2);
        assert!(db.read(|tx| deployment::of_model(tx, &ctx(0), "other")).await?.is_empty());

        db.write(|tx| deployment::delete(tx, &ctx(9), "b")).await?;
        assert_eq!(db.read(|tx| deployment::find(tx, &ctx(0), "b")).await?, None);
        let events = db.read(|tx| db::events::after(tx, -1, 10)).await?;
        let told: Vec<_> =
            events.iter().map(|event| (event.kind.as_str(), event.subject.as_str(), event.at_us)).collect();
        assert_eq!(
            told,
            [
                (kind::DEPLOYMENT_CREATED, "deployment/b", 7),
                (kind::DEPLOYMENT_CREATED, "deployment/a", 8),
                (kind::DEPLOYMENT_DELETED, "deployment/b", 9),
            ]
        );
        assert_eq!(events[0].payload["pointer"], "models:/toy/Production");
        Ok::<_, serving::Error>(())
    })
    .await;
}

#[tokio::test]
async fn names_are_unique_plain_and_known() {
    testkit::on_both(MIGRATIONS, |db: Db| async move {
        db.write(|tx| deployment::create(tx, &ctx(1), new("a"))).await?;
        let twice = db.write(|tx| deployment::create(tx, &ctx(2), new("a"))).await.unwrap_err();
        assert_eq!(twice.kind(), Kind::AlreadyExists);
        for bad in ["", "../a", "a/b", ".a", "a b", &"x".repeat(129)] {
            let bad = bad.to_owned();
            let error = db.write(move |tx| deployment::create(tx, &ctx(3), new(&bad))).await.unwrap_err();
            assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("name")), "{error}");
        }
        let missing = db.write(|tx| deployment::delete(tx, &ctx(4), "ghost")).await.unwrap_err();
        assert_eq!(missing.kind(), Kind::NotFound);
        assert_eq!(db.read(|tx| db::events::head(tx).map_err(serving::Error::from)).await?, 0, "refusals emit nothing");
        Ok::<_, serving::Error>(())
    })
    .await;
}

#[tokio::test]
async fn another_workspace_sees_nothing() {
    testkit::on_both(MIGRATIONS, |db: Db| async move {
        db.write(|tx| deployment::create(tx, &ctx(1), new("a"))).await?;
        let elsewhere = Ctx { workspace: "other".to_owned(), ..ctx(2) };
        let seen = db.read(move |tx| deployment::list(tx, &elsewhere)).await?;
        assert!(seen.is_empty());
        Ok::<_, serving::Error>(())
    })
    .await;
}

#[tokio::test]
async fn the_target_is_noted_and_the_one_before_is_told() {
    testkit::on_both(MIGRATIONS, |db: Db| async move {
        db.write(|tx| deployment::create(tx, &ctx(1), new("a"))).await?;
        assert_eq!(db.write(|tx| deployment::set_target(tx, &ctx(2), "a", "1")).await?, None);
        assert_eq!(db.write(|tx| deployment::set_target(tx, &ctx(3), "a", "2")).await?.as_deref(), Some("1"));
        let read = db.read(|tx| deployment::get(tx, &ctx(0), "a")).await?;
        assert_eq!((read.target_version.as_deref(), read.updated_us), (Some("2"), 3));
        Ok::<_, serving::Error>(())
    })
    .await;
}
