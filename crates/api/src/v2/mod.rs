//! The Open Inference Protocol, version 2, over REST (`/v2`, as spoken by `tritonclient.http`, KServe's SDK and MLServer's clients) and over
//! gRPC ([`grpc`]).
//!
//! Followed: health, server and model metadata, infer with JSON tensors, the extensions `binary_tensor_data` (which tritonclient uses by
//! default, with raw requests), `classification`, `model_configuration` and `statistics`, the index of the repository, gzip and deflate
//! both ways, `{"error": ".."}`. A model of this protocol is a deployment of ours, and its only version is the one that is live. Not
//! followed: loading and unloading (the registry's pointers do that), shared memory, sequences.

mod answer;
mod binary;
mod config;
pub(crate) mod error;
mod grpc;
mod infer;
pub(crate) mod metadata;
mod request;
mod sink;
mod statistics;
pub(crate) mod tensor;

use crate::route::{get, post};
use access::Permission::{Predict, Public};

/// Routes of this protocol.
type Routes = crate::route::Routes<error::V2>;

pub(crate) use grpc::routes as grpc_routes;

/// The routes of this protocol.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/v2", get(Predict, metadata::server))
        .route("/v2/", get(Predict, metadata::server))
        .route("/v2/health/live", get(Public, metadata::live))
        .route("/v2/health/ready", get(Public, metadata::ready))
        .route("/v2/repository/index", post(Predict, metadata::index))
        .route("/v2/models/{model}", get(Predict, metadata::model))
        .route("/v2/models/{model}/ready", get(Predict, metadata::model_ready))
        .route("/v2/models/{model}/infer", post(Predict, infer::infer))
        .route("/v2/models/{model}/config", get(Predict, config::of_model))
        .route("/v2/models/{model}/stats", get(Predict, statistics::of_model))
        .route("/v2/models/stats", get(Predict, statistics::of_all))
        .route("/v2/models/{model}/versions/{version}/config", get(Predict, config::of_version))
        .route("/v2/models/{model}/versions/{version}/stats", get(Predict, statistics::of_version))
        .route("/v2/models/{model}/versions/{version}", get(Predict, metadata::model_version))
        .route("/v2/models/{model}/versions/{version}/ready", get(Predict, metadata::version_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(Predict, infer::infer_version))
}
