//! Registered models: who is in production, on what evidence, and the whole story.

use std::collections::BTreeMap;

use access::Permission::{Admin, Approve, View};
use axum::Json;
use axum::extract::{Path, State};
use conductor::House;
use db::Tx;
use kernel::ctx::Ctx;
use registry::model::Model;
use registry::policy::Policy;
use registry::verdict::Verdict;
use registry::version::Version;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Body, Error, Query, Routes, body};
use crate::principal::Caller;
use crate::route::{get, post};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/models", get(View, list))
        .route("/models/{name}", get(View, one))
        .route("/models/{name}/history", get(View, history))
        .route("/models/{name}/policy", get(View, policy).put(Admin, set_policy).patch(Admin, change_policy))
        .route("/models/{name}/verdicts/{id}/approve", post(Approve, approve))
}

/// More of a listing than anybody reads.
const MANY: i64 = 1_000;

async fn list(State(house): State<House>, Caller(who): Caller) -> Answer {
    let ctx = house.ctx(who);
    let models = house.db.read(move |tx| all(tx, &ctx)).await?;
    Ok(Json(json!({ "models": models })))
}

fn all(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Value>, conductor::Error> {
    let mut shown = Vec::new();
    for model in known(tx, ctx)? {
        let newest = registry::version::of_model(tx, ctx, &model.name, 1)?;
        let production = registry::pointer::resolve(tx, ctx, &model.name, &"Production".parse()?)?;
        shown.push(json!({
            "name": model.name,
            "description": model.description,
            "latest_version": newest.first().map(|version| version.version.clone()),
            "production_version": production.map(|version| version.version),
            "aliases": aliases(&model),
            "policy": registry::policy::get(tx, ctx, &model.name)?,
            "created_ms": model.created_ms,
        }));
    }
    Ok(shown)
}

/// All models, by name.
pub(super) fn known(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Model>, registry::Error> {
    let search = registry::model::Search { max_results: MANY, ..Default::default() };
    Ok(registry::model::search(tx, ctx, &search)?.items)
}

fn aliases(model: &Model) -> BTreeMap<&str, &str> {
    model.aliases.iter().map(|alias| (alias.alias.as_str(), alias.version.as_str())).collect()
}

async fn one(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    let shown = house
        .db
        .read(move |tx| {
            let model = registry::model::get(tx, &ctx, &name)?;
            let versions = registry::version::of_model(tx, &ctx, &name, MANY)?;
            let versions: Vec<Value> = versions.iter().map(|one| version(tx, &ctx, one)).collect();
            let verdicts: Vec<Value> = registry::verdict::list(tx, &ctx, &name, MANY)?.iter().map(verdict).collect();
            Ok::<_, conductor::Error>(json!({
                "name": model.name, "description": model.description, "versions": versions, "verdicts": verdicts,
                "aliases": aliases(&model),
                "policy": registry::policy::get(tx, &ctx, &name)?,
            }))
        })
        .await?;
    Ok(Json(shown))
}

/// A version, with what its run says about its training.
pub(super) fn version(tx: &mut Tx<'_>, ctx: &Ctx, version: &Version) -> Value {
    let run_id = version.run_id.as_deref().filter(|id| !id.is_empty());
    let run = run_id.and_then(|id| tracking::run::get(tx, ctx, id).ok());
    let trained_until = run.and_then(|run| {
        run.tags.into_iter().find(|tag| tag.key == conductor::evaluation::TRAINED_UNTIL_TAG).map(|tag| tag.value)
    });
    json!({
        "version": version.version, "stage": version.stage.to_string(), "aliases": version.aliases,
        "run_id": version.run_id, "source": version.source, "status": version.status,
        "description": version.description, "created_us": version.created_ms * 1_000, "trained_until": trained_until,
    })
}

/// A verdict with its evidence.
pub(super) fn verdict(verdict: &Verdict) -> Value {
    json!(verdict)
}

#[derive(Debug, Deserialize)]
struct Range {
    after: Option<i64>,
    limit: Option<i64>,
}

/// `GET /models/NAME/history?after=&limit=`: every decision about a model in order, by whom, on what evidence.
async fn history(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Query(range): Query<Range>,
) -> Answer {
    let limit = range.limit.unwrap_or(1_000).clamp(1, 10_000);
    let after = range.after.unwrap_or(-1);
    let ctx = house.ctx(who);
    let read = house.db.read(move |tx| {
        let events = db::events::for_model(tx, &ctx, &name, after, limit)?;
        if events.is_empty() && after < 0 {
            // a model that was deleted keeps its story; a name that never was one has none
            registry::model::get(tx, &ctx, &name)?;
        }
        Ok::<_, registry::Error>(events)
    });
    Ok(Json(json!({ "events": read.await? })))
}

async fn policy(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    let policy = house.db.read(move |tx| registry::policy::get(tx, &ctx, &name)).await?;
    Ok(Json(json!(policy)))
}

/// `PUT /models/NAME/policy`: the whole policy; what is left out has its default. The model need not exist yet.
async fn set_policy(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Body(given): Body<Map<String, Value>>,
) -> Answer {
    let policy: Policy = body::read(Value::Object(given))?;
    let (ctx, stored) = (house.ctx(who), policy.clone());
    house.db.write(move |tx| registry::policy::set(tx, &ctx, &name, &stored)).await?;
    Ok(Json(json!(policy)))
}

/// `PATCH /models/NAME/policy`: what is left out stays as it is.
async fn change_policy(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Body(given): Body<Map<String, Value>>,
) -> Answer {
    let ctx = house.ctx(who);
    let policy = house.db.write(move |tx| change(tx, &ctx, &name, given)).await?;
    Ok(Json(json!(policy)))
}

/// Reads and writes in one transaction, so that of two changes at once none is lost.
fn change(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, given: Map<String, Value>) -> Result<Policy, Error> {
    let mut policy = json!(registry::policy::get(tx, ctx, name)?);
    if let Some(fields) = policy.as_object_mut() {
        fields.extend(given);
    }
    let policy = body::read(policy)?;
    registry::policy::set(tx, ctx, name, &policy)?;
    Ok(policy)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    approved: bool,
    note: Option<String>,
}

/// `POST /models/NAME/verdicts/ID/approve {"approved", "note"?}`: a person's yes or no to a passing verdict.
async fn approve(
    State(house): State<House>,
    Caller(who): Caller,
    Path((name, id)): Path<(String, String)>,
    Body(approval): Body<Approval>,
) -> Answer {
    let ctx = house.ctx(who);
    let decided = house
        .db
        .write(move |tx| {
            let found = registry::verdict::get(tx, &ctx, &id)?;
            if found.model != name {
                return Err(registry::Error::VerdictNotFound(id));
            }
            registry::verdict::approve(tx, &ctx, &id, approval.approved, approval.note.as_deref())
        })
        .await?;
    Ok(Json(verdict(&decided)))
}
