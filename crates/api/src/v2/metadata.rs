//! Health, and what there is.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use conductor::House;
use serde_json::{Value, json};
use serving::decode::Input;
use serving::{Live, State as Serves};

use super::error::Error;
use super::tensor::{Datatype, Given, is_matrix, matrix_name};
use crate::scoring;

pub(super) async fn server() -> Json<Value> {
    Json(json!({
        "name": "rondo",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"],
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
    match asked(house, model, version.as_deref()).await {
        Ok(live) => Json(describe(&live)).into_response(),
        Err(error) => error.into_response(),
    }
}

/// The live version of a model that a path names, if it is the version in the path.
pub(crate) async fn asked(house: &House, model: String, version: Option<&str>) -> Result<Arc<Live>, Error> {
    let Some(live) = house.fleet.get(&model) else { return Err(Error(scoring::missing(house, model).await)) };
    check_version(&live, version)?;
    Ok(live)
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
    match asked(house, model, version.as_deref()).await {
        Ok(live) => Json(json!({ "name": live.deployment(), "ready": true })).into_response(),
        Err(error) => error.into_response(),
    }
}

/// Only the version that is live can be asked.
pub(crate) fn check_version(live: &Live, version: Option<&str>) -> Result<(), serving::Error> {
    match version {
        Some(version) if version != live.version() && !version.is_empty() => Err(serving::Error::NotLive {
            deployment: live.deployment().to_owned(),
            version: version.chars().take(64).collect(),
            live: live.version().to_owned(),
        }),
        _ => Ok(()),
    }
}

pub(super) fn describe(live: &Live) -> Value {
    let tensor =
        |tensor: &Tensor<'_>| json!({ "name": tensor.name, "datatype": tensor.datatype.name(), "shape": tensor.shape });
    json!({
        "name": live.deployment(),
        "versions": [live.version()],
        "platform": live.model().info().library,
        "inputs": inputs(live).iter().map(tensor).collect::<Vec<_>>(),
        "outputs": outputs(live).iter().map(tensor).collect::<Vec<_>>(),
    })
}

/// A tensor of a model; its first dimension is the rows, of which there may be any number (-1).
pub(crate) struct Tensor<'l> {
    pub(crate) name: &'l str,
    pub(crate) datatype: Datatype,
    pub(crate) shape: Vec<i64>,
}

const ANY: i64 = -1;

pub(crate) fn inputs<'l>(live: &'l Live) -> Vec<Tensor<'l>> {
    if is_matrix(live) {
        let shape = vec![ANY, live.inputs().len() as i64];
        return vec![Tensor { name: matrix_name(live), datatype: Datatype::Fp64, shape }];
    }
    let tensor = |input: &'l Input| Tensor {
        name: &input.name,
        datatype: Datatype::of_column(input.data_type),
        shape: vec![ANY, 1],
    };
    live.inputs().iter().map(tensor).collect()
}

pub(crate) fn outputs(live: &Live) -> Vec<Tensor<'_>> {
    let tensor =
        |given: &Given| Tensor { name: given.name(), datatype: given.datatype(live), shape: given.shape(live, ANY) };
    Given::of(live).iter().map(tensor).collect()
}
