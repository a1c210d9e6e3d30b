//! A new version is opened, and the profile of what it was trained on becomes its reference.
//!
//! The training rows are looked for where the run says: a dataset input whose source is an artifact, else the artifact
//! `reference/*.csv` or `reference/*.parquet` of the run. The model itself scores those rows, so that the reference of the
//! prediction comes from the same arithmetic that will serve.

use blob::SafePath;
use db::Tx;
use kernel::ctx::Ctx;
use kernel::error::{Classified as _, Kind};
use kernel::event::{Event, NewEvent, kind};
use kernel::frame::Frame;
use monitoring::profile::Profile;
use monitoring::task::Task;
use serde::{Deserialize, Serialize};
use serde_json::json;
use telemetry::table::{self, Format};

use crate::job::{self, Job};
use crate::{Error, House, version_files};

/// Rows beyond this many are thinned out evenly before they are profiled.
const MAX_REFERENCE_ROWS: usize = 200_000;

#[derive(Debug, Serialize, Deserialize)]
struct Admit {
    model: String,
    version: String,
}

/// Queues the opening of a version.
pub fn decide(tx: &mut Tx<'_>, ctx: &Ctx, event: &Event) -> Result<(), Error> {
    let (Some(model), Some(version)) = (event.model.clone(), event.payload["version"].as_str()) else { return Ok(()) };
    let job = Admit { model, version: version.to_owned() };
    job::enqueue(tx, ctx, job::Kind::Admit, &event.seq.to_string(), &job)
}

/// Opens a version and writes its reference profile, or why there is none.
pub(crate) async fn work(house: &House, job: &Job) -> Result<(), Error> {
    let Admit { model, version } = job.payload()?;
    let profiled = profile(house, &model, &version).await;
    let ctx = house.conductor_ctx();
    let key = job.key.clone();
    match profiled {
        Ok(reference) => house.db.write(move |tx| publish(tx, &ctx, &key, &model, &version, &reference)).await,
        Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Overloaded) => Err(error),
        Err(error) => {
            let reason = error.to_string();
            house.db.write(move |tx| publish_failure(tx, &ctx, &key, &model, &version, &reason)).await
        }
    }
}

/// Says that a version will have no reference.
pub(crate) fn give_up(tx: &mut Tx<'_>, ctx: &Ctx, job: &Job, reason: &str) -> Result<(), Error> {
    let Admit { model, version } = job.payload()?;
    publish_failure(tx, ctx, &job.key, &model, &version, reason)
}

/// Makes a profile from rows that somebody passed, and publishes it as the reference of a version.
pub async fn set_reference(house: &House, ctx: Ctx, model: &str, version: &str, rows: Frame) -> Result<(), Error> {
    let (read_ctx, name, number) = (ctx.clone(), model.to_owned(), version.to_owned());
    let found = house.db.read(move |tx| Ok::<_, Error>(registry::version::get(tx, &read_ctx, &name, &number)?)).await?;
    let loaded = version_files::load(house, &found).await?;
    let profile = tokio::task::spawn_blocking(move || make(&loaded, rows)).await??;
    let reference = Reference { rows: profile.rows(), profile, source: "rows passed by the caller".to_owned() };
    let (model, version) = (model.to_owned(), version.to_owned());
    house.db.write(move |tx| announce(tx, &ctx, &model, &version, &reference)).await
}

struct Reference {
    profile: Profile,
    rows: u64,
    source: String,
}

async fn profile(house: &House, model: &str, version: &str) -> Result<Reference, Error> {
    let (ctx, name, number) = (house.conductor_ctx(), model.to_owned(), version.to_owned());
    let (found, run) = house
        .db
        .read(move |tx| {
            let version = registry::version::get(tx, &ctx, &name, &number)?;
            let run_id = version.run_id.as_deref().filter(|id| !id.is_empty());
            let run = run_id.map(|id| tracking::run::get(tx, &ctx, id)).transpose()?;
            Ok::<_, Error>((version, run))
        })
        .await?;
    let loaded = version_files::load(house, &found).await?;
    let Some(run) = run else {
        return Err(Error::Unproven("the version has no run, so its training rows are unknown".to_owned()));
    };
    let sources: Vec<String> = run.datasets.iter().map(|input| input.source.clone()).collect();
    let (bytes, format, source) = training_rows(house, &run.info.artifact_uri, &sources).await?;
    let profile = tokio::task::spawn_blocking(move || make(&loaded, table::read(bytes, format)?)).await??;
    Ok(Reference { rows: profile.rows(), profile, source })
}

/// Finds the file with the training rows of a run.
async fn training_rows(
    house: &House,
    artifact_uri: &str,
    sources: &[String],
) -> Result<(bytes::Bytes, Format, String), Error> {
    let mut candidates: Vec<SafePath> = sources.iter().filter_map(|source| artifact_of(source)).collect();
    if let Ok(root) = blob::artifact_path(artifact_uri)
        && let Ok(folder) = root.join("reference")
    {
        for entry in house.blob.list_all(folder.as_str()).await? {
            candidates.extend(folder.join(&entry.name).ok());
        }
    }
    for path in candidates {
        let Some(format) = format_of(path.name()) else { continue };
        if house.blob.head(&path).await?.is_some() {
            return Ok((house.blob.get(&path).await?, format, path.as_str().to_owned()));
        }
    }
    Err(Error::Unproven(
        "the run has no training rows: log them as the artifact reference/train.csv or .parquet, or pass rows with \
         `rondo model reference`"
            .to_owned(),
    ))
}

/// The format of a file by its name.
fn format_of(name: &str) -> Option<Format> {
    match name.rsplit_once('.')?.1 {
        "csv" => Some(Format::Csv),
        "parquet" => Some(Format::Parquet),
        _ => None,
    }
}

/// A dataset source that points at an artifact of ours.
fn artifact_of(source: &str) -> Option<SafePath> {
    let source: serde_json::Value = serde_json::from_str(source).ok()?;
    let uri = ["uri", "url", "path"].iter().find_map(|key| source[*key].as_str())?;
    blob::artifact_path(uri).ok()
}

fn make(model: &inference::Model, rows: Frame) -> Result<Profile, Error> {
    let step = rows.rows().div_ceil(MAX_REFERENCE_ROWS).max(1);
    let kept: Vec<usize> = (0..rows.rows()).step_by(step).collect();
    let rows = serving::decode::align(model, &rows.take(&kept))?;
    let scores = model.predict(&rows)?.scores;
    Ok(Profile::of(&rows, Some(&scores)).with_task(task(model)))
}

/// What a model predicts, as monitors and evaluations see it.
pub(crate) fn task(model: &inference::Model) -> Task {
    match (model.task(), model.classes()) {
        (inference::Task::Regression, _) => Task::Regression,
        (inference::Task::Binary, [_, positive]) => Task::Binary { positive: positive.clone() },
        _ => Task::Multiclass,
    }
}

fn publish(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    key: &str,
    model: &str,
    version: &str,
    reference: &Reference,
) -> Result<(), Error> {
    announce(tx, ctx, model, version, reference)?;
    job::finish(tx, ctx, key)
}

fn announce(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, version: &str, reference: &Reference) -> Result<(), Error> {
    monitoring::reference::put(tx, ctx, model, version, &reference.profile)?;
    db::events::emit(
        tx,
        ctx,
        NewEvent {
            kind: kind::REFERENCE_COMPUTED,
            subject: format!("model/{model}"),
            model: Some(model.to_owned()),
            payload: json!({ "version": version, "rows": reference.rows, "source": reference.source }),
        },
    )?;
    Ok(())
}

fn publish_failure(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    key: &str,
    model: &str,
    version: &str,
    reason: &str,
) -> Result<(), Error> {
    job::finish(tx, ctx, key)?;
    db::events::emit(
        tx,
        ctx,
        NewEvent {
            kind: kind::REFERENCE_FAILED,
            subject: format!("model/{model}"),
            model: Some(model.to_owned()),
            payload: json!({ "version": version, "reason": reason }),
        },
    )?;
    Ok(())
}
