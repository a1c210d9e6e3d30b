//! What there is: each object has the members that KServe, TensorFlow Serving and OpenAI's clients look for.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use conductor::House;
use serde_json::{Map, Value, json};
use serving::{Live, State as Serves, Status};

use super::wanted;
use crate::scoring;
use crate::v2::error::Error;
use crate::v2::metadata::{Tensor, asked, inputs, outputs};

pub(super) async fn list(State(house): State<House>) -> Json<Value> {
    let all = house.fleet.list();
    let names: Vec<&str> = all.iter().map(|status| status.deployment.as_str()).collect();
    let data: Vec<Value> = all.iter().map(card).collect();
    Json(json!({ "object": "list", "data": data, "models": names }))
}

pub(super) async fn model(State(house): State<House>, Path(model): Path<String>) -> Response {
    if model.contains(':') {
        return (StatusCode::METHOD_NOT_ALLOWED, Json(json!({ "error": "a prediction is asked for with POST" })))
            .into_response();
    }
    let Some(status) = house.fleet.status(&model) else {
        return Error(scoring::missing(&house, model).await).into_response();
    };
    let ready = status.live.is_some();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut object = card(&status);
    if let Value::Object(members) = &mut object {
        members.insert("name".to_owned(), model.into());
        members.insert("ready".to_owned(), ready.into());
        members.insert("model_version_status".to_owned(), json!([version_status(&status)]));
    }
    (code, Json(object)).into_response()
}

pub(super) async fn model_version(
    State(house): State<House>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let live = asked(&house, model, wanted(&version)).await?;
    let status = house.fleet.status(live.deployment());
    Ok(Json(json!({ "model_version_status": status.iter().map(version_status).collect::<Vec<_>>() })))
}

pub(super) async fn metadata(State(house): State<House>, Path(model): Path<String>) -> Result<Json<Value>, Error> {
    Ok(Json(described(&*asked(&house, model, None).await?)))
}

pub(super) async fn version_metadata(
    State(house): State<House>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    Ok(Json(described(&*asked(&house, model, wanted(&version)).await?)))
}

fn card(status: &Status) -> Value {
    let created = status.live.as_ref().map_or(0, |live| live.since_us() / 1_000_000);
    json!({ "id": status.deployment, "object": "model", "created": created, "owned_by": "rondo" })
}

fn version_status(status: &Status) -> Value {
    let (state, code, message) = match &status.state {
        Serves::Ready => ("AVAILABLE", "OK", ""),
        Serves::Empty => ("START", "OK", ""),
        Serves::Failed(reason) => ("END", "FAILED_PRECONDITION", reason.as_str()),
    };
    let version = status.live.as_ref().map_or("0", |live| live.version());
    json!({ "version": version, "state": state, "status": { "error_code": code, "error_message": message } })
}

fn described(live: &Live) -> Value {
    let all = |tensors: Vec<Tensor<'_>>| -> Map<String, Value> {
        tensors.iter().map(|tensor| (tensor.name.to_owned(), tensor_info(tensor))).collect()
    };
    let signature = json!({
        "inputs": all(inputs(live)), "outputs": all(outputs(live)), "method_name": "tensorflow/serving/predict",
    });
    json!({
        "model_spec": { "name": live.deployment(), "signature_name": "", "version": live.version() },
        "metadata": { "signature_def": { "signature_def": { "serving_default": signature } } },
    })
}

fn tensor_info(tensor: &Tensor<'_>) -> Value {
    let dimension = |size: &i64| json!({ "size": size.to_string(), "name": "" });
    let dimensions: Vec<Value> = tensor.shape.iter().map(dimension).collect();
    json!({
        "name": tensor.name,
        "dtype": type_name(tensor.datatype.name()),
        "tensor_shape": { "dim": dimensions, "unknown_rank": false },
    })
}

fn type_name(datatype: &str) -> &'static str {
    match datatype {
        "BOOL" => "DT_BOOL",
        "INT32" => "DT_INT32",
        "INT64" => "DT_INT64",
        "FP32" => "DT_FLOAT",
        "FP64" => "DT_DOUBLE",
        _ => "DT_STRING",
    }
}
