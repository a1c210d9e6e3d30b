//! How requests are read and refused, whatever they are about.

use reqwest::Method;
use serde_json::{Value, json};

use super::{a_run, ok, refused};
use crate::server::Server;

#[tokio::test]
async fn every_prefix_answers_alike() {
    let server = Server::start().await;
    for prefix in ["/api/2.0", "/api/3.0", "/ajax-api/2.0", "/ajax-api/3.0"] {
        let (status, answer) = server.get(&format!("{prefix}/mlflow/experiments/get?experiment_id=0")).await;
        assert_eq!((status, &answer["experiment"]["name"]), (200, &json!("Default")), "{prefix}");
        let (_, info) = server.get(&format!("{prefix}/mlflow/server-info")).await;
        assert_eq!((&info["store_type"], &info["artifact_serving_enabled"]), (&json!("SqlStore"), &json!(true)));
    }
    assert_eq!(server.get("/version").await, (200, json!("3.17.2")));
    assert_eq!(server.get("/health").await, (200, json!("OK")));
    assert_eq!(server.get("/api/2.0/mlflow/nope").await.0, 404);
    assert_eq!(server.get("/api/2.0/mlflow/runs/create").await.0, 405);
}

#[tokio::test]
async fn a_body_must_say_that_it_is_json() {
    let server = Server::start().await;
    let path = "/api/2.0/mlflow/runs/search";
    let plain = server.request(Method::POST, path).header("content-type", "text/plain").body("{}");
    let (status, answer) = server.send(plain).await;
    let text = "Bad Request. Content-Type must be one of ['application/json'].";
    assert_eq!((status, answer), (400, json!({"error_code": "INVALID_PARAMETER_VALUE", "message": text})));
    for body in ["", "{}", "\"{}\"", "null"] {
        let typed =
            server.request(Method::POST, path).header("content-type", "application/json; charset=utf-8").body(body);
        assert_eq!(server.send(typed).await, (200, json!({})), "{body:?}");
    }
    for body in ["{", "[]", "7", "{\"x\": 1e400}"] {
        let typed = server.request(Method::POST, path).header("content-type", "application/json").body(body);
        let (status, answer) = server.send(typed).await;
        assert_eq!((status, &answer["error_code"]), (400, &json!("INVALID_PARAMETER_VALUE")), "{body:?}");
    }
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let server = Server::start().await;
    let run_id = a_run(&server).await;
    let invalid = "INVALID_PARAMETER_VALUE";
    let metric = |more: Value| {
        let mut body = json!({"run_id": run_id, "key": "m", "value": 1.5, "timestamp": 1});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, expect) in [
        (json!({}), "Missing value for required parameter 'run_id'. See the API docs"),
        (metric(json!({"value": null})), "Missing value for required parameter 'value'."),
        (metric(json!({"key": ""})), "Missing value for required parameter 'key'."),
        (
            metric(json!({"timestamp": "soon"})),
            "Invalid value \"soon\" for parameter 'timestamp' supplied:  Hint: Value was of type 'str'. See the API docs",
        ),
        (metric(json!({"value": {"b": 1, "a": [2]}})), "Invalid value {\"a\":[2],\"b\":1} for parameter 'value'"),
        (metric(json!({"key": 7})), "Value was of type 'int'"),
        (metric(json!({"step": 1.5})), "Value was of type 'float'"),
        (metric(json!({"timestamp": -1})), "Invalid value -1 for parameter 'timestamp' supplied"),
        (metric(json!({"runId": "x"})), "given twice"),
        (metric(json!({"dataset_name": "d"})), "Both dataset_name and dataset_digest must be provided"),
    ] {
        refused(&server, "/runs/log-metric", body, (400, invalid, expect)).await;
    }
    let batch =
        json!({"run_id": run_id, "metrics": [{"key": "a", "value": 1, "timestamp": 1}, {"key": "b", "value": 2}]});
    let missing = "Missing value for required parameter 'metrics[1].timestamp'.";
    refused(&server, "/runs/log-batch", batch, (400, invalid, missing)).await;
    let batch = json!({"run_id": run_id, "params": [{"value": "1"}]});
    let missing = "Missing value for required parameter 'params[0].key'.";
    refused(&server, "/runs/log-batch", batch, (400, invalid, missing)).await;
    let nul = json!({"run_id": run_id, "key": "p", "value": "a\u{0}b"});
    refused(&server, "/runs/log-parameter", nul, (400, invalid, "NUL")).await;
    let (_, answer) = server.get(&format!("/api/2.0/mlflow/runs/get?run_uuid={run_id}")).await;
    assert_eq!(answer["run"]["data"]["metrics"], Value::Null, "nothing of what was refused is there");
}

#[tokio::test]
async fn nothing_a_user_does_is_answered_with_5xx() {
    let server = Server::start().await;
    ok(&server, "/experiments/create", json!({"name": "x"})).await;
    ok(&server, "/experiments/delete", json!({"experiment_id": "1"})).await;
    let invalid = "INVALID_PARAMETER_VALUE";
    let rename = json!({"experiment_id": "1", "new_name": "y"});
    refused(&server, "/experiments/update", rename, (400, "INVALID_STATE", "non-active")).await;
    let again = json!({"experiment_ids": ["0"], "order_by": ["params.a", "param.a"]});
    refused(&server, "/runs/search", again, (400, invalid, "duplicate fields")).await;
    let search = json!({"experiment_ids": ["0"], "filter": "creation_time = 'a'"});
    refused(&server, "/logged-models/search", search, (400, invalid, "Expected numeric value")).await;
    let search = json!({"experiment_ids": ["0"], "page_token": "!"});
    refused(&server, "/runs/search", search, (400, invalid, "could not base64-decode")).await;
    let create = json!({"experiment_id": "99999999999999999999"});
    refused(&server, "/runs/create", create, (400, invalid, "Invalid experiment ID")).await;
    refused(&server, "/runs/create", json!({}), (400, invalid, "Invalid experiment ID ''")).await;
    let many: Vec<String> = (0..40_000).map(|id| id.to_string()).collect();
    let (status, _) = server.post("/api/2.0/mlflow/runs/search", &json!({"experiment_ids": many})).await;
    assert!(status < 500, "{status}");
}
