//! The protocol of MLflow, request by request. What its client does with it is tested in `tests/clients`.

mod artifact;
mod contract;
mod errors;
mod experiment;
mod graphql;
mod logged_model;
mod metric;
mod model_version;
mod pages;
mod registered_model;
mod run;
mod s3;
mod search_language;
mod webhook;

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

const API: &str = "/api/2.0/mlflow";

/// Sends what must succeed.
async fn ok(server: &Server, path: &str, body: Value) -> Value {
    let (status, answer) = server.post(&format!("{API}{path}"), &body).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Asks for what must be there.
async fn get(server: &Server, path: &str) -> Value {
    let (status, answer) = server.get(&format!("{API}{path}")).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Sends what must be refused: status, error code and part of the message.
async fn refused(server: &Server, path: &str, body: Value, expect: (u16, &str, &str)) {
    let (status, answer) = server.post(&format!("{API}{path}"), &body).await;
    assert_eq!((status, answer["error_code"].as_str()), (expect.0, Some(expect.1)), "{path}: {answer}");
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(message.contains(expect.2), "expected {:?} in {message:?}", expect.2);
}

/// A run in the default experiment.
pub(crate) async fn a_run(server: &Server) -> String {
    let answer = ok(server, "/runs/create", json!({"experiment_id": "0", "run_name": "first", "start_time": 5})).await;
    answer["run"]["info"]["run_id"].as_str().unwrap().to_owned()
}

/// Sends by any method, and returns status and answer.
async fn send(server: &Server, method: Method, path: &str, body: Value) -> (u16, Value) {
    server.send(server.request(method, &format!("{API}{path}")).json(&body)).await
}

/// A version of a model, which is made if it does not exist, from a run of its own.
async fn a_version(server: &Server, name: &str) -> String {
    let run_id = a_run(server).await;
    server.post(&format!("{API}/registered-models/create"), &json!({"name": name})).await;
    let source = format!("mlflow-artifacts:/0/{run_id}/artifacts/model");
    let new = json!({"name": name, "source": source, "run_id": run_id});
    let answer = ok(server, "/model-versions/create", new).await;
    answer["model_version"]["version"].as_str().unwrap().to_owned()
}
