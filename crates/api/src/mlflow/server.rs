//! What the server says about itself. Clients read the version to decide what they may ask for.

use axum::Router;
use axum::http::HeaderName;
use axum::response::IntoResponse;
use axum::routing::get;
use conductor::House;
use serde_json::json;

use super::{Answer, answer};

/// The version of MLflow whose protocol is spoken.
const EMULATED: &str = "3.17.2";

pub(crate) fn routes() -> Router<House> {
    Router::new().route("/server-info", get(server_info))
}

/// Routes that stand outside of the versioned prefixes.
pub(crate) fn root_routes() -> Router<House> {
    Router::new().route("/version", get(version)).route("/health", get(health))
}

async fn version() -> impl IntoResponse {
    ([(HeaderName::from_static("x-rondo-version"), env!("CARGO_PKG_VERSION"))], EMULATED)
}

async fn health() -> &'static str {
    "OK"
}

/// Clients turn features off that are false here.
async fn server_info() -> Answer {
    answer(json!({
        "store_type": "SqlStore",
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": false,
        "multipart_downloads_enabled": false,
        "artifact_serving_enabled": true,
        "artifacts_presigned_only": false,
        "presigned_upload_run_id_supported": false,
        "presigned_upload_model_id_supported": false,
        "model_artifact_presigned_downloads_supported": false,
        "features_enabled": { "gateway": false, "scheduled_issue_detection": false },
        "tracking_auth": "",
    }))
}
