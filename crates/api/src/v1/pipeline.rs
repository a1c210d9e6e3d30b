//! Pipelines, their runs and the logs of their steps.

use std::collections::BTreeMap;

use access::Permission::{Admin, Edit, View};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use conductor::House;
use db::Tx;
use kernel::ctx::Ctx;
use pipelines::run::{Run, Trigger};
use pipelines::step::StepState;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Body, Error, Query, Routes};
use crate::principal::Caller;
use crate::route::{get, post};

/// Most of a log in one answer, bytes.
const MAX_LOG: u64 = 1 << 20;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/pipelines", get(View, list))
        .route("/pipelines/{name}", get(View, one).put(Admin, put).delete(Admin, delete))
        .route("/pipelines/{name}/runs", get(View, runs).post(Edit, start))
        .route("/pipeline-runs/{id}", get(View, run))
        .route("/pipeline-runs/{id}/cancel", post(Edit, cancel))
        .route("/pipeline-runs/{id}/steps/{step}/log", get(View, log))
}

async fn list(State(house): State<House>, Caller(who): Caller) -> Answer {
    let ctx = house.ctx(who);
    let shown = house
        .db
        .read(move |tx| {
            let mut shown = Vec::new();
            for stored in pipelines::pipeline::list(tx, &ctx)? {
                let last = pipelines::run::list(tx, &ctx, &stored.name, 1)?.pop();
                shown.push(json!({
                    "name": stored.name, "dir": stored.dir, "updated_us": stored.updated_us,
                    "steps": stored.pipeline.steps.iter().map(|step| step.name.clone()).collect::<Vec<_>>(),
                    "triggers": stored.pipeline.triggers.iter().map(|trigger| trigger.name.clone()).collect::<Vec<_>>(),
                    "last_state": last.as_ref().map(|run| run.state.as_str()),
                    "last_run": last.map(|run| run.run_id),
                }));
            }
            Ok::<_, pipelines::Error>(shown)
        })
        .await?;
    Ok(Json(json!({ "pipelines": shown })))
}

async fn one(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    let stored = house.db.read(move |tx| pipelines::pipeline::get(tx, &ctx, &name)).await?;
    Ok(Json(
        json!({ "name": stored.name, "dir": stored.dir, "definition": stored.definition, "updated_us": stored.updated_us }),
    ))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    definition: String,
    dir: String,
}

/// `PUT /pipelines/NAME {"definition": the text of pipeline.toml, "dir": where its steps run}`.
async fn put(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Body(put): Body<Put>,
) -> Answer {
    let ctx = house.ctx(who);
    let stored = house.db.write(move |tx| pipelines::pipeline::put(tx, &ctx, &name, &put.definition, &put.dir)).await?;
    Ok(Json(json!({ "name": stored.name, "dir": stored.dir, "updated_us": stored.updated_us })))
}

async fn delete(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    house.db.write(move |tx| pipelines::pipeline::delete(tx, &ctx, &name)).await?;
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
struct Limit {
    limit: Option<i64>,
}

async fn runs(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Query(limit): Query<Limit>,
) -> Answer {
    let ctx = house.ctx(who);
    let limit = limit.limit.unwrap_or(50).clamp(1, 1_000);
    let shown = house
        .db
        .read(move |tx| {
            pipelines::pipeline::get(tx, &ctx, &name)?;
            let found = pipelines::run::list(tx, &ctx, &name, limit)?;
            found.iter().map(|run| show(tx, &ctx, run)).collect::<Result<Vec<Value>, _>>()
        })
        .await?;
    Ok(Json(json!({ "runs": shown })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Start {
    params: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    key: Option<String>,
    reason: Option<String>,
}

/// `POST /pipelines/NAME/runs {"params"?, "env"?, "key"?, "reason"?}`: starts a run; the same key again is the same run.
async fn start(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Body(start): Body<Start>,
) -> Answer {
    let reason = start.reason.unwrap_or_else(|| format!("started by {who}"));
    let ctx = house.ctx(who);
    let trigger = Trigger {
        kind: "manual".to_owned(),
        name: "manual".to_owned(),
        logical_key: start.key.unwrap_or_else(|| format!("manual/{}", kernel::id::new())),
        reason,
        at_us: ctx.now_us,
        params: start.params,
        env: start.env,
        event: None,
    };
    let started = house.db.write(move |tx| pipelines::run::start(tx, &ctx, &name, &trigger)).await?;
    house.nudge();
    Ok(Json(json!({ "run_id": started.run_id, "fresh": started.fresh })))
}

async fn run(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    let shown = house
        .db
        .read(move |tx| {
            let run = pipelines::run::get(tx, &ctx, &id)?;
            show(tx, &ctx, &run)
        })
        .await?;
    Ok(Json(shown))
}

async fn cancel(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    let run = house.db.write(move |tx| pipelines::run::cancel(tx, &ctx, &id)).await?;
    Ok(Json(json!({ "id": run.run_id, "state": run.state.as_str() })))
}

fn show(tx: &mut Tx<'_>, ctx: &Ctx, run: &Run) -> Result<Value, pipelines::Error> {
    let steps: Vec<Value> = pipelines::run::steps(tx, ctx, &run.run_id)?
        .iter()
        .map(|step| {
            json!({
                "name": step.step, "state": step.state.as_str(), "attempt": step.attempt,
                "cached": step.state == StepState::Skipped,
                "started_us": step.started_us, "ended_us": step.ended_us, "error": step.error,
            })
        })
        .collect();
    Ok(json!({
        "id": run.run_id, "pipeline": run.pipeline, "state": run.state.as_str(), "error": run.error,
        "trigger": run.trigger_kind, "reason": run.reason, "params": run.params, "created_us": run.created_us,
        "started_us": run.started_us, "ended_us": run.ended_us, "steps": steps,
    }))
}

#[derive(Debug, Deserialize)]
struct Tail {
    attempt: Option<i64>,
    offset: Option<u64>,
}

/// `GET /pipeline-runs/ID/steps/STEP/log?attempt=&offset=`: what a step printed, from a byte on; ask again for more.
async fn log(
    State(house): State<House>,
    Caller(who): Caller,
    Path((id, step)): Path<(String, String)>,
    Query(tail): Query<Tail>,
) -> Result<Response, Error> {
    let ctx = house.ctx(who);
    let wanted = (id, step.clone());
    let found = house
        .db
        .read(move |tx| {
            let (id, step) = wanted;
            pipelines::run::get(tx, &ctx, &id)?;
            Ok::<_, pipelines::Error>(pipelines::run::steps(tx, &ctx, &id)?.into_iter().find(|one| one.step == step))
        })
        .await?;
    let Some(found) = found else {
        return Err(Error::missing("step", &step, "look at the steps of the run"));
    };
    let attempt = tail.attempt.unwrap_or(found.attempt);
    let path = pipelines::log::path(&house.logs_dir, &found.run_id, &step, attempt);
    let offset = tail.offset.unwrap_or(0);
    let read = move || pipelines::log::read(&path, offset, MAX_LOG);
    let chunk = tokio::task::spawn_blocking(read).await.map_err(conductor::Error::from)??;
    let next = chunk.next.to_string();
    let headers =
        [(CONTENT_TYPE, "text/plain; charset=utf-8"), (HeaderName::from_static("x-next-offset"), next.as_str())];
    Ok((headers, chunk.text).into_response())
}
