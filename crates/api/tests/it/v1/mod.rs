//! Rondo's own protocol: status and whole body of every route, and what a mistake is told.

mod audit;
mod deployment;
mod event;
mod import;
mod model;
mod monitor;
mod outcome;
mod overview;
mod pipeline;
mod run;
mod sweep;
mod version;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

const MLFLOW: &str = "/api/2.0/mlflow";

/// Sends JSON by any method; status and the answer without what differs each time.
async fn send(server: &Server, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let (status, answer) = server.send(server.request(method, &format!("/api/v1{path}")).json(body)).await;
    (status, redacted(answer))
}

/// `GET`.
async fn get(server: &Server, path: &str) -> (u16, Value) {
    let (status, answer) = server.get(&format!("/api/v1{path}")).await;
    (status, redacted(answer))
}

async fn put(server: &Server, path: &str, body: Value) -> (u16, Value) {
    send(server, Method::PUT, path, &body).await
}

async fn post(server: &Server, path: &str, body: Value) -> (u16, Value) {
    send(server, Method::POST, path, &body).await
}

async fn delete(server: &Server, path: &str) -> (u16, Value) {
    send(server, Method::DELETE, path, &json!({})).await
}

/// Checks a refusal: status, kind, field and part of the message; and that nothing else is told.
#[track_caller]
fn refused((status, answer): (u16, Value), expect: (u16, &str, Option<&str>, &str)) {
    let error = &answer["error"];
    let told = (status, error["kind"].as_str().unwrap_or_default(), error["field"].as_str());
    assert_eq!(told, (expect.0, expect.1, expect.2), "{answer}");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains(expect.3), "expected {:?} in {message:?}", expect.3);
    let known = ["kind", "message", "field", "hint"];
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    assert!(error.as_object().unwrap().keys().all(|key| known.contains(&&**key)), "{answer}");
}

/// Puts a word in the place of ids and of the time of the test.
fn redacted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(redacted).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key.clone(), redacted_field(&key, value))).collect()
        }
        Value::String(text) if is_id(&text) => json!("[id]"),
        other => other,
    }
}

fn redacted_field(key: &str, value: Value) -> Value {
    match &value {
        Value::Number(number) if number.as_i64().is_some_and(|number| number > 1_600_000_000_000) => json!("[time]"),
        Value::Number(_) if key == "latency_us" || key == "load_ms" => json!("[time]"),
        Value::String(_) if key == "received_at" => json!("[time]"),
        _ => redacted(value),
    }
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 32 | 36) && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

/// Sends what must succeed to the MLflow protocol.
async fn mlflow(server: &Server, path: &str, body: Value) -> Value {
    let (status, answer) = server.post(&format!("{MLFLOW}{path}"), &body).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Files under `crates/serving/tests/models` as a version of a model, from a run of its own; the version.
async fn version_of(server: &Server, model: &str, files: &str) -> String {
    let run =
        mlflow(server, "/runs/create", json!({"experiment_id": "0", "run_name": "training", "start_time": 5})).await;
    let run_id = run["run"]["info"]["run_id"].as_str().unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../serving/tests/models");
    for name in ["MLmodel", "model.skops"] {
        let bytes = std::fs::read(format!("{folder}/{files}/{name}")).unwrap();
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/model/{name}");
        let (status, answer) = server.send(server.request(Method::PUT, &path).body(bytes)).await;
        assert_eq!(status, 200, "{answer}");
    }
    server.post(&format!("{MLFLOW}/registered-models/create"), &json!({"name": model})).await;
    let source = format!("mlflow-artifacts:/0/{run_id}/artifacts/model");
    let made =
        mlflow(server, "/model-versions/create", json!({"name": model, "source": source, "run_id": run_id})).await;
    made["model_version"]["version"].as_str().unwrap().to_owned()
}

/// Waits until the loop is at rest.
async fn at_rest(server: &Server) {
    for _ in 0..5_000 {
        if get(server, "/loop").await.1["idle"] == json!(true) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let left = get(server, "/loop").await;
    assert_eq!(left.1["idle"], json!(true), "the loop does not come to rest: {left:?}");
}

/// A deployment `late` that serves version 1 of `late`, a model of two classes.
async fn serving() -> Server {
    let server = Server::turning().await;
    version_of(&server, "late", "binary").await;
    let (status, answer) = put(&server, "/deployments/late", json!({"pointer": "models:/late/Production"})).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = post(&server, "/models/late/versions/1/promote", json!({"pointer": "Production"})).await;
    assert_eq!(status, 200, "{answer}");
    at_rest(&server).await;
    server
}

/// Predictions `p0`, `p1` ... at these event times.
async fn predict(server: &Server, times: &[&str]) {
    let ids: Vec<String> = (0..times.len()).map(|index| format!("p{index}")).collect();
    let rows = vec![json!({"carrier": "UA", "hour": 11, "distance": 1700.0, "prev_delay": null}); times.len()];
    let body = json!({"rows": rows, "ids": ids, "event_times": times});
    let (status, answer) = server.post("/deployments/late/predict", &body).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_path_or_a_method_that_is_not_there_is_told_in_the_shape_of_an_error() {
    let server = Server::start().await;
    let expect = json!({"error": {
        "kind": "not_found", "message": "the path `/api/v1/nothing` does not exist",
        "hint": "the paths of this protocol are listed in docs/API.md",
    }});
    assert_eq!(get(&server, "/nothing").await, (404, expect));
    refused(delete(&server, "/models").await, (405, "method_not_allowed", None, "/models does not answer DELETE"));
}

#[test]
fn every_route_is_in_the_reference() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let reference = std::fs::read_to_string(format!("{root}/docs/API.md")).unwrap();
    let mut missing = Vec::new();
    let mut count = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/v1")).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for route in source.split(".route(\"").skip(1) {
            let (path, rest) = route.split_once('"').unwrap();
            let handlers = rest.split("))").next().unwrap_or_default();
            count += 1;
            for method in ["get", "put", "post", "patch", "delete"] {
                let answers = handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(".{method}("));
                let told = |line: &str| {
                    let cell = line.split('|').nth(1).unwrap_or_default();
                    let place = cell.find(&format!("`{path}`"));
                    place.is_some_and(|place| {
                        let before = cell[..place].rsplit("`, ").next().unwrap_or_default();
                        before.contains(&method.to_uppercase())
                    })
                };
                if answers && !reference.lines().any(told) {
                    missing.push(format!("{} {path}", method.to_uppercase()));
                }
            }
        }
    }
    assert!(count > 25, "only {count} routes were found");
    assert!(missing.is_empty(), "docs/API.md does not name {missing:?}");
}
