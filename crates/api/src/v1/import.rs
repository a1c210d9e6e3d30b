//! What an importer needs beyond the MLflow protocol: things that keep the ids, numbers and times they had elsewhere. The same
//! again changes nothing.

use access::Permission::Edit;
use axum::Json;
use axum::extract::State;
use conductor::House;
use registry::import::Number;
use serde::Deserialize;
use serde_json::json;
use tracking::import::{self, Foreign};
use tracking::logged_model::NewModel;
use tracking::run::NewRun;

use super::{Answer, Body, Routes};
use crate::principal::Caller;
use crate::route::post;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/import/experiments", post(Edit, experiment))
        .route("/import/runs", post(Edit, run))
        .route("/import/logged-models", post(Edit, logged_model))
        .route("/import/models", post(Edit, model))
        .route("/import/versions", post(Edit, version))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewExperiment {
    name: String,
    #[serde(default)]
    experiment_id: String,
    #[serde(default)]
    created_ms: i64,
}

/// The experiment of that name; under its own id if that is free.
async fn experiment(State(house): State<House>, Caller(who): Caller, Body(new): Body<NewExperiment>) -> Answer {
    let ctx = house.ctx(who);
    let foreign = Foreign { experiment_id: new.experiment_id, name: new.name, created_ms: new.created_ms };
    let (there, made) = house.db.write(move |tx| import::experiment(tx, &ctx, &foreign)).await?;
    Ok(Json(json!({
        "experiment_id": there.experiment_id, "artifact_location": there.artifact_location,
        "lifecycle_stage": there.stage.as_str(), "made": made,
    })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForeignRun {
    run_id: String,
    experiment_id: String,
    #[serde(default)]
    run_name: String,
    #[serde(default)]
    user_id: String,
    #[serde(default)]
    start_ms: i64,
}

async fn run(State(house): State<House>, Caller(who): Caller, Body(new): Body<ForeignRun>) -> Answer {
    let ctx = house.ctx(who);
    let ForeignRun { run_id, experiment_id, run_name, user_id, start_ms } = new;
    let new = NewRun { experiment_id, user_id, run_name, start_ms, tags: Vec::new() };
    let (there, made) = house.db.write(move |tx| import::run(tx, &ctx, &run_id, new)).await?;
    Ok(Json(json!({
        "run_id": there.run_id, "artifact_uri": there.artifact_uri, "lifecycle_stage": there.stage.as_str(), "made": made,
    })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForeignModel {
    model_id: String,
    experiment_id: String,
    name: String,
    model_type: Option<String>,
    source_run_id: Option<String>,
    #[serde(default)]
    created_ms: i64,
}

async fn logged_model(State(house): State<House>, Caller(who): Caller, Body(new): Body<ForeignModel>) -> Answer {
    let ctx = house.ctx(who);
    let ForeignModel { model_id, experiment_id, name, model_type, source_run_id, created_ms } = new;
    let name = Some(name).filter(|name| !name.is_empty());
    let new = NewModel { experiment_id, name, model_type, source_run_id, ..NewModel::default() };
    let put = move |tx: &mut db::Tx<'_>| import::logged_model(tx, &ctx, &model_id, created_ms, new);
    let (there, made) = house.db.write(put).await?;
    Ok(Json(json!({ "model_id": there.model_id, "artifact_location": there.artifact_location, "made": made })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelTimes {
    name: String,
    created_ms: i64,
    updated_ms: i64,
}

/// The times of a registered model.
async fn model(State(house): State<House>, Caller(who): Caller, Body(times): Body<ModelTimes>) -> Answer {
    let ctx = house.ctx(who);
    let ModelTimes { name, created_ms, updated_ms } = times;
    let set = move |tx: &mut db::Tx<'_>| registry::import::model_times(tx, &ctx, &name, created_ms, updated_ms);
    house.db.write(set).await?;
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionTimes {
    name: String,
    version: String,
    created_ms: i64,
    updated_ms: i64,
}

/// Clears the way for the number of a version, or sets the times of one that is there.
async fn version(State(house): State<House>, Caller(who): Caller, Body(times): Body<VersionTimes>) -> Answer {
    let ctx = house.ctx(who);
    let VersionTimes { name, version, created_ms, updated_ms } = times;
    let clear = move |tx: &mut db::Tx<'_>| registry::import::version(tx, &ctx, &name, &version, created_ms, updated_ms);
    let state = match house.db.write(clear).await? {
        Number::There => "there",
        Number::Gone => "gone",
        Number::Next => "next",
    };
    Ok(Json(json!({ "state": state })))
}
