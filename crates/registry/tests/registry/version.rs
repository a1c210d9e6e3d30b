//! Versions, their stages and tags.

use rondo_registry::stage::Stage;
use rondo_registry::tag::Tag;
use rondo_registry::version::{self, NewVersion};
use rondo_registry::{model, pointer};

use super::{MIGRATIONS, events, model_with, moves, on_day, refused, register, write};
use kernel::error::{Classified as _, Kind};
use kernel::event::kind;

#[tokio::test]
async fn a_version_is_registered_with_all_it_was_given() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 0).await;
        let made = write(&db, |tx| {
            let new = NewVersion {
                name: "m".to_owned(),
                source: "models:/m-123".to_owned(),
                storage_location: Some("mlflow-artifacts:/0/models/m-123/artifacts".to_owned()),
                run_id: Some("r1".to_owned()),
                run_link: Some("http://elsewhere/r1".to_owned()),
                model_id: Some("m-123".to_owned()),
                description: Some("first".to_owned()),
                tags: vec![Tag { key: "k".to_owned(), value: "v".to_owned() }],
            };
            version::create(tx, &on_day(2), new)
        })
        .await;
        assert_eq!((made.version.as_str(), made.stage, made.status.as_str()), ("1", Stage::None, "READY"));
        assert_eq!(made.location(), "mlflow-artifacts:/0/models/m-123/artifacts");
        assert_eq!(made.created_by, "person:ada");
        assert_eq!(made.tags.len(), 1);
        let read = write(&db, |tx| version::get(tx, &on_day(2), "m", "1")).await;
        assert_eq!(read, made);
        let told = events(&db).await;
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].kind.as_str(), told[0].subject.as_str()), (kind::VERSION_REGISTERED, "model/m"));
        assert_eq!(told[0].payload["version"], "1");
        assert_eq!(told[0].payload["run_id"], "r1");
        let model = write(&db, |tx| model::get(tx, &on_day(2), "m")).await;
        assert_eq!(model.updated_ms, 2 * 86_400_000);

        let error = refused(&db, |tx| register(tx, &on_day(2), "unknown")).await;
        assert_eq!(error.kind(), Kind::NotFound);
        for version in ["2", "0", "-1"] {
            let error = refused(&db, move |tx| version::get(tx, &on_day(2), "m", version)).await;
            assert_eq!(error.to_string(), format!("Model Version (name=m, version={version}) not found"));
        }
        let error = refused(&db, |tx| version::get(tx, &on_day(2), "m", "one")).await;
        assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("version")));
    })
    .await;
}

#[tokio::test]
async fn a_source_that_names_a_version_means_its_files() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 2).await;
        write(&db, |tx| model::set_alias(tx, &on_day(1), "m", "blue", "2", "")).await;
        for source in ["models:/m/1", "models:/m@blue"] {
            let made = write(&db, move |tx| {
                let new = NewVersion { name: "m".to_owned(), source: source.to_owned(), ..NewVersion::default() };
                version::create(tx, &on_day(1), new)
            })
            .await;
            assert_eq!(made.source, source);
            assert_eq!(made.location(), "mlflow-artifacts:/0/r1/artifacts/model");
        }
        for source in ["models:/m/9", "models:/other/1", "models:/m/Production", "models:/m@red", ""] {
            let error = refused(&db, move |tx| {
                let new = NewVersion { name: "m".to_owned(), source: source.to_owned(), ..NewVersion::default() };
                version::create(tx, &on_day(1), new)
            })
            .await;
            assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("source")), "{source}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_number_is_never_used_twice() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 2).await;
        write(&db, |tx| {
            model::set_alias(tx, &on_day(1), "m", "blue", "2", "")?;
            version::delete(tx, &on_day(1), "m", "2", "bad")
        })
        .await;
        let next = write(&db, |tx| register(tx, &on_day(1), "m")).await;
        assert_eq!(next.version, "3");
        assert_eq!(refused(&db, |tx| version::get(tx, &on_day(1), "m", "2")).await.kind(), Kind::NotFound);
        assert_eq!(refused(&db, |tx| version::delete(tx, &on_day(1), "m", "2", "")).await.kind(), Kind::NotFound);
        let model = write(&db, |tx| model::get(tx, &on_day(1), "m")).await;
        assert!(model.aliases.is_empty());
        assert_eq!(moves(&db).await, ["m @blue - 2", "m @blue 2 -"]);
    })
    .await;
}

#[tokio::test]
async fn concurrent_registrations_get_numbers_of_their_own() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 0).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let db = db.clone();
            tasks.spawn(async move { write(&db, |tx| register(tx, &on_day(1), "m")).await.version });
        }
        let mut numbers: Vec<i64> = tasks.join_all().await.iter().map(|version| version.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=16).collect::<Vec<i64>>());
    })
    .await;
}

#[tokio::test]
async fn stages_move_and_archive_as_mlflow_does() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 3).await;
        let stage = |version: &'static str, stage, archive| {
            let db = db.clone();
            async move {
                write(&db, move |tx| version::transition_stage(tx, &on_day(2), "m", version, stage, archive, "t")).await
            }
        };
        assert_eq!(stage("1", Stage::Production, false).await.stage, Stage::Production);
        assert_eq!(stage("3", Stage::Production, true).await.stage, Stage::Production);
        assert_eq!(stage("2", Stage::Production, false).await.stage, Stage::Production);
        let stages = write(&db, |tx| {
            let mut stages = Vec::new();
            for version in ["1", "2", "3"] {
                stages.push(version::get(tx, &on_day(2), "m", version)?.stage);
            }
            Ok(stages)
        })
        .await;
        assert_eq!(stages, [Stage::Archived, Stage::Production, Stage::Production]);
        // The newest version in a stage is the one it names: version 2 joined, and nothing moved.
        assert_eq!(moves(&db).await, ["m Production - 1 unproven", "m Production 1 3 unproven"]);
        let named = write(&db, |tx| pointer::resolve(tx, &on_day(2), "m", &"Production".parse()?)).await.unwrap();
        assert_eq!(named.version, "3");
        let latest = write(&db, |tx| version::latest(tx, &on_day(2), "m", &[])).await;
        let latest: Vec<(&str, Stage)> = latest.iter().map(|one| (one.version.as_str(), one.stage)).collect();
        assert_eq!(latest, [("1", Stage::Archived), ("3", Stage::Production)]);
        assert!(write(&db, |tx| version::latest(tx, &on_day(2), "m", &[Stage::Staging])).await.is_empty());

        stage("3", Stage::None, false).await;
        assert_eq!(moves(&db).await.last().unwrap(), "m Production 3 2 unproven");
        let error =
            refused(&db, |tx| version::transition_stage(tx, &on_day(2), "m", "1", Stage::Archived, true, "t")).await;
        assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("archive_existing_versions")));
    })
    .await;
}

#[tokio::test]
async fn descriptions_and_tags_change() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 1).await;
        let tag = |key: &str, value: &str| Tag { key: key.to_owned(), value: value.to_owned() };
        let changed = write(&db, move |tx| {
            version::update(tx, &on_day(3), "m", "1", Some("text"))?;
            version::set_tag(tx, &on_day(3), "m", "1", &tag("a", "1"))?;
            version::set_tag(tx, &on_day(3), "m", "1", &tag("a", "2"))?;
            version::set_tag(tx, &on_day(3), "m", "1", &tag("b", "3"))?;
            version::delete_tag(tx, &on_day(3), "m", "1", "b")?;
            version::delete_tag(tx, &on_day(3), "m", "1", "not there")?;
            version::get(tx, &on_day(3), "m", "1")
        })
        .await;
        assert_eq!(changed.description.as_deref(), Some("text"));
        assert_eq!(changed.tags, [tag("a", "2")]);
        assert_eq!((changed.created_ms, changed.updated_ms), (86_400_000, 3 * 86_400_000));
    })
    .await;
}

#[tokio::test]
async fn the_owner_of_a_location_is_found() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 1).await;
        let look = |location: &'static str| {
            let db = db.clone();
            async move { write(&db, move |tx| version::at_location(tx, &on_day(1), location)).await.is_some() }
        };
        assert!(look("mlflow-artifacts:/0/r1/artifacts/model").await);
        assert!(look("mlflow-artifacts:/0/r1/artifacts/model/data/model.pkl").await);
        assert!(look("mlflow-artifacts:/0/r1/artifacts").await);
        assert!(look("mlflow-artifacts:/0").await);
        assert!(!look("mlflow-artifacts:/0/r1/artifacts/model2").await);
        assert!(!look("mlflow-artifacts:/0/r1/artifacts/mode").await);
        assert!(!look("mlflow-artifacts:/0/r1/artifacts/plot.png").await);
        assert!(!look("mlflow-artifacts:/0/r2").await);
    })
    .await;
}
