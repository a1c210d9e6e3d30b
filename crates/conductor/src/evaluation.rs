//! A candidate is measured together with the champion, on the same rows, which neither was trained on.
//!
//! The rows are the most recent labelled predictions of the deployment that follows the pointer, later than both training cut-offs
//! (the run tag `rondo.trained_until`). Both models score them anew, natively; the difference is bootstrapped in pairs, overall
//! and per slice. The verdict binds the digests of model, data, code and thresholds. What cannot be shown fails: there is no
//! verdict by default, except the recorded rubber stamp of a first version, which has no champion to be compared with.

mod measure;
mod subject;

use db::Tx;
use kernel::ctx::Ctx;
use kernel::error::{Classified as _, Kind};
use kernel::event::{Event, NewEvent, kind};
use registry::pointer::{Pointer, PointerUri};
use registry::policy::{Approve, Mode};
use registry::verdict::NewVerdict;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::job::{self, Job};
use crate::{Error, House};

/// The run tag that says up to which event time a version was trained (RFC 3339).
pub const TRAINED_UNTIL_TAG: &str = "rondo.trained_until";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Evaluate {
    model: String,
    version: String,
    pointer: String,
    deployment: Option<String>,
}

/// Queues the evaluation of a version for each pointer that a deployment follows or the policy guards.
pub fn decide(tx: &mut Tx<'_>, ctx: &Ctx, event: &Event) -> Result<(), Error> {
    let (Some(model), Some(version)) = (event.model.as_deref(), event.payload["version"].as_str()) else {
        return Ok(());
    };
    for job in targets(tx, ctx, model, version)? {
        let key = format!("{}/{}", event.seq, job.pointer);
        job::enqueue(tx, ctx, job::Kind::Evaluate, &key, &job)?;
    }
    Ok(())
}

/// Queues an evaluation that a person asked for; returns the pointers it will be for.
pub fn request(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, version: &str) -> Result<Vec<String>, Error> {
    registry::version::get(tx, ctx, model, version)?;
    let mut pointers = Vec::new();
    for job in targets(tx, ctx, model, version)? {
        job::enqueue(tx, ctx, job::Kind::Evaluate, &format!("{}/{}", kernel::id::new(), job.pointer), &job)?;
        pointers.push(job.pointer);
    }
    Ok(pointers)
}

/// The evaluations that a version needs: one for each pointer in use that it does not hold already.
fn targets(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, version: &str) -> Result<Vec<Evaluate>, Error> {
    let mut found: Vec<Evaluate> = Vec::new();
    for deployment in serving::deployment::list(tx, ctx)?.into_iter().filter(|one| one.model == model) {
        let uri: PointerUri = deployment.pointer.parse()?;
        if let Some(pointer) = uri.pointer().map(ToString::to_string)
            && !found.iter().any(|have| have.pointer == pointer)
        {
            let (model, version) = (model.to_owned(), version.to_owned());
            found.push(Evaluate { model, version, pointer, deployment: Some(deployment.name) });
        }
    }
    let policy = registry::policy::get(tx, ctx, model)?;
    if found.is_empty()
        && policy.mode == Mode::Required
        && let Some(pointer) = policy.guarded.first()
    {
        let (model, version, pointer) = (model.to_owned(), version.to_owned(), pointer.clone());
        found.push(Evaluate { model, version, pointer: pointer.to_string(), deployment: None });
    }
    let mut open = Vec::new();
    for job in found {
        let pointer: Pointer = job.pointer.parse()?;
        let holder = registry::pointer::resolve(tx, ctx, model, &pointer)?;
        if holder.is_none_or(|holder| holder.version != version) {
            open.push(job);
        }
    }
    Ok(open)
}

/// Evaluates, and records the verdict.
pub(crate) async fn work(house: &House, job: &Job) -> Result<(), Error> {
    let wanted: Evaluate = job.payload()?;
    let key = job.key.clone();
    let measured = match measure::verdict(house, &wanted).await {
        Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Overloaded) => return Err(error),
        measured => measured.map_err(|error| error.to_string()),
    };
    let ctx = house.conductor_ctx();
    house
        .db
        .write(move |tx| {
            let verdict = match measured {
                Ok(verdict) => verdict,
                Err(reason) => failed(tx, &ctx, &wanted, &reason)?,
            };
            registry::verdict::record(tx, &ctx, verdict)?;
            job::finish(tx, &ctx, &key)
        })
        .await
}

/// Records that a version could not be evaluated, which is a verdict too.
pub(crate) fn give_up(tx: &mut Tx<'_>, ctx: &Ctx, job: &Job, reason: &str) -> Result<(), Error> {
    let wanted: Evaluate = job.payload()?;
    let verdict = failed(tx, ctx, &wanted, reason)?;
    registry::verdict::record(tx, ctx, verdict)?;
    Ok(())
}

/// What cannot be shown has failed, and says why.
fn failed(tx: &mut Tx<'_>, ctx: &Ctx, wanted: &Evaluate, reason: &str) -> Result<NewVerdict, Error> {
    let champion = registry::pointer::champion(tx, ctx, &wanted.model, &wanted.pointer.parse::<Pointer>()?)?;
    Ok(NewVerdict {
        model: wanted.model.clone(),
        version: wanted.version.clone(),
        champion: champion.map(|champion| champion.version),
        pointer: wanted.pointer.clone(),
        passed: false,
        evidence: json!({ "reason": reason }),
        ..NewVerdict::default()
    })
}

/// Promotes what has passed, or asks a person, as the policy says.
pub fn promote_or_ask(tx: &mut Tx<'_>, ctx: &Ctx, event: &Event) -> Result<(), Error> {
    let Some(model) = event.model.as_deref() else { return Ok(()) };
    let policy = registry::policy::get(tx, ctx, model)?;
    match (policy.mode, policy.approve) {
        (Mode::Off, _) => Ok(()),
        (_, Approve::Auto) => promote(tx, ctx, model, event, "verdict passed"),
        (_, Approve::Human) => {
            let payload = json!({
                "version": event.payload["version"], "pointer": event.payload["pointer"],
                "verdict_id": event.payload["verdict_id"],
            });
            let subject = event.subject.clone();
            let model = Some(model.to_owned());
            db::events::emit(tx, ctx, NewEvent { kind: kind::APPROVAL_REQUESTED, subject, model, payload })?;
            Ok(())
        }
    }
}

/// Promotes what a person has approved.
pub fn promote_approved(tx: &mut Tx<'_>, ctx: &Ctx, event: &Event) -> Result<(), Error> {
    match event.model.as_deref() {
        Some(model) if event.payload["approved"] == json!(true) => {
            promote(tx, ctx, model, event, &format!("approved by {}", event.actor))
        }
        _ => Ok(()),
    }
}

fn promote(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, event: &Event, reason: &str) -> Result<(), Error> {
    let (Some(version), Some(pointer)) = (event.payload["version"].as_str(), event.payload["pointer"].as_str()) else {
        return Ok(());
    };
    let pointer: Pointer = pointer.parse()?;
    match registry::pointer::promote(tx, ctx, model, version, &pointer, reason) {
        Err(error) if matches!(error.kind(), Kind::Precondition | Kind::NotFound) => {
            tracing::warn!(model.name = model, model.version = version, %error, "a promotion was overtaken and is not done");
            Ok(())
        }
        other => Ok(other?),
    }
}
