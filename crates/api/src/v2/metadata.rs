//! Health, and what there is.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use conductor::House;
use serde_json::{Value, json};
use serving::{Live, State as Serves};

use super::error::Error;
use super::tensor::{Datatype, Given, is_matrix, matrix_name};
use crate::scoring;

pub(super) async fn server() -> Json<Value> {
    Json(json!({
        "name": "rondo",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "model_repository"],
    }))
}

pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// Ready as soon as the process answers; whether a model is ready is asked for each.
pub(super) async fn ready() -> Json<Value> {
    Json(json!({ "ready": true }))
}

pub(super) async fn index(State(house): State<House>) -> Json<Value> {
    let models = house.fleet.list().into_iter().map(|status| {
        let (state, reason) = match &status.state {
            Serves::Ready => ("READY", String::new()),
            Serves::Empty => ("UNAVAILABLE", "nothing is loaded".to_owned()),
            Serves::Failed(reason) => ("UNAVAILABLE", reason.clone()),
        };
        let version = status.live.as_ref().map(|live| live.version().to_owned()).unwrap_or_default();
        json!({ "name": status.deployment, "version": version, "state": state, "reason": reason })
    });
    Json(models.collect())
}

pub(super) async fn model(State(house): State<House>, Path(model): Path<String>) -> Response {
    described(&house, model, None).await
}

pub(super) async fn model_version(
    State(house): State<House>,
    Path((model, version)): Path<(String, String)>,
) -> Response {
    described(&house, model, Some(version)).await
}

async fn described(house: &House, model: String, version: Option<String>) -> Response {
    let Some(live) = house.fleet.get(&model) else {
        return Error(scoring::missing(house, model).await).into_response();
    };
    match check_version(&live, version.as_deref()) {
        Ok(()) => Json(describe(&live)).into_response(),
        Err(error) => Error(error).into_response(),
    }
}

pub(super) async fn model_ready(State(house): State<House>, Path(model): Path<String>) -> Response {
    readiness(&house, model, None).await
}

pub(super) async fn version_ready(
    State(house): State<House>,
    Path((model, version)): Path<(String, String)>,
) -> Response {
    readiness(&house, model, Some(version)).await
}

async fn readiness(house: &House, model: String, version: Option<String>) -> Response {
    let Some(live) = house.fleet.get(&model) else {
        return Error(scoring::missing(house, model).await).into_response();
    };
    match check_version(&live, version.as_deref()) {
        Ok(()) => (StatusCode::OK, Json(json!({ "name": model, "ready": true }))).into_response(),
        Err(error) => Error(error).into_response(),
    }
}

/// Only the version that is live can be asked.
pub(super) fn check_version(live: &Live, version: Option<&str>) -> Result<(), serving::Error> {
    match version {
        Some(version) if version != live.version() && !version.is_empty() => Err(serving::Error::NotLive {
            deployment: live.deployment().to_owned(),
            version: version.chars().take(64).collect(),
            live: live.version().to_owned(),
        }),
        _ => Ok(()),
    }
}

fn describe(live: &Live) -> Value {
    const ANY: i64 = -1;
    let inputs: Vec<Value> = if is_matrix(live) {
        vec![json!({ "name": matrix_name(live), "datatype": "FP64", "shape": [ANY, live.inputs().len()] })]
    } else {
        let tensor = |input: &serving::decode::Input| {
            let datatype = Datatype::of_column(input.data_type).name();
            json!({ "name": input.name, "datatype": datatype, "shape": [ANY, 1] })
        };
        live.inputs().iter().map(tensor).collect()
    };
    let output = |given: &Given| json!({ "name": given.name(), "datatype": given.datatype(live).name(), "shape": given.shape(live, ANY) });
    json!({
        "name": live.deployment(),
        "versions": [live.version()],
        "platform": live.model().info().library,
        "inputs": inputs,
        "outputs": Given::of(live).iter().map(output).collect::<Vec<_>>(),
    })
}
