//! The `model_configuration` extension: what Triton's tools want to know before they make load.

use axum::Json;
use axum::extract::{Path, State};
use conductor::House;
use serde_json::{Value, json};
use serving::Live;

use super::error::Error;
use super::metadata::{Tensor, asked, inputs, outputs};

pub(super) async fn of_model(State(house): State<House>, Path(model): Path<String>) -> Result<Json<Value>, Error> {
    Ok(Json(config(&*asked(&house, model, None).await?)))
}

pub(super) async fn of_version(
    State(house): State<House>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    Ok(Json(config(&*asked(&house, model, Some(&version)).await?)))
}

/// A batch size above 0 says that the first dimension of every tensor is the batch, which the dimensions here leave out.
fn config(live: &Live) -> Value {
    let tensor = |tensor: &Tensor<'_>| json!({ "name": tensor.name, "data_type": type_name(tensor.datatype.name()), "dims": tensor.shape.get(1..) });
    json!({
        "name": live.deployment(),
        "platform": live.model().info().library,
        "backend": "rondo",
        "version_policy": { "latest": { "num_versions": 1 } },
        "max_batch_size": live.max_rows(),
        "input": inputs(live).iter().map(tensor).collect::<Vec<_>>(),
        "output": outputs(live).iter().map(tensor).collect::<Vec<_>>(),
        "instance_group": [{ "name": live.deployment(), "kind": "KIND_CPU", "count": 1 }],
    })
}

fn type_name(datatype: &str) -> String {
    format!("TYPE_{}", if datatype == "BYTES" { "STRING" } else { datatype })
}
