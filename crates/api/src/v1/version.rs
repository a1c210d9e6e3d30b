//! Versions: evaluate, promote, give a reference.

use access::Permission::{Edit, View};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use conductor::House;
use registry::pointer::Pointer;
use serde::Deserialize;
use serde_json::json;
use telemetry::table::{self, Format};

use super::{Answer, Body, Error, RawBody, Routes, model};
use crate::principal::Caller;
use crate::route::{get, post};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/models/{name}/versions/{version}", get(View, one))
        .route("/models/{name}/versions/{version}/evaluate", post(Edit, evaluate))
        .route("/models/{name}/versions/{version}/promote", post(Edit, promote))
        .route("/models/{name}/versions/{version}/reference", get(View, reference).post(Edit, set_reference))
}

async fn one(State(house): State<House>, Caller(who): Caller, Path((name, version)): Path<(String, String)>) -> Answer {
    let ctx = house.ctx(who);
    let shown = house
        .db
        .read(move |tx| {
            let found = registry::version::get(tx, &ctx, &name, &version)?;
            Ok::<_, registry::Error>(model::version(tx, &ctx, &found))
        })
        .await?;
    Ok(Json(shown))
}

/// `POST .../evaluate`: asks for a verdict; it is in the model's verdicts when it is done.
async fn evaluate(
    State(house): State<House>,
    Caller(who): Caller,
    Path((name, version)): Path<(String, String)>,
) -> Answer {
    let ctx = house.ctx(who);
    let pointers = house.db.write(move |tx| conductor::evaluation::request(tx, &ctx, &name, &version)).await?;
    house.nudge();
    Ok(Json(json!({ "pointers": pointers })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Promote {
    pointer: String,
    #[serde(default)]
    reason: String,
}

/// `POST .../promote {"pointer", "reason"?}`: moves a stage or an alias, through the gate.
async fn promote(
    State(house): State<House>,
    Caller(who): Caller,
    Path((name, version)): Path<(String, String)>,
    Body(promote): Body<Promote>,
) -> Answer {
    let ctx = house.ctx(who);
    house
        .db
        .write(move |tx| {
            let pointer: Pointer = promote.pointer.parse()?;
            registry::pointer::promote(tx, &ctx, &name, &version, &pointer, &promote.reason)
        })
        .await?;
    Ok(Json(json!({})))
}

async fn reference(
    State(house): State<House>,
    Caller(who): Caller,
    Path((name, version)): Path<(String, String)>,
) -> Answer {
    let ctx = house.ctx(who);
    let shown = version.clone();
    let found = house.db.read(move |tx| monitoring::reference::get(tx, &ctx, &name, &version)).await?;
    match found {
        Some(profile) => Ok(Json(json!(profile))),
        None => Err(Error::missing(
            "a reference of version",
            &shown,
            "log the training rows as reference/train.csv, or post rows here",
        )),
    }
}

/// `POST .../reference`: rows as CSV, or as Parquet with `content-type: application/vnd.apache.parquet`.
async fn set_reference(
    State(house): State<House>,
    Caller(who): Caller,
    Path((name, version)): Path<(String, String)>,
    headers: HeaderMap,
    RawBody(bytes): RawBody,
) -> Answer {
    let parquet = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"parquet"));
    let format = if parquet { Format::Parquet } else { Format::Csv };
    let rows = tokio::task::spawn_blocking(move || table::read(bytes, format)).await.map_err(conductor::Error::from)?;
    let rows = rows.map_err(|error| Error::from(error).about("body"))?;
    let ctx = house.ctx(who);
    let count = rows.rows();
    conductor::admission::set_reference(&house, ctx, &name, &version, rows).await?;
    Ok(Json(json!({ "rows": count })))
}
