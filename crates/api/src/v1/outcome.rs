//! Ground truth, by prediction id: in any order, late, repeated, revised.

use access::Permission::Predict;
use axum::Json;
use axum::extract::State;
use conductor::House;
use kernel::clock::parse_us;
use kernel::frame::Cell;
use serde::Deserialize;
use serde_json::{Value, json};
use telemetry::Outcome;

use super::{Answer, Body, Error, Routes};
use crate::route::post;

/// Most outcomes in one request.
const MAX_OUTCOMES: usize = 100_000;

pub(super) fn routes() -> Routes {
    Routes::new().route("/outcomes", post(Predict, record))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcomes {
    outcomes: Vec<One>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    prediction_id: String,
    value: Value,
    observed_at: Option<Value>,
}

/// `POST /outcomes {"outcomes": [{prediction_id, value, observed_at?}]}`; on the disk when it answers.
async fn record(State(house): State<House>, Body(body): Body<Outcomes>) -> Answer {
    if body.outcomes.len() > MAX_OUTCOMES {
        let message = format!("{} outcomes in one request; at most {MAX_OUTCOMES} are taken", body.outcomes.len());
        return Err(Error::invalid("outcomes", message));
    }
    let now_us = house.clock.now_us();
    let outcomes = body
        .outcomes
        .into_iter()
        .enumerate()
        .map(|(index, one)| read(index, one, now_us))
        .collect::<Result<Vec<_>, _>>()?;
    let accepted = outcomes.len();
    house.log.append_outcomes(outcomes).await?;
    house.nudge();
    Ok(Json(json!({ "accepted": accepted })))
}

fn read(index: usize, one: One, now_us: i64) -> Result<Outcome, Error> {
    let at = |field: &str| format!("outcomes[{index}].{field}");
    if one.prediction_id.is_empty() || one.prediction_id.len() > 512 {
        return Err(Error::invalid(&at("prediction_id"), "a prediction id has 1 to 512 bytes"));
    }
    let value = match one.value {
        Value::Bool(value) => Cell::Bool(value),
        Value::Number(number) => Cell::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Cell::Text(text.into()),
        other => {
            let message = format!("the truth is a number, true, false or a class name, not {other}");
            return Err(Error::invalid(&at("value"), message));
        }
    };
    let observed_us = match &one.observed_at {
        Some(when) => instant(when).ok_or_else(|| Error::invalid(&at("observed_at"), not_an_instant(when)))?,
        None => now_us,
    };
    Ok(Outcome { prediction_id: one.prediction_id, value, observed_us, received_us: now_us })
}

/// A point in time as RFC 3339 text or seconds since the epoch; microseconds.
pub(super) fn instant(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => parse_us(text),
        Value::Number(number) => parse_us(&number.to_string()),
        _ => None,
    }
}

/// Why a value is no point in time.
pub(super) fn not_an_instant(value: &Value) -> String {
    format!("{value} is no point in time: write RFC 3339 (2013-03-01T05:00:00Z) or seconds since the epoch")
}
