//! Experiments and runs as they are shown.

use serde_json::{Value, json};

use super::{get, mlflow, post, refused};
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

#[tokio::test]
async fn a_run_moves_to_another_experiment_with_everything_that_is_its() {
    let server = Server::start().await;
    let other = mlflow(&server, "/experiments/create", json!({"name": "other"})).await;
    let other = other["experiment_id"].as_str().unwrap();
    let made =
        mlflow(&server, "/runs/create", json!({"experiment_id": "0", "run_name": "first", "start_time": 5})).await;
    let run_id = made["run"]["info"]["run_id"].as_str().unwrap();
    let point = json!({"run_id": run_id, "key": "mae", "value": 1.5, "timestamp": 1, "step": 0});
    mlflow(&server, "/runs/log-metric", point.clone()).await;
    let path = format!("/runs/{run_id}/experiment");
    let uri = format!("mlflow-artifacts:/0/{run_id}/artifacts");
    let expect = json!({"run_id": "[id]", "experiment_id": other, "artifact_uri": uri});
    assert_eq!(post(&server, &path, json!({"experiment_id": other})).await, (200, expect.clone()));
    assert_eq!(
        post(&server, &path, json!({"experiment_id": other})).await,
        (200, expect),
        "the same again changes nothing"
    );
    mlflow(&server, "/runs/log-metric", point).await;
    let found = |experiment: &str| {
        let body = json!({"experiment_ids": [experiment], "filter": "metrics.mae > 1", "order_by": ["metrics.mae"]});
        let server = &server;
        async move {
            let found = mlflow(server, "/runs/search", body).await;
            found["runs"].as_array().map_or(0, Vec::len)
        }
    };
    assert_eq!((found("0").await, found(other).await), (0, 1));
    refused(post(&server, &path, json!({"experiment_id": "99"})).await, (404, "not_found", None, "id=99"));
    let nobody = post(&server, "/runs/ffff/experiment", json!({"experiment_id": "0"})).await;
    refused(nobody, (404, "not_found", None, "ffff"));
}
