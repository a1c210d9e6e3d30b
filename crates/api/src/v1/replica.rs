//! The servers that share the database, and which of them turns the loop.

use access::Permission::View;
use axum::Json;
use axum::extract::State;
use conductor::{House, leadership};
use serde_json::{Value, json};

use super::{Answer, Routes};
use crate::route::get;

pub(super) fn routes() -> Routes {
    Routes::new().route("/replicas", get(View, list))
}

/// `GET /replicas`: who is alive, who answers this, and the last term of the lease.
async fn list(State(house): State<House>) -> Answer {
    let (alive, lease) = leadership::present(&house).await?;
    let holder = lease.as_ref().map(|lease| lease.term.holder.as_str());
    let shown: Vec<Value> = alive
        .iter()
        .map(|one| {
            json!({
                "id": one.id, "address": one.address, "version": one.version, "started_us": one.started_us,
                "turns_loop": holder == Some(one.id.as_str()),
            })
        })
        .collect();
    let term = lease.as_ref().map(|lease| lease.term.epoch);
    Ok(Json(json!({ "replicas": shown, "this": house.replica(), "term": term })))
}
