//! The first page: each deployment with its evidence, and how much of everything there is.

use serde_json::{Value, json};

use super::{get, predict, put, serving};
use crate::server::Server;

#[tokio::test]
async fn an_empty_house_has_an_overview() {
    let server = Server::start().await;
    let expect = json!({
        "deployments": [], "loop": {"idle": true, "pending": []},
        "counts": {"experiments": 1, "models": 0, "deployments": 0, "pipelines": 0},
    });
    assert_eq!(get(&server, "/overview").await, (200, expect));
}

#[tokio::test]
async fn a_deployment_is_shown_with_its_verdict_its_monitor_and_its_traffic() {
    let server = serving().await;
    // It looks at nothing before the day after the prediction, so no window is due while the page is read.
    let next_day_us = 1_362_182_400_000_000_i64;
    put(&server, "/monitors/late", json!({"deployment": "late", "start_us": next_day_us})).await;
    predict(&server, &["2013-03-01T05:00:00Z"]).await;
    let (status, mut answer) = get(&server, "/overview").await;
    let shown = answer["deployments"][0].take();
    let expect = json!({
        "name": "late", "pointer": "models:/late/Production", "model": "late", "config": {"extra_columns": "refuse"},
        "state": "ready", "version": "1", "since_us": "[time]", "failure": null, "draining": 0, "predictions": 1,
        "outcomes": 0, "errors": 0, "watermark": null, "newest_event": "2013-03-01T05:00:00Z", "created_us": "[time]",
        "predict_url": "http://127.0.0.1:5000/deployments/late/predict", "alerts": [], "monitor": "late",
        "last_window": null, "verdict": null,
    });
    let mut without = shown.clone();
    without["verdict"] = Value::Null;
    assert_eq!((status, without), (200, expect));
    let verdict = &shown["verdict"];
    assert!(verdict.is_null() || verdict["passed"] == json!(true), "{verdict}");
    let counts = json!({"experiments": 1, "models": 1, "deployments": 1, "pipelines": 0});
    assert_eq!(answer["counts"], counts);
}
