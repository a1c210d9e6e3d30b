//! The `statistics` extension. A native model runs on the request itself, so all of its time counts as inference and none as waiting.

use axum::Json;
use axum::extract::{Path, State};
use conductor::House;
use serde_json::{Value, json};
use serving::Status;
use serving::stats::VersionCounts;

use super::error::Error;
use super::metadata::asked;

pub(super) async fn of_all(State(house): State<House>) -> Json<Value> {
    Json(json!({ "model_stats": house.fleet.list().iter().flat_map(|status| stats(status, None)).collect::<Vec<_>>() }))
}

pub(super) async fn of_model(State(house): State<House>, Path(model): Path<String>) -> Result<Json<Value>, Error> {
    found(&house, model, None).await
}

pub(super) async fn of_version(
    State(house): State<House>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    found(&house, model, Some(version)).await
}

async fn found(house: &House, model: String, version: Option<String>) -> Result<Json<Value>, Error> {
    let live = asked(house, model, version.as_deref()).await?;
    let status = house.fleet.status(live.deployment());
    Ok(Json(
        json!({ "model_stats": status.iter().flat_map(|status| stats(status, version.as_deref())).collect::<Vec<_>>() }),
    ))
}

/// Every version that has served, or the one that is asked for. Requests without an answer have no version; they count for the
/// one that is live.
pub(super) fn stats(status: &Status, version: Option<&str>) -> Vec<Value> {
    let live = status.live.as_ref().map(|live| live.version().to_owned());
    let failed: u64 = status.errors.iter().map(|(_, count)| count).sum();
    let wanted = status.versions.iter().filter(|counts| version.is_none_or(|version| *counts.version == *version));
    wanted
        .map(|counts| {
            let failed = if live.as_deref() == Some(&*counts.version) { failed } else { 0 };
            one(&status.deployment, counts, failed)
        })
        .collect()
}

fn one(deployment: &str, counts: &VersionCounts, failed: u64) -> Value {
    const NEVER: Duration = Duration { count: 0, ns: 0 };
    let requests = counts.buckets.iter().sum();
    let all = Duration { count: requests, ns: (counts.seconds * 1e9) as u64 };
    let part = |part: Duration| json!({ "count": part.count, "ns": part.ns });
    json!({
        "name": deployment,
        "version": &*counts.version,
        "last_inference": counts.last_us / 1_000,
        "inference_count": counts.predictions,
        "execution_count": requests,
        "inference_stats": {
            "success": part(all),
            "fail": part(Duration { count: failed, ns: 0 }),
            "queue": part(Duration { count: requests, ns: 0 }),
            "compute_input": part(NEVER),
            "compute_infer": part(all),
            "compute_output": part(NEVER),
            "cache_hit": part(NEVER),
            "cache_miss": part(NEVER),
        },
        "batch_stats": [],
        "memory_usage": [],
    })
}

/// How often, and how long together.
#[derive(Clone, Copy)]
struct Duration {
    count: u64,
    ns: u64,
}
