//! What there is: health, metadata, configuration, statistics, the index. The facts are those of the REST form, put into messages.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use conductor::House;
use kernel::error::{Classified as _, Kind};
use serde_json::Value;
use serving::Live;
use tonic::Status;

use super::proto::{
    Config, ConfigInput, ConfigOutput, ConfigResponse, Duration, Flag, HealthRequest, HealthResponse, IndexRequest,
    IndexResponse, InferStatistics, InstanceGroup, Latest, Model, ModelIndex, ModelMetadata, Nothing, ServerMetadata,
    Statistics, StatisticsResponse, TensorMetadata, VersionPolicy,
};
use super::{error, unary};
use crate::v2::tensor::Datatype;
use crate::v2::{metadata, statistics};

/// `KIND_CPU` of Triton's `ModelInstanceGroup`.
const KIND_CPU: i32 = 2;

pub(super) async fn server_live(State(house): State<House>, request: Request) -> Response {
    unary(&house, request, |_: Nothing| async { Ok(Flag { yes: true }) }).await
}

pub(super) async fn server_ready(State(house): State<House>, request: Request) -> Response {
    unary(&house, request, |_: Nothing| async { Ok(Flag { yes: true }) }).await
}

/// The health check that Kubernetes makes.
pub(super) async fn health(State(house): State<House>, request: Request) -> Response {
    const SERVING: i32 = 1;
    unary(&house, request, |asked: HealthRequest| async move {
        match asked.service.as_str() {
            "" | "inference.GRPCInferenceService" => Ok(HealthResponse { status: SERVING }),
            other => Err(Status::not_found(format!("there is no service `{other}`"))),
        }
    })
    .await
}

pub(super) async fn server_metadata(State(house): State<House>, request: Request) -> Response {
    unary(&house, request, |_: Nothing| async {
        let told = metadata::server().await.0;
        Ok(ServerMetadata {
            name: text(&told["name"]),
            version: text(&told["version"]),
            extensions: texts(&told["extensions"]),
        })
    })
    .await
}

/// Whether a model can be asked; one that is not there is not ready.
pub(super) async fn model_ready(State(house): State<House>, request: Request) -> Response {
    unary(&house, request, |model: Model| {
        let house = house.clone();
        async move {
            match metadata::asked(&house, model.name, Some(&model.version)).await {
                Ok(_) => Ok(Flag { yes: true }),
                Err(why) if why.0.kind() == Kind::Internal => Err(error::status(&why.0)),
                Err(_) => Ok(Flag { yes: false }),
            }
        }
    })
    .await
}

pub(super) async fn model_metadata(State(house): State<House>, request: Request) -> Response {
    unary(&house, request, |model: Model| {
        let house = house.clone();
        async move {
            let told = metadata::describe(&*asked(&house, model).await?);
            Ok(ModelMetadata {
                name: text(&told["name"]),
                versions: texts(&told["versions"]),
                platform: text(&told["platform"]),
                inputs: each(&told["inputs"], tensor),
                outputs: each(&told["outputs"], tensor),
            })
        }
    })
    .await
}

pub(super) async fn model_config(State(house): State<House>, request: Request) -> Response {
    unary(&house, request, |model: Model| {
        let house = house.clone();
        async move { Ok(ConfigResponse { config: Some(config(&*asked(&house, model).await?)) }) }
    })
    .await
}

/// Of one model, or of all if none is named.
pub(super) async fn model_statistics(State(house): State<House>, request: Request) -> Response {
    unary(&house, request, |model: Model| {
        let house = house.clone();
        async move {
            let version = Some(model.version.clone()).filter(|version| !version.is_empty());
            let counted = if model.name.is_empty() {
                house.fleet.list().iter().flat_map(|status| statistics::stats(status, None)).collect()
            } else {
                let live = asked(&house, model).await?;
                let status = house.fleet.status(live.deployment());
                status.iter().flat_map(|status| statistics::stats(status, version.as_deref())).collect()
            };
            Ok(StatisticsResponse { model_stats: each(&Value::Array(counted), counts) })
        }
    })
    .await
}

pub(super) async fn repository_index(State(house): State<House>, request: Request) -> Response {
    unary(&house, request, |asked: IndexRequest| {
        let house = house.clone();
        async move {
            let told = metadata::index(State(house)).await.0;
            let mut models = each(&told, |model| ModelIndex {
                name: text(&model["name"]),
                version: text(&model["version"]),
                state: text(&model["state"]),
                reason: text(&model["reason"]),
            });
            models.retain(|model| !asked.ready || model.state == "READY");
            Ok(IndexResponse { models })
        }
    })
    .await
}

async fn asked(house: &House, model: Model) -> Result<Arc<Live>, Status> {
    metadata::asked(house, model.name, Some(&model.version)).await.map_err(|why| error::status(&why.0))
}

/// As the `model_configuration` extension of the REST form.
fn config(live: &Live) -> Config {
    let dims = |shape: &[i64]| shape.get(1..).unwrap_or_default().to_vec();
    let input = |tensor: metadata::Tensor<'_>| ConfigInput {
        name: tensor.name.to_owned(),
        data_type: number_of(tensor.datatype),
        dims: dims(&tensor.shape),
    };
    let output = |tensor: metadata::Tensor<'_>| ConfigOutput {
        name: tensor.name.to_owned(),
        data_type: number_of(tensor.datatype),
        dims: dims(&tensor.shape),
    };
    let name = live.deployment().to_owned();
    Config {
        name: name.clone(),
        platform: live.model().info().library.clone(),
        version_policy: Some(VersionPolicy { latest: Some(Latest { num_versions: 1 }) }),
        max_batch_size: i32::try_from(live.max_rows()).unwrap_or(i32::MAX),
        input: metadata::inputs(live).into_iter().map(input).collect(),
        output: metadata::outputs(live).into_iter().map(output).collect(),
        instance_group: vec![InstanceGroup { name, count: 1, kind: KIND_CPU }],
        backend: "rondo".to_owned(),
    }
}

/// Triton's number of a datatype, `inference.DataType`.
fn number_of(datatype: Datatype) -> i32 {
    match datatype {
        Datatype::Bool => 1,
        Datatype::Uint8 => 2,
        Datatype::Uint16 => 3,
        Datatype::Uint32 => 4,
        Datatype::Uint64 => 5,
        Datatype::Int8 => 6,
        Datatype::Int16 => 7,
        Datatype::Int32 => 8,
        Datatype::Int64 => 9,
        Datatype::Fp16 => 10,
        Datatype::Fp32 => 11,
        Datatype::Fp64 => 12,
        Datatype::Bytes => 13,
        Datatype::Bf16 => 14,
    }
}

fn tensor(told: &Value) -> TensorMetadata {
    TensorMetadata {
        name: text(&told["name"]),
        datatype: text(&told["datatype"]),
        shape: each(&told["shape"], |length| length.as_i64().unwrap_or_default()),
    }
}

fn counts(told: &Value) -> Statistics {
    let count = |name: &str| told[name].as_u64().unwrap_or_default();
    let stats = &told["inference_stats"];
    let duration = |name: &str| {
        let part = |field: &str| stats[name][field].as_u64().unwrap_or_default();
        Some(Duration { count: part("count"), ns: part("ns") })
    };
    Statistics {
        name: text(&told["name"]),
        version: text(&told["version"]),
        last_inference: count("last_inference"),
        inference_count: count("inference_count"),
        execution_count: count("execution_count"),
        inference_stats: Some(InferStatistics {
            success: duration("success"),
            fail: duration("fail"),
            queue: duration("queue"),
            compute_input: duration("compute_input"),
            compute_infer: duration("compute_infer"),
            compute_output: duration("compute_output"),
            cache_hit: duration("cache_hit"),
            cache_miss: duration("cache_miss"),
        }),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    each(value, text)
}

fn each<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(read).collect()
}
