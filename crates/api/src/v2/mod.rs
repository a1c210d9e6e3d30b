//! The Open Inference Protocol, version 2, over REST: `/v2`, as spoken by `tritonclient.http`, KServe's SDK and MLServer's clients.
//!
//! Followed: health, server and model metadata, infer with JSON tensors, the `binary_tensor_data` extension (which tritonclient uses by
//! default), the index of the repository, `{"error": ".."}`. A model of this protocol is a deployment of ours, and its only
//! version is the one that is live. Not followed: shared memory, sequences, compressed bodies, raw requests without a JSON header.

mod answer;
mod binary;
mod error;
mod infer;
mod metadata;
mod request;
mod sink;
mod tensor;

use axum::Router;
use axum::routing::{get, post};
use conductor::House;

/// The routes of this protocol.
pub fn routes() -> Router<House> {
    Router::new()
        .route("/v2", get(metadata::server))
        .route("/v2/", get(metadata::server))
        .route("/v2/health/live", get(metadata::live))
        .route("/v2/health/ready", get(metadata::ready))
        .route("/v2/repository/index", post(metadata::index))
        .route("/v2/models/{model}", get(metadata::model))
        .route("/v2/models/{model}/ready", get(metadata::model_ready))
        .route("/v2/models/{model}/infer", post(infer::infer))
        .route("/v2/models/{model}/versions/{version}", get(metadata::model_version))
        .route("/v2/models/{model}/versions/{version}/ready", get(metadata::version_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer::infer_version))
}
