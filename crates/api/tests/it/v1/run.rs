//! Experiments and runs as they are shown.

use serde_json::{Value, json};

use super::{get, mlflow, refused};
use crate::server::Server;

#[tokio::test]
async fn runs_are_shown_with_what_was_logged() {
    let server = Server::start().await;
    mlflow(&server, "/experiments/create", json!({"name": "flights"})).await;
    let (status, answer) = get(&server, "/experiments").await;
    let names: Vec<&Value> = answer["experiments"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!((status, names), (200, vec![&json!("flights"), &json!("Default")]));
    let first = answer["experiments"][0].as_object().unwrap();
    assert_eq!(first.keys().collect::<Vec<_>>(), ["created_ms", "experiment_id", "name"]);
    let flights = first["experiment_id"].as_str().unwrap();

    let body = json!({"experiment_id": flights, "run_name": "first", "start_time": 5, "user_id": "ada"});
    let made = mlflow(&server, "/runs/create", body).await;
    let run_id = made["run"]["info"]["run_id"].as_str().unwrap();
    let batch = json!({
        "run_id": run_id, "params": [{"key": "depth", "value": "4"}], "tags": [{"key": "team", "value": "ops"}],
        "metrics": [{"key": "mae", "value": 1.5, "timestamp": 1, "step": 0}, {"key": "mae", "value": 1.25, "timestamp": 2, "step": 1}],
    });
    mlflow(&server, "/runs/log-batch", batch).await;
    let (status, mut shown) = server.get(&format!("/api/v1/runs/{run_id}")).await;
    let uri = shown["artifact_uri"].take();
    assert_eq!(uri, json!(format!("mlflow-artifacts:/{flights}/{run_id}/artifacts")));
    let expect = json!({
        "run_id": run_id, "name": "first", "experiment_id": flights, "status": "RUNNING", "user": "ada", "start_ms": 5,
        "end_ms": null, "artifact_uri": null, "params": {"depth": "4"}, "metrics": {"mae": 1.25},
        "tags": {"mlflow.runName": "first", "mlflow.user": "ada", "team": "ops"},
    });
    shown["tags"]["mlflow.user"] = json!("ada");
    assert_eq!((status, shown), (200, expect));
    for query in ["", "?experiment=flights", &format!("?experiment_id={flights}"), "?limit=1"] {
        let (status, listed) = server.get(&format!("/api/v1/runs{query}")).await;
        assert_eq!(
            (status, &listed["runs"][0]["run_id"], listed["runs"].as_array().unwrap().len()),
            (200, &json!(run_id), 1)
        );
    }
    assert_eq!(get(&server, "/runs?experiment=Default").await, (200, json!({"runs": []})));
    refused(get(&server, "/runs?experiment=none").await, (404, "not_found", None, "none"));
    refused(get(&server, "/runs?experiment_id=777").await, (404, "not_found", None, "777"));
    refused(get(&server, "/runs?limit=x").await, (400, "invalid", Some("limit"), ""));
    refused(get(&server, &format!("/runs/{}", "0".repeat(32))).await, (404, "not_found", None, ""));
}
