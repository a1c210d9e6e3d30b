//! Experiments and runs, as the command line and the app show them. Programs that log use the MLflow protocol.

use std::collections::BTreeMap;

use access::Permission::{Edit, View};
use axum::Json;
use axum::extract::{Path, State};
use conductor::House;
use db::Tx;
use kernel::ctx::Ctx;
use serde::Deserialize;
use serde_json::{Value, json};
use tracking::experiment::Experiment;
use tracking::run::Run;
use tracking::search::{self, ExperimentSearch, RunSearch};

use super::{Answer, Body, Query, Routes};
use crate::principal::Caller;
use crate::route::{get, post};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/experiments", get(View, experiments))
        .route("/runs", get(View, list))
        .route("/runs/{id}", get(View, one))
        .route("/runs/{id}/experiment", post(Edit, put_into))
}

/// More experiments than a page can show.
const MANY: i64 = 1_000;

async fn experiments(State(house): State<House>, Caller(who): Caller) -> Answer {
    let ctx = house.ctx(who);
    let found = house.db.read(move |tx| active(tx, &ctx)).await?;
    let shown: Vec<Value> = found
        .iter()
        .map(|one| json!({ "experiment_id": one.experiment_id, "name": one.name, "created_ms": one.created_ms }))
        .collect();
    Ok(Json(json!({ "experiments": shown })))
}

/// The experiments that are not deleted, the newest first.
pub(super) fn active(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Experiment>, tracking::Error> {
    let search = ExperimentSearch {
        filter: String::new(),
        view: tracking::View::ActiveOnly,
        max_results: MANY,
        order_by: Vec::new(),
        page_token: None,
    };
    Ok(search::experiments(tx, ctx, &search)?.items)
}

#[derive(Debug, Deserialize)]
struct Which {
    experiment_id: Option<String>,
    experiment: Option<String>,
    limit: Option<i64>,
}

/// `GET /runs?experiment_id=|experiment=NAME&limit=`: the newest runs.
async fn list(State(house): State<House>, Caller(who): Caller, Query(which): Query<Which>) -> Answer {
    let ctx = house.ctx(who);
    let runs = house.db.read(move |tx| newest(tx, &ctx, &which)).await?;
    Ok(Json(json!({ "runs": runs.iter().map(show).collect::<Vec<_>>() })))
}

fn newest(tx: &mut Tx<'_>, ctx: &Ctx, which: &Which) -> Result<Vec<Run>, tracking::Error> {
    let ids = match (&which.experiment_id, &which.experiment) {
        (Some(id), _) => vec![tracking::experiment::get(tx, ctx, id)?.experiment_id],
        (None, Some(name)) => vec![tracking::experiment::get_by_name(tx, ctx, name)?.experiment_id],
        (None, None) => active(tx, ctx)?.into_iter().map(|one| one.experiment_id).collect(),
    };
    let search = RunSearch {
        experiment_ids: ids,
        filter: String::new(),
        view: tracking::View::ActiveOnly,
        max_results: which.limit.unwrap_or(50).clamp(1, 1_000),
        order_by: Vec::new(),
        page_token: None,
    };
    Ok(search::runs(tx, ctx, &search)?.items)
}

async fn one(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    let run = house.db.read(move |tx| tracking::run::get(tx, &ctx, &id)).await?;
    Ok(Json(show(&run)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Into {
    experiment_id: String,
}

/// `POST /runs/{id}/experiment`: the run moves; its artifacts stay where they are.
async fn put_into(
    State(house): State<House>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Body(into): Body<Into>,
) -> Answer {
    let ctx = house.ctx(who);
    let put = move |tx: &mut Tx<'_>| tracking::run::put_into(tx, &ctx, &id, &into.experiment_id);
    let run = house.db.write(put).await?;
    Ok(Json(json!({ "run_id": run.run_id, "experiment_id": run.experiment_id, "artifact_uri": run.artifact_uri })))
}

fn show(run: &Run) -> Value {
    let pairs = |pairs: &[tracking::Pair]| {
        pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect::<BTreeMap<_, _>>()
    };
    let metrics: BTreeMap<&str, f64> = run.metrics.iter().map(|metric| (metric.key.as_str(), metric.value)).collect();
    json!({
        "run_id": run.info.run_id, "name": run.info.run_name, "experiment_id": run.info.experiment_id,
        "status": run.info.status.as_str(), "user": run.info.user_id, "start_ms": run.info.start_ms,
        "end_ms": run.info.end_ms, "artifact_uri": run.info.artifact_uri, "params": pairs(&run.params),
        "metrics": metrics, "tags": pairs(&run.tags),
    })
}
