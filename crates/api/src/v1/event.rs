//! The audit trail, and whether the loop is at rest.

use access::Permission::View;
use axum::Json;
use axum::extract::State;
use conductor::House;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Query, Routes};
use crate::principal::Caller;
use crate::route::get;

pub(super) fn routes() -> Routes {
    Routes::new().route("/events", get(View, list)).route("/loop", get(View, state))
}

#[derive(Debug, Deserialize)]
struct Which {
    after: Option<i64>,
    limit: Option<i64>,
}

/// `GET /events?after=&limit=`: the trail in order after a position; without one its end, the newest first.
async fn list(State(house): State<House>, Caller(who): Caller, Query(which): Query<Which>) -> Answer {
    let limit = which.limit.unwrap_or(100).clamp(1, 1_000);
    let ctx = house.ctx(who);
    let events = house
        .db
        .read(move |tx| match which.after {
            Some(after) => db::events::seen_after(tx, &ctx, after, limit),
            None => db::events::latest(tx, &ctx, limit),
        })
        .await?;
    Ok(Json(json!({ "events": events })))
}

/// `GET /loop`: idle, or what is left to do.
async fn state(State(house): State<House>) -> Answer {
    Ok(Json(serde_json::to_value(conductor::status::of(&house).await?).unwrap_or_default()))
}
