//! Models, their tags and aliases.

use rondo_registry::model::{self, Alias};
use rondo_registry::stage::Stage;
use rondo_registry::tag::Tag;
use rondo_registry::{Error, version};

use super::{MIGRATIONS, model_with, moves, on_day, refused, register, write};
use kernel::error::{Classified as _, Kind};

fn tag(key: &str, value: &str) -> Tag {
    Tag { key: key.to_owned(), value: value.to_owned() }
}

#[tokio::test]
async fn a_model_is_made_read_changed_and_deleted() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let made = write(&db, |tx| {
            let tags = vec![tag("team", "a"), tag("team", "b"), tag("x", "")];
            model::create(tx, &on_day(1), "visit-reranker", tags, Some("ranks visits"))
        })
        .await;
        assert_eq!(made.name, "visit-reranker");
        assert_eq!(made.description.as_deref(), Some("ranks visits"));
        assert_eq!(made.tags, [tag("team", "b"), tag("x", "")], "the last value of a key counts");
        assert_eq!((made.created_ms, made.updated_ms), (86_400_000, 86_400_000));

        let error = refused(&db, |tx| model::create(tx, &on_day(2), "visit-reranker", Vec::new(), None)).await;
        assert_eq!(error.kind(), Kind::AlreadyExists);
        assert_eq!(error.to_string(), "Registered Model (name=visit-reranker) already exists.");

        let changed = write(&db, |tx| model::update(tx, &on_day(3), "visit-reranker", Some("new"))).await;
        assert_eq!(changed.description.as_deref(), Some("new"));
        assert_eq!(changed.updated_ms, 3 * 86_400_000);

        write(&db, |tx| {
            model::set_tag(tx, &on_day(3), "visit-reranker", &tag("x", "1"))?;
            model::delete_tag(tx, &on_day(3), "visit-reranker", "team")?;
            model::delete_tag(tx, &on_day(3), "visit-reranker", "not there")
        })
        .await;
        let read = write(&db, |tx| model::get(tx, &on_day(4), "visit-reranker")).await;
        assert_eq!(read.tags, [tag("x", "1")]);

        write(&db, |tx| model::delete(tx, &on_day(5), "visit-reranker")).await;
        let error = refused(&db, |tx| model::get(tx, &on_day(6), "visit-reranker")).await;
        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(error.to_string(), "Registered Model with name=visit-reranker not found");
    })
    .await;
}

#[tokio::test]
async fn names_tags_and_descriptions_that_break_the_rules_are_named() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 1).await;
        let long_key: &'static str = "k".repeat(251).leak();
        let long_value: &'static str = "v".repeat(100_001).leak();
        for (key, value, field) in [
            ("", "x", "key"),
            ("a#b", "x", "key"),
            ("../a", "x", "key"),
            ("/a", "x", "key"),
            ("a//b", "x", "key"),
            (long_key, "x", "key"),
            ("k", long_value, "value"),
        ] {
            let error = refused(&db, move |tx| model::set_tag(tx, &on_day(1), "m", &tag(key, value))).await;
            assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some(field)), "{key}");
            let error = refused(&db, move |tx| version::set_tag(tx, &on_day(1), "m", "1", &tag(key, value))).await;
            assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some(field)), "{key}");
        }
        for name in ["", "a/b", "a:b", ".."] {
            let error = refused(&db, move |tx| model::create(tx, &on_day(1), name, Vec::new(), None)).await;
            assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("name")), "{name}");
        }
        let error = refused(&db, |tx| model::create(tx, &on_day(1), "n", Vec::new(), Some("a\0b"))).await;
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
    })
    .await;
}

#[tokio::test]
async fn aliases_name_versions_and_their_moves_are_told() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 3).await;
        write(&db, |tx| {
            model::set_alias(tx, &on_day(1), "m", "blue", "1", "first")?;
            model::set_alias(tx, &on_day(1), "m", "blue", "2", "second")?;
            model::set_alias(tx, &on_day(1), "m", "blue", "2", "again")?;
            model::set_alias(tx, &on_day(1), "m", "green", "2", "other")?;
            model::delete_alias(tx, &on_day(1), "m", "not-there", "nothing")
        })
        .await;
        assert_eq!(moves(&db).await, ["m @blue - 1", "m @blue 1 2", "m @green - 2"]);
        let read = write(&db, |tx| model::get(tx, &on_day(1), "m")).await;
        let alias = |alias: &str| Alias { alias: alias.to_owned(), version: "2".to_owned() };
        assert_eq!(read.aliases, [alias("blue"), alias("green")]);
        let read = write(&db, |tx| model::get_by_alias(tx, &on_day(1), "m", "blue")).await;
        assert_eq!((read.version.as_str(), read.aliases), ("2", vec!["blue".to_owned(), "green".to_owned()]));
        let latest = write(&db, |tx| model::get_by_alias(tx, &on_day(1), "m", "latest")).await;
        assert_eq!(latest.version, "3");

        let error = refused(&db, |tx| model::get_by_alias(tx, &on_day(1), "m", "red")).await;
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (Kind::Invalid, "Registered model alias red not found.")
        );
        let error = refused(&db, |tx| model::set_alias(tx, &on_day(1), "m", "blue", "9", "")).await;
        assert_eq!(error.kind(), Kind::NotFound);
        for alias in ["latest", "v1", "a b", ""] {
            let error = refused(&db, move |tx| model::set_alias(tx, &on_day(1), "m", alias, "1", "")).await;
            assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("alias")));
        }
        write(&db, |tx| model::delete_alias(tx, &on_day(1), "m", "blue", "done")).await;
        assert_eq!(moves(&db).await.last().unwrap(), "m @blue 2 -");
    })
    .await;
}

#[tokio::test]
async fn a_rename_takes_everything_along_and_tells_both_stories() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "old", 2).await;
        write(&db, |tx| {
            model::set_alias(tx, &on_day(1), "old", "blue", "1", "")?;
            version::transition_stage(tx, &on_day(1), "old", "2", Stage::Staging, false, "")?;
            model::create(tx, &on_day(1), "taken", Vec::new(), None)
        })
        .await;
        let error = refused(&db, |tx| model::rename(tx, &on_day(2), "old", "taken")).await;
        assert_eq!(error.kind(), Kind::AlreadyExists);
        let error = refused(&db, |tx| model::rename(tx, &on_day(2), "old", "a/b")).await;
        assert_eq!(error.field(), Some("new_name"));

        let renamed = write(&db, |tx| model::rename(tx, &on_day(2), "old", "new")).await;
        assert_eq!(renamed.name, "new");
        assert_eq!(renamed.aliases.len(), 1);
        let read = write(&db, |tx| version::get(tx, &on_day(2), "new", "2")).await;
        assert_eq!((read.name.as_str(), read.stage), ("new", Stage::Staging));
        assert_eq!(refused(&db, |tx| model::get(tx, &on_day(2), "old")).await.kind(), Kind::NotFound);
        let told = moves(&db).await;
        assert_eq!(told[2..], ["old Staging 2 -", "old @blue 1 -", "new Staging - 2", "new @blue - 1"]);
        let next = write(&db, |tx| register(tx, &on_day(3), "new")).await;
        assert_eq!(next.version, "3");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_model_leaves_nothing_to_one_of_the_same_name() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 2).await;
        write(&db, |tx| {
            model::set_tag(tx, &on_day(1), "m", &tag("a", "b"))?;
            version::set_tag(tx, &on_day(1), "m", "1", &tag("a", "b"))?;
            model::set_alias(tx, &on_day(1), "m", "blue", "1", "")?;
            model::delete(tx, &on_day(1), "m")
        })
        .await;
        assert_eq!(moves(&db).await, ["m @blue - 1", "m @blue 1 -"]);
        model_with(&db, "m", 1).await;
        let read = write(&db, |tx| model::get(tx, &on_day(1), "m")).await;
        assert!(read.tags.is_empty() && read.aliases.is_empty());
        let read = write(&db, |tx| version::get(tx, &on_day(1), "m", "1")).await;
        assert!(read.tags.is_empty());
        assert_eq!(read.version, "1");
    })
    .await;
}

#[tokio::test]
async fn a_refused_change_leaves_no_trace() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 1).await;
        let before = super::events(&db).await.len();
        let refused: Result<(), Error> = db
            .write(|tx| {
                model::set_alias(tx, &on_day(1), "m", "blue", "1", "")?;
                model::set_alias(tx, &on_day(1), "m", "blue", "2", "")
            })
            .await;
        assert!(refused.is_err());
        assert_eq!(super::events(&db).await.len(), before);
        assert!(write(&db, |tx| model::get(tx, &on_day(1), "m")).await.aliases.is_empty());
    })
    .await;
}
