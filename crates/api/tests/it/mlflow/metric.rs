//! Metrics and histories on the wire.

use serde_json::{Value, json};

use super::{a_run, get, ok};
use crate::server::Server;

async fn log(server: &Server, run_id: &str, value: Value, step: i64) {
    let point = json!({"run_id": run_id, "key": "m", "value": value, "timestamp": 10 + step, "step": step});
    ok(server, "/runs/log-metric", point).await;
}

#[tokio::test]
async fn histories_are_read_whole_and_in_pages() {
    let server = Server::start().await;
    let run_id = a_run(&server).await;
    for (step, value) in [json!(1), json!("NaN"), json!("3.5")].into_iter().enumerate() {
        log(&server, &run_id, value, step as i64).await;
    }
    let whole = get(&server, &format!("/metrics/get-history?run_id={run_id}&metric_key=m")).await;
    let expect = json!({"metrics": [
        {"key": "m", "value": 1.0, "timestamp": 10, "step": 0},
        {"key": "m", "value": "NaN", "timestamp": 11, "step": 1},
        {"key": "m", "value": 3.5, "timestamp": 12, "step": 2},
    ]});
    assert_eq!(whole, expect);
    let page = get(&server, &format!("/metrics/get-history?run_uuid={run_id}&metric_key=m&max_results=2")).await;
    assert_eq!(page["metrics"].as_array().map(Vec::len), Some(2));
    let token = page["next_page_token"].as_str().unwrap().replace('=', "%3D");
    let query = format!("/metrics/get-history?run_id={run_id}&metric_key=m&max_results=2&page_token={token}");
    let rest = get(&server, &query).await;
    assert_eq!(rest, json!({"metrics": [{"key": "m", "value": 3.5, "timestamp": 12, "step": 2}]}));
    assert_eq!(get(&server, "/metrics/get-history?run_id=nope&metric_key=m").await, json!({}));
    let (status, _) = server.get(&format!("/api/2.0/mlflow/metrics/get-history?run_id={run_id}")).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn histories_of_many_runs_are_read_at_once() {
    let server = Server::start().await;
    let (one, two) = (a_run(&server).await, a_run(&server).await);
    for step in 0..10 {
        log(&server, &one, json!(step), step).await;
    }
    log(&server, &two, json!(7), 3).await;
    let bulk = get(&server, &format!("/metrics/get-history-bulk?run_id={one}&run_id={two}&metric_key=m")).await;
    assert_eq!(bulk["metrics"].as_array().map(Vec::len), Some(11));
    assert_eq!(get(&server, "/metrics/get-history-bulk?run_id=nope&metric_key=m").await, json!({"metrics": []}));
    let interval = "/metrics/get-history-bulk-interval";
    let query = format!("{interval}?run_ids={one}&run_ids={two}&metric_key=m&max_results=3");
    let sample = get(&server, &query).await;
    let steps: Vec<i64> = sample["metrics"].as_array().unwrap().iter().filter_map(|one| one["step"].as_i64()).collect();
    assert_eq!(steps, [0, 4, 9, 3]);
    assert_eq!(sample["metrics"][3]["run_id"], json!(two));
    let query = format!("{interval}?run_ids={one}&metric_key=m&start_step=4&end_step=5");
    assert_eq!(get(&server, &query).await["metrics"].as_array().map(Vec::len), Some(2));
    for wrong in ["start_step=1", "start_step=2&end_step=1", "max_results=0", "max_results=2501"] {
        let query = format!("/api/2.0/mlflow{interval}?run_ids={one}&metric_key=m&{wrong}");
        assert_eq!(server.get(&query).await.0, 400, "{wrong}");
    }
}
