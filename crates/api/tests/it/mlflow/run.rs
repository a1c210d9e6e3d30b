//! Runs, batches and searches on the wire.

use serde_json::{Value, json};

use super::{a_run, get, ok, refused};
use crate::server::Server;

#[tokio::test]
async fn a_run_lives() {
    let server = Server::start().await;
    let new = json!({
        "experiment_id": "0", "user_id": "ada", "run_name": "first", "start_time": 5,
        "tags": [{"key": "mlflow.user", "value": "ada"}],
    });
    let run = ok(&server, "/runs/create", new).await["run"].clone();
    let run_id = run["info"]["run_id"].as_str().unwrap();
    let info = json!({
        "run_id": run_id, "run_uuid": run_id, "run_name": "first", "experiment_id": "0", "user_id": "ada",
        "status": "RUNNING", "start_time": 5, "artifact_uri": format!("mlflow-artifacts:/0/{run_id}/artifacts"),
        "lifecycle_stage": "active",
    });
    let tags = json!([{"key": "mlflow.runName", "value": "first"}, {"key": "mlflow.user", "value": "ada"}]);
    assert_eq!(run, json!({"info": info, "data": {"tags": tags}, "inputs": {}, "outputs": {}}));
    let ended = json!({"run_uuid": run_id, "status": "FINISHED", "end_time": "9", "run_name": "second"});
    let info = ok(&server, "/runs/update", ended).await["run_info"].clone();
    assert_eq!(
        (&info["status"], &info["end_time"], &info["run_name"]),
        (&json!("FINISHED"), &json!(9), &json!("second"))
    );
    let by_number = ok(&server, "/runs/update", json!({"run_id": run_id, "status": 4})).await;
    assert_eq!(by_number["run_info"]["status"], "FAILED");
    ok(&server, "/runs/delete", json!({"run_id": run_id})).await;
    let text = format!("The run {run_id} must be in the 'active' state. Current state is deleted.");
    let dead = (400, "INVALID_PARAMETER_VALUE", &*text);
    refused(&server, "/runs/update", json!({"run_id": run_id, "status": "RUNNING"}), dead).await;
    ok(&server, "/runs/restore", json!({"run_id": run_id})).await;
    ok(&server, "/runs/delete-tag", json!({"run_id": run_id, "key": "mlflow.user"})).await;
    let found = get(&server, &format!("/runs/get?run_id={run_id}")).await["run"].clone();
    assert_eq!(found["data"]["tags"], json!([{"key": "mlflow.runName", "value": "second"}]));
    let missing = (404, "RESOURCE_DOES_NOT_EXIST", "Run with id=nope not found");
    refused(&server, "/runs/delete", json!({"run_id": "nope"}), missing).await;
}

#[tokio::test]
async fn a_batch_is_found_by_search_with_all_it_held() {
    let server = Server::start().await;
    let run_id = a_run(&server).await;
    let batch = json!({
        "run_id": run_id,
        "metrics": [
            {"key": "mae", "value": 0.25, "timestamp": 1, "step": 1},
            {"key": "mae", "value": 0.125, "timestamp": "2", "step": "2"},
            {"key": "nan", "value": "NaN", "timestamp": 2},
            {"key": "inf", "value": "-Infinity", "timestamp": 2},
        ],
        "params": [{"key": "depth", "value": "4"}, {"key": "empty", "value": ""}],
        "tags": [{"key": "team", "value": "a"}],
    });
    ok(&server, "/runs/log-batch", batch).await;
    let data = json!({"run_id": run_id, "datasets": [{
        "tags": [{"key": "mlflow.data.context", "value": "training"}],
        "dataset": {"name": "d", "digest": "1", "sourceType": "local", "source": "{}", "profile": "{}"},
    }]});
    ok(&server, "/runs/log-inputs", data).await;
    let filter = "metrics.mae < 0.2 AND params.depth = '4' AND datasets.name = 'd'";
    let found = ok(&server, "/runs/search", json!({"experiment_ids": ["0"], "filter": filter})).await;
    let run = &found["runs"][0];
    let metrics = json!([
        {"key": "inf", "value": f64::MIN, "timestamp": 2, "step": 0},
        {"key": "mae", "value": 0.125, "timestamp": 2, "step": 2},
        {"key": "nan", "value": "NaN", "timestamp": 2, "step": 0},
    ]);
    assert_eq!(run["data"]["metrics"], metrics);
    assert_eq!(run["data"]["params"], json!([{"key": "depth", "value": "4"}, {"key": "empty", "value": ""}]));
    let input = json!([{
        "tags": [{"key": "mlflow.data.context", "value": "training"}],
        "dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "{}", "profile": "{}"},
    }]);
    assert_eq!(run["inputs"]["dataset_inputs"], input);
    let none = ok(&server, "/runs/search", json!({"experiment_ids": ["0"], "filter": "params.depth = '5'"})).await;
    assert_eq!(none, json!({}));
    let summaries = ok(&server, "/experiments/search-datasets", json!({"experiment_ids": ["0"]})).await;
    let summary = json!([{"experiment_id": "0", "name": "d", "digest": "1", "context": "training"}]);
    assert_eq!(summaries["dataset_summaries"], summary);
}

#[tokio::test]
async fn a_search_goes_on_where_it_stopped() {
    let server = Server::start().await;
    for _ in 0..5 {
        a_run(&server).await;
    }
    let (mut seen, mut token) = (std::collections::BTreeSet::new(), Value::Null);
    loop {
        let page = ok(&server, "/runs/search", json!({"experiment_ids": ["0"], "max_results": 2, "page_token": token}));
        let page = page.await;
        let runs = page["runs"].as_array().unwrap();
        seen.extend(runs.iter().map(|run| run["info"]["run_id"].to_string()));
        token = page["next_page_token"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen.len(), 5);
}

#[tokio::test]
async fn an_old_client_notes_its_model_in_a_tag() {
    let server = Server::start().await;
    let run_id = a_run(&server).await;
    let model = json!({
        "run_id": run_id, "artifact_path": "model", "utc_time_created": "now", "signature": {},
        "flavors": {"sklearn": {"code": "x", "config": {"secret": 1}}},
    });
    for _ in 0..2 {
        ok(&server, "/runs/log-model", json!({"run_id": run_id, "model_json": model.to_string()})).await;
    }
    let run = get(&server, &format!("/runs/get?run_id={run_id}")).await;
    let tag = run["run"]["data"]["tags"].as_array().unwrap().iter();
    let tag = tag.into_iter().find(|tag| tag["key"] == "mlflow.log-model.history").unwrap()["value"].clone();
    let noted: Value = serde_json::from_str(tag.as_str().unwrap()).unwrap();
    let one = json!({
        "run_id": run_id, "artifact_path": "model", "utc_time_created": "now", "flavors": {"sklearn": {"code": "x"}},
    });
    assert_eq!(noted, json!([one, one]));
    let wrong = json!({"run_id": run_id, "model_json": "{}"});
    let missing = (400, "INVALID_PARAMETER_VALUE", "Model json is missing mandatory fields");
    refused(&server, "/runs/log-model", wrong, missing).await;
}
