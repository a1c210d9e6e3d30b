//! A deployment is brought to what its pointer says.
//!
//! The registry says which version, the object store has its files, the fleet makes it live. Only after the switch is the new target
//! written down, so a crash between the two repeats the switch and nothing else.

use std::collections::BTreeSet;

use db::Tx;
use kernel::ctx::Ctx;
use kernel::error::Classified as _;
use kernel::event::{Event, NewEvent, kind};
use registry::pointer::PointerUri;
use registry::version::Version;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serving::Rolled;
use serving::deployment::Deployment;

use crate::job::{self, Job};
use crate::{Error, House, version_files};

/// How many of the newest verdicts on a model are looked through for the one on a version.
const RECENT_VERDICTS: i64 = 1_000;

#[derive(Debug, Serialize, Deserialize)]
struct Roll {
    deployment: String,
}

/// Queues a roll of each deployment that follows what the event is about.
pub fn decide(tx: &mut Tx<'_>, ctx: &Ctx, event: &Event) -> Result<(), Error> {
    let followers: BTreeSet<String> = if event.kind == kind::DEPLOYMENT_CREATED {
        event.subject.strip_prefix("deployment/").map(str::to_owned).into_iter().collect()
    } else {
        let model = event.model.as_deref().unwrap_or_default();
        serving::deployment::list(tx, ctx)?.into_iter().filter(|one| one.model == model).map(|one| one.name).collect()
    };
    for deployment in followers {
        let key = format!("{}/{deployment}", event.seq);
        job::enqueue(tx, ctx, job::Kind::Roll, &key, &Roll { deployment })?;
    }
    Ok(())
}

/// Rolls one deployment.
pub(crate) async fn work(house: &House, job: &Job) -> Result<(), Error> {
    let Roll { deployment } = job.payload()?;
    let key = job.key.clone();
    let ctx = house.conductor_ctx();
    let name = deployment.clone();
    let wanted = house.db.read(move |tx| wanted(tx, &ctx, &name)).await?;
    let ctx = house.conductor_ctx();
    let Some((target, version)) = wanted else {
        return house.db.write(move |tx| job::finish(tx, &ctx, &key)).await;
    };
    let live = house.fleet.get(&deployment).map(|live| live.version().to_owned());
    if live.as_deref() == Some(&version.version) && target.target_version.as_deref() == live.as_deref() {
        return house.db.write(move |tx| job::finish(tx, &ctx, &key)).await;
    }
    // Until it is written down, what serves and what is written down differ: nobody may take that for something to mend.
    let _switching = house.switching().await;
    let started_us = house.clock.now_us();
    let switched = switch(house, &target, &version).await;
    let ctx = house.conductor_ctx();
    let load_ms = (ctx.now_us - started_us) / 1_000;
    match switched {
        Ok(rolled) => {
            let there = house.db.write(move |tx| record(tx, &ctx, &key, &target, &rolled, load_ms)).await?;
            if !there {
                house.fleet.remove(&deployment);
            }
            Ok(())
        }
        Err(error) if matches!(error.kind(), kernel::error::Kind::Unavailable | kernel::error::Kind::Overloaded) => {
            Err(error)
        }
        Err(error) => {
            let reason = error.to_string();
            house.db.write(move |tx| record_failure(tx, &ctx, &key, &target, &version.version, &reason)).await
        }
    }
}

/// Says that a deployment stays at what it serves.
pub(crate) fn give_up(tx: &mut Tx<'_>, ctx: &Ctx, job: &Job, reason: &str) -> Result<(), Error> {
    let Roll { deployment } = job.payload()?;
    match wanted(tx, ctx, &deployment)? {
        Some((target, version)) => record_failure(tx, ctx, &job.key, &target, &version.version, reason),
        None => Ok(()),
    }
}

/// Makes a version live that was switched to before: by an earlier life of this process, or by the server that turns the loop.
pub(crate) async fn bring(house: &House, deployment: &Deployment, version: &str) -> Result<(), Error> {
    let (ctx, model, version) = (house.conductor_ctx(), deployment.model.clone(), version.to_owned());
    let version = house.db.read(move |tx| registry::version::get(tx, &ctx, &model, &version)).await?;
    switch(house, deployment, &version).await.map(drop)
}

fn wanted(tx: &mut Tx<'_>, ctx: &Ctx, deployment: &str) -> Result<Option<(Deployment, Version)>, Error> {
    let Some(target) = serving::deployment::find(tx, ctx, deployment)? else { return Ok(None) };
    let uri: PointerUri = target.pointer.parse()?;
    let version = registry::pointer::resolve_uri(tx, ctx, &uri)?;
    Ok(version.map(|version| (target, version)))
}

/// Opens a version and makes it live, if its files are those that its verdict was about.
async fn switch(house: &House, deployment: &Deployment, version: &Version) -> Result<Rolled, Error> {
    let (ctx, wanted) = (house.conductor_ctx(), version.clone());
    let proven = house.db.read(move |tx| proven_digest(tx, &ctx, &wanted)).await?;
    let model = version_files::load(house, version).await?;
    if proven.is_some_and(|digest| digest != model.info().digest) {
        return Err(Error::Tampered { model: version.name.clone(), version: version.version.clone() });
    }
    house.fleet.declare(&deployment.name, deployment.config.clone());
    let loaded = serving::Loaded { model_name: version.name.clone(), version: version.version.clone(), model };
    Ok(house.fleet.roll(&deployment.name, loaded).await?)
}

/// The digest of the model files that the last passing verdict on a version was about, if there is one.
fn proven_digest(tx: &mut Tx<'_>, ctx: &Ctx, version: &Version) -> Result<Option<String>, Error> {
    let verdicts = registry::verdict::list(tx, ctx, &version.name, RECENT_VERDICTS)?;
    let passed = verdicts.into_iter().find(|verdict| verdict.passed && verdict.version == version.version);
    Ok(passed.and_then(|verdict| verdict.digests.model))
}

/// Writes down what is live now; false if the deployment was deleted meanwhile.
fn record(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    key: &str,
    deployment: &Deployment,
    rolled: &Rolled,
    load_ms: i64,
) -> Result<bool, Error> {
    job::finish(tx, ctx, key)?;
    if serving::deployment::find(tx, ctx, &deployment.name)?.is_none() {
        return Ok(false);
    }
    let version = rolled.to.as_str();
    if deployment.target_version.as_deref() == Some(version) {
        return Ok(true);
    }
    serving::deployment::set_target(tx, ctx, &deployment.name, version)?;
    db::events::emit(
        tx,
        ctx,
        NewEvent {
            kind: kind::DEPLOYMENT_ROLLED,
            subject: format!("deployment/{}", deployment.name),
            model: Some(deployment.model.clone()),
            payload: json!({
                "from": deployment.target_version, "to": version, "pointer": deployment.pointer, "load_ms": load_ms,
                "changes": rolled.changes,
            }),
        },
    )?;
    Ok(true)
}

fn record_failure(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    key: &str,
    deployment: &Deployment,
    version: &str,
    reason: &str,
) -> Result<(), Error> {
    job::fail(tx, ctx, key, reason)?;
    db::events::emit(
        tx,
        ctx,
        NewEvent {
            kind: kind::DEPLOYMENT_ROLL_FAILED,
            subject: format!("deployment/{}", deployment.name),
            model: Some(deployment.model.clone()),
            payload: json!({ "to": version, "pointer": deployment.pointer, "reason": reason }),
        },
    )?;
    Ok(())
}
