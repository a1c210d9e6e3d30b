//! What lies in the bin goes for good, after its time, and takes nothing along that is in use.

use bytes::Bytes;
use db::Db;
use kernel::clock::Clock;
use kernel::ctx::{Ctx, Principal};
use rondo_conductor::gc::{Kept, Options, Report, Stores, collect};
use rondo_conductor::{Error, TABLES};
use tracking::run::NewRun;
use tracking::{experiment, logged_model, metric, run};

const DAY_US: i64 = 86_400_000_000;

/// Stores whose clock stands at the present, because files have real times.
fn stores(db: Db) -> (Stores, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let blob = blob::Blob::open(dir.path().to_str().unwrap()).unwrap();
    (Stores { db, blob, clock: Clock::manual(Clock::system().now_us()) }, dir)
}

fn ctx(stores: &Stores) -> Ctx {
    Ctx::new(Principal::System("test"), stores.clock.now_us())
}

/// A run with a point, a param and a file; its id.
async fn new_run(stores: &Stores, experiment_id: &str) -> String {
    let (ctx, experiment_id) = (ctx(stores), experiment_id.to_owned());
    let made = stores.db.write(move |tx| {
        let new = NewRun { experiment_id, user_id: "u".into(), run_name: String::new(), start_ms: 1, tags: vec![] };
        let made = run::create(tx, &ctx, new)?;
        let id = made.info.run_id.clone();
        for step in 0..3 {
            let point = metric::Metric { key: "loss".into(), value: 0.5, timestamp_ms: 5, step, ..Default::default() };
            metric::log(tx, &ctx, &id, point)?;
        }
        tracking::param::log(tx, &ctx, &id, tracking::Pair::new("p", "1"))?;
        Ok::<_, tracking::Error>(made.info)
    });
    let info = made.await.unwrap();
    let file = blob::artifact_path(&info.artifact_uri).unwrap().join("model/weights").unwrap();
    stores.blob.put(&file, Bytes::from("0123456789")).await.unwrap();
    info.run_id
}

async fn write<T: Send + 'static>(
    stores: &Stores,
    work: impl FnOnce(&mut db::Tx<'_>, &Ctx) -> Result<T, Error> + Send + 'static,
) -> T {
    let ctx = ctx(stores);
    stores.db.write(move |tx| work(tx, &ctx)).await.unwrap()
}

async fn gc(stores: &Stores, older_than_us: i64, dry_run: bool) -> Report {
    let mut report = collect(stores, Options { older_than_us, dry_run }).await.unwrap();
    report.runs.sort();
    report
}

async fn files(stores: &Stores) -> usize {
    stores.blob.list_all("artifacts").await.unwrap().len()
}

#[tokio::test]
async fn deleted_runs_and_experiments_go_when_their_time_is_over() {
    testkit::on_both_with(&TABLES, |db| async move {
        let (stores, _dir) = stores(db);
        let second = write(&stores, |tx, ctx| Ok(experiment::create(tx, ctx, "second", None, &[])?)).await;
        let (kept, gone) = (new_run(&stores, "0").await, new_run(&stores, "0").await);
        let inside = new_run(&stores, &second).await;
        let (id, whole) = (gone.clone(), second.clone());
        write(&stores, move |tx, ctx| {
            run::delete(tx, ctx, &id)?;
            Ok(experiment::delete(tx, ctx, &whole)?)
        })
        .await;
        let mut both = vec![gone.clone(), inside];
        both.sort();

        assert_eq!(gc(&stores, DAY_US, false).await, Report::default(), "not yet");
        stores.clock.advance_us(2 * DAY_US);
        let planned = gc(&stores, DAY_US, true).await;
        assert_eq!((&planned.runs, planned.files, planned.bytes), (&both, 2, 20));
        assert_eq!(files(&stores).await, 3, "nothing goes when it is dry");
        let done = gc(&stores, DAY_US, false).await;
        assert_eq!(done, planned, "it is done as it was said");
        assert_eq!(done.experiments, [second.parse::<i64>().unwrap()]);
        assert_eq!(files(&stores).await, 1);
        assert_eq!(gc(&stores, DAY_US, false).await, Report::default(), "again");

        write(&stores, move |tx, ctx| {
            assert_eq!(run::get(tx, ctx, &kept)?.info.run_id, kept);
            assert!(run::get(tx, ctx, &gone).is_err());
            assert!(experiment::get(tx, ctx, &second).is_err());
            let left = tx.query("SELECT DISTINCT run_id FROM metric_series", &[])?;
            assert_eq!(left.len(), 1, "points go along");
            Ok(experiment::create(tx, ctx, "second", None, &[])?)
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn what_a_registered_version_uses_stays() {
    testkit::on_both_with(&TABLES, |db| async move {
        let (stores, _dir) = stores(db);
        let id = new_run(&stores, "0").await;
        let run_id = id.clone();
        write(&stores, move |tx, ctx| {
            let source = format!("mlflow-artifacts:/0/{run_id}/artifacts/model");
            registry::model::create(tx, ctx, "m", vec![], None)?;
            let new = registry::version::NewVersion {
                name: "m".into(),
                storage_location: Some(source.clone()),
                source,
                ..Default::default()
            };
            registry::version::create(tx, ctx, new)?;
            Ok(run::delete(tx, ctx, &run_id)?)
        })
        .await;
        let report = gc(&stores, 0, false).await;
        let reason = format!("a registered version uses its files in artifacts/0/{id}/artifacts/model");
        assert_eq!(report, Report { kept: vec![Kept { id: id.clone(), reason }], ..Report::default() });
        assert_eq!(files(&stores).await, 1);

        write(&stores, |tx, ctx| Ok(registry::model::delete(tx, ctx, "m")?)).await;
        assert_eq!(gc(&stores, 0, false).await.runs, [id]);
        assert_eq!(files(&stores).await, 0);
    })
    .await;
}

#[tokio::test]
async fn files_of_nobody_go_and_files_of_anything_else_stay() {
    testkit::on_both_with(&TABLES, |db| async move {
        let (stores, _dir) = stores(db);
        let id = new_run(&stores, "0").await;
        let nobody = kernel::id::random_hex();
        let orphans = [format!("artifacts/0/{nobody}"), format!("artifacts/0/models/m-{nobody}")];
        let strange =
            ["artifacts/0/notes.txt", "artifacts/0/traces/tr-1/artifacts/x", "artifacts/mine/f", "telemetry/f"];
        let names = orphans.iter().map(|folder| format!("{folder}/artifacts/f"));
        for name in names.chain(strange.map(str::to_owned)) {
            stores.blob.put(&blob::SafePath::parse(&name).unwrap(), Bytes::from("x")).await.unwrap();
        }
        assert_eq!(gc(&stores, DAY_US, false).await, Report::default(), "they may be under way");
        stores.clock.advance_us(2 * DAY_US);
        let report = gc(&stores, DAY_US, false).await;
        assert_eq!(report.orphans, orphans);
        assert_eq!((report.files, report.runs.len()), (2, 0));
        assert_eq!(files(&stores).await, 1 + 3);
        assert_eq!(stores.blob.list_all("").await.unwrap().len(), 1 + 4, "{id}");
    })
    .await;
}

#[tokio::test]
async fn uploads_that_nobody_ended_go() {
    testkit::on_both_with(&TABLES, |db| async move {
        let (stores, _dir) = stores(db);
        let file = blob::SafePath::parse("artifacts/0/big.bin").unwrap();
        let upload = stores.blob.start_parts(&file, 2, stores.clock.now_us()).await.unwrap();
        let part = futures_util::stream::iter([Ok(Bytes::from("0123"))]);
        stores.blob.put_part(&upload, 1, part).await.unwrap();
        assert_eq!(gc(&stores, DAY_US, false).await, Report::default(), "it may be under way");
        stores.clock.advance_us(2 * DAY_US);
        assert_eq!(gc(&stores, DAY_US, true).await.uploads, std::slice::from_ref(&upload.id));
        let report = gc(&stores, DAY_US, false).await;
        assert_eq!((report.uploads, report.files), (vec![upload.id], 2));
        assert_eq!(stores.blob.list_all("").await.unwrap(), []);
        let late = blob::SafePath::parse("uploads/0123/00001").unwrap();
        stores.blob.put(&late, Bytes::from("came after the end")).await.unwrap();
        assert_eq!(gc(&stores, DAY_US, false).await.uploads, ["0123"]);
        assert_eq!(stores.blob.list_all("").await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn logged_models_go_with_their_files() {
    testkit::on_both_with(&TABLES, |db| async move {
        let (stores, _dir) = stores(db);
        let new = logged_model::NewModel {
            experiment_id: "0".into(),
            name: None,
            model_type: None,
            source_run_id: None,
            params: vec![tracking::Pair::new("p", "1")],
            tags: vec![],
        };
        let model = write(&stores, move |tx, ctx| Ok(logged_model::create(tx, ctx, new)?)).await;
        let file = blob::artifact_path(&model.artifact_location).unwrap().join("MLmodel").unwrap();
        stores.blob.put(&file, Bytes::from("x")).await.unwrap();
        assert_eq!(gc(&stores, 0, false).await, Report::default());
        let id = model.model_id.clone();
        write(&stores, move |tx, ctx| Ok(logged_model::delete(tx, ctx, &id)?)).await;
        assert_eq!(gc(&stores, 0, false).await.logged_models, [model.model_id]);
        assert_eq!(files(&stores).await, 0);
    })
    .await;
}
