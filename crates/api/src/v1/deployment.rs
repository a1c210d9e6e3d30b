//! Deployments: create, look, delete; their event time and their labelled log.

use access::Permission::{Edit, Predict, View};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use conductor::House;
use db::Tx;
use kernel::clock::{DAY_US, parse_us, rfc3339};
use kernel::ctx::Ctx;
use registry::pointer::PointerUri;
use serde::Deserialize;
use serde_json::{Value, json};
use serving::deployment::{Config, Deployment, NewDeployment};
use telemetry::Scan;

use super::outcome::{instant, not_an_instant};
use super::{Answer, Body, Error, Query, Routes};
use crate::principal::Caller;
use crate::route::{get, post};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/deployments", get(View, list))
        .route("/deployments/{name}", get(View, one).put(Edit, put).delete(Edit, delete))
        .route("/deployments/{name}/watermark", post(Predict, advance))
        .route("/deployments/{name}/labelled", get(View, labelled))
        .route("/predictions/{id}", get(View, prediction))
}

async fn list(State(house): State<House>, Caller(who): Caller) -> Answer {
    let ctx = house.ctx(who);
    let all = house.db.read(move |tx| serving::deployment::list(tx, &ctx)).await?;
    let shown: Vec<Value> = all.iter().map(|deployment| show(&house, deployment)).collect();
    Ok(Json(json!({ "deployments": shown })))
}

async fn one(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    let deployment = house.db.read(move |tx| serving::deployment::get(tx, &ctx, &name)).await?;
    Ok(Json(show(&house, &deployment)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    pointer: String,
    #[serde(default)]
    config: Config,
}

/// `PUT /deployments/NAME {"pointer", "config"?}`: makes it; the same again changes nothing, another pointer is refused.
async fn put(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Body(put): Body<Put>,
) -> Answer {
    let ctx = house.ctx(who);
    let (deployment, fresh) = house.db.write(move |tx| create(tx, &ctx, name, put)).await?;
    if fresh {
        house.fleet.declare(&deployment.name, deployment.config.clone());
    }
    Ok(Json(show(&house, &deployment)))
}

fn create(tx: &mut Tx<'_>, ctx: &Ctx, name: String, put: Put) -> Result<(Deployment, bool), conductor::Error> {
    let uri: PointerUri = put.pointer.parse()?;
    if let Some(have) = serving::deployment::find(tx, ctx, &name)?
        && have.pointer == put.pointer
        && have.config == put.config
    {
        return Ok((have, false));
    }
    let new = NewDeployment { name, pointer: put.pointer, model: uri.model, config: put.config };
    Ok((serving::deployment::create(tx, ctx, new)?, true))
}

async fn delete(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let (ctx, gone) = (house.ctx(who), name.clone());
    house.db.write(move |tx| serving::deployment::delete(tx, &ctx, &gone)).await?;
    house.fleet.remove(&name);
    Ok(Json(json!({})))
}

/// A deployment with what it does right now.
pub(super) fn show(house: &House, deployment: &Deployment) -> Value {
    let status = house.fleet.status(&deployment.name);
    let live = status.as_ref().and_then(|status| status.live.as_ref());
    let mark = house.log.watermark(&deployment.name);
    let counts = house.log.counts(&deployment.name);
    let state = match status.as_ref().map(|status| &status.state) {
        Some(serving::State::Ready) => "ready",
        Some(serving::State::Failed(_)) => "failed",
        Some(serving::State::Empty) | None => "empty",
    };
    json!({
        "name": deployment.name,
        "pointer": deployment.pointer,
        "model": deployment.model,
        "config": deployment.config,
        "state": state,
        "version": live.map(|live| live.version()),
        "since_us": live.map(|_| deployment.updated_us),
        "failure": status.as_ref().and_then(|status| status.last_failure.clone()),
        "draining": status.as_ref().map_or(0, |status| status.draining),
        "predictions": counts.predictions,
        "outcomes": counts.outcomes,
        "errors": status.map_or(0, |status| status.errors.iter().map(|(_, count)| count).sum::<u64>()),
        "watermark": mark.declared_us.map(rfc3339),
        "newest_event": mark.max_event_us.map(rfc3339),
        "created_us": deployment.created_us,
        "predict_url": format!("{}/deployments/{}/predict", house.base_url(), deployment.name),
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    event_time: Value,
}

/// `POST /deployments/NAME/watermark {"event_time"}`: everything up to here has been sent; windows that end before may be judged.
async fn advance(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Body(body): Body<Advance>,
) -> Answer {
    let at_us =
        instant(&body.event_time).ok_or_else(|| Error::invalid("event_time", not_an_instant(&body.event_time)))?;
    if at_us > house.clock.now_us() + DAY_US {
        return Err(Error::invalid(
            "event_time",
            "a watermark cannot be more than a day ahead of the clock, for it never goes back",
        ));
    }
    known(&house, house.ctx(who), &name).await?;
    house.log.advance_watermark(&name, at_us).await?;
    house.nudge();
    Ok(Json(json!({ "watermark": house.log.watermark(&name).declared_us.map(rfc3339) })))
}

/// Refuses the name of a deployment that is not there: the log itself takes any name.
async fn known(house: &House, ctx: Ctx, name: &str) -> Result<(), Error> {
    let name = name.to_owned();
    house.db.read(move |tx| serving::deployment::get(tx, &ctx, &name)).await?;
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Range {
    from: Option<String>,
    until: Option<String>,
    version: Option<String>,
    limit: Option<usize>,
}

/// `GET /deployments/NAME/labelled?from=&until=&version=&limit=`: predictions with their outcome, as CSV, by event time.
async fn labelled(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Query(range): Query<Range>,
) -> Result<Response, Error> {
    let bound = |field: &str, text: Option<&String>, default: i64| match text {
        Some(text) => parse_us(text).ok_or_else(|| Error::invalid(field, not_an_instant(&json!(text)))),
        None => Ok(default),
    };
    known(&house, house.ctx(who), &name).await?;
    let scan = Scan {
        from_us: bound("from", range.from.as_ref(), i64::MIN)?,
        until_us: bound("until", range.until.as_ref(), i64::MAX)?,
        deployment: name,
        version: range.version,
        as_of_us: None,
        labelled_only: true,
        newest: range.limit,
    };
    let rows = house.log.scan(scan).await?;
    let csv = tokio::task::spawn_blocking(move || telemetry::table::write_csv(&rows))
        .await
        .map_err(conductor::Error::from)??;
    Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8")], csv).into_response())
}

/// `GET /predictions/ID`: one prediction with its inputs and every outcome sent for it.
async fn prediction(State(house): State<House>, Path(id): Path<String>) -> Answer {
    let Some(found) = house.log.find(&id).await? else {
        return Err(Error::missing("prediction", &id, "look at the id that the prediction was answered with"));
    };
    let inputs: serde_json::Map<String, Value> =
        found.features.iter().map(|(name, cell)| (name.to_string(), json!(cell))).collect();
    let outcomes: Vec<Value> = found
        .outcomes
        .iter()
        .map(|one| json!({ "value": one.value, "observed_at": rfc3339(one.observed_us), "received_at": rfc3339(one.received_us) }))
        .collect();
    Ok(Json(json!({
        "id": found.prediction_id, "deployment": found.deployment, "model": &*found.model, "version": &*found.version,
        "event_time": rfc3339(found.event_time_us), "received_at": rfc3339(found.received_us),
        "latency_us": found.latency_us, "inputs": inputs, "score": found.score, "outcomes": outcomes,
    })))
}
