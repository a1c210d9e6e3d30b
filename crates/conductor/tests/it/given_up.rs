//! What does not come of a job is told, so that nobody waits for it in vain.

use std::path::Path;
use std::time::Duration;

use db::events;
use kernel::event::{Event, kind};
use registry::pointer::Pointer;
use registry::verdict::{Digests, NewVerdict};
use registry::version::NewVersion;
use rondo_conductor::{Error, House, job, worker};
use serving::deployment::NewDeployment;

/// A folder of artifacts with the files of a model that scikit-learn wrote.
async fn store(house: &House, folder: &str) {
    let folder = blob::artifact_path(&format!("mlflow-artifacts:/{folder}")).unwrap();
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../serving/tests/models/regression-1");
    for entry in std::fs::read_dir(files).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name != "expected.json" {
            house.blob.put(&folder.join(&name).unwrap(), std::fs::read(entry.path()).unwrap().into()).await.unwrap();
        }
    }
}

/// Version 1 of `m`, with its files in a folder of the store, and the deployment `d` that follows Production.
async fn register(house: &House, folder: &str) {
    let (ctx, source) = (house.conductor_ctx(), format!("mlflow-artifacts:/{folder}"));
    house
        .db
        .write(move |tx| {
            registry::model::create(tx, &ctx, "m", Vec::new(), None)?;
            registry::version::create(tx, &ctx, NewVersion { name: "m".to_owned(), source, ..NewVersion::default() })?;
            let (name, model) = ("d".to_owned(), "m".to_owned());
            let pointer = "models:/m/Production".to_owned();
            serving::deployment::create(
                tx,
                &ctx,
                NewDeployment { name, pointer, model, config: serving::deployment::Config::default() },
            )?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}

async fn promote(house: &House) {
    let ctx = house.conductor_ctx();
    let production: Pointer = "Production".parse().unwrap();
    let promoted = house.db.write(move |tx| registry::pointer::promote(tx, &ctx, "m", "1", &production, "a test"));
    promoted.await.unwrap();
}

/// The first event of a kind, as soon as the conductor has published it.
async fn published(house: &House, wanted: &'static str) -> Event {
    let (_stopper, shutdown) = kernel::task::shutdown();
    worker::start(house, &shutdown);
    let look = async {
        loop {
            let seen = house.db.read(|tx| events::after(tx, -1, 1_000)).await.unwrap();
            if let Some(event) = seen.into_iter().find(|event| event.kind == wanted) {
                return event;
            }
            house.nudge();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), look).await.unwrap()
}

fn reason(event: &Event) -> &str {
    event.payload["reason"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_version_without_files_has_no_reference_and_a_deployment_of_it_says_why_it_stays() {
    testkit::on_both_with(&rondo_conductor::TABLES, |db| async move {
        let (house, _dir) = super::house(db);
        register(&house, "nothing").await;
        let failed = published(&house, kind::REFERENCE_FAILED).await;
        assert!(reason(&failed).contains("no files"), "{failed:?}");
        promote(&house).await;
        let failed = published(&house, kind::DEPLOYMENT_ROLL_FAILED).await;
        assert_eq!((failed.subject.as_str(), failed.payload["to"].as_str()), ("deployment/d", Some("1")));
        assert!(reason(&failed).contains("no files"), "{failed:?}");
        assert!(house.fleet.get("d").is_none());
    })
    .await;
}

#[tokio::test]
async fn files_that_are_not_those_of_the_verdict_do_not_go_live() {
    testkit::on_both_with(&rondo_conductor::TABLES, |db| async move {
        let (house, _dir) = super::house(db);
        store(&house, "model").await;
        register(&house, "model").await;
        let ctx = house.conductor_ctx();
        let verdict = NewVerdict {
            model: "m".to_owned(),
            version: "1".to_owned(),
            pointer: "Production".to_owned(),
            passed: true,
            digests: Digests { model: Some("what was measured".to_owned()), ..Digests::default() },
            ..NewVerdict::default()
        };
        house.db.write(move |tx| registry::verdict::record(tx, &ctx, verdict)).await.unwrap();
        promote(&house).await;
        let failed = published(&house, kind::DEPLOYMENT_ROLL_FAILED).await;
        assert!(reason(&failed).contains("changed since its verdict"), "{failed:?}");
        assert!(house.fleet.get("d").is_none());
    })
    .await;
}

/// On SQLite only, since the failure is a trigger in its dialect.
#[tokio::test]
async fn the_last_attempt_at_a_roll_is_told() {
    let db = db::Db::open("sqlite::memory:", &rondo_conductor::TABLES).await.unwrap();
    let (house, _dir) = super::house(db);
    store(&house, "model").await;
    register(&house, "model").await;
    promote(&house).await;
    let tables =
        "CREATE TRIGGER out_of_order BEFORE UPDATE ON deployments BEGIN SELECT RAISE(ABORT, 'out of order'); END";
    house.db.write(move |tx| tx.execute(tables, &[])).await.unwrap();
    for reaction in &rondo_conductor::reaction::TABLE {
        while rondo_conductor::reaction::catch_up(&house, reaction).await.unwrap() > 0 {}
    }
    let (now_us, ctx) = (house.clock.now_us(), house.conductor_ctx());
    let tired = house.db.write(move |tx| {
        for key in job::waiting(tx, &ctx)?.into_iter().filter(|key| key.starts_with("roll/")) {
            (0..7).try_for_each(|_| job::postpone(tx, &key, now_us, "out of order"))?;
        }
        Ok::<_, Error>(())
    });
    tired.await.unwrap();
    let failed = published(&house, kind::DEPLOYMENT_ROLL_FAILED).await;
    assert_eq!(failed.payload["to"], "1");
    assert!(reason(&failed).contains("out of order"), "{failed:?}");
}
