//! What the server says about itself. Clients read the version to decide what they may ask for.

use access::Permission::{Public, View};
use axum::extract::State;
use axum::http::HeaderName;
use axum::response::IntoResponse;
use conductor::House;
use serde_json::json;

use super::{Answer, Routes, answer};
use crate::route::get;

/// The version of MLflow whose protocol is spoken.
const EMULATED: &str = "3.17.2";

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/server-info", get(View, server_info))
        .route("/ui-telemetry", get(View, ui_telemetry).post(View, ui_telemetry))
        .route("/gateway-proxy", get(View, gateway_endpoints))
}

/// Routes that stand outside of the versioned prefixes.
pub(crate) fn root_routes() -> Routes {
    Routes::new().route("/version", get(Public, version)).route("/health", get(Public, health))
}

async fn version() -> impl IntoResponse {
    ([(HeaderName::from_static("x-rondo-version"), env!("CARGO_PKG_VERSION"))], EMULATED)
}

async fn health() -> &'static str {
    "OK"
}

/// MLflow's pages are told to send no records of their use, and any that come are thrown away.
async fn ui_telemetry() -> Answer {
    answer(json!({
        "status": "disabled",
        "disable_ui_telemetry": true,
        "disable_ui_events": [],
        "ui_rollout_percentage": 0,
    }))
}

/// There is no gateway; this is how MLflow says so.
async fn gateway_endpoints() -> Answer {
    answer(json!({ "endpoints": [] }))
}

/// Clients turn features off that are false here.
async fn server_info(State(house): State<House>) -> Answer {
    answer(json!({
        "store_type": "SqlStore",
        "workspaces_enabled": true,
        "trace_archival_enabled": false,
        // Where the store takes no parts itself, one stream is as fast; clients that are told to send parts may.
        "multipart_uploads_enabled": house.blob.signs(),
        "multipart_downloads_enabled": house.blob.signs(),
        "artifact_serving_enabled": true,
        "artifacts_presigned_only": false,
        "presigned_upload_run_id_supported": false,
        "presigned_upload_model_id_supported": false,
        "model_artifact_presigned_downloads_supported": false,
        "features_enabled": { "gateway": false, "scheduled_issue_detection": false },
        "tracking_auth": "",
    }))
}
