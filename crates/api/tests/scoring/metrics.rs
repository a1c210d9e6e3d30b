//! /metrics, as Prometheus reads it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::Server;

async fn busy() -> anyhow::Result<(Server, String)> {
    let server = Server::of("regression-1").await?;
    let rows = json!({ "rows": [[1, 2, 3, 4], [1, 2, 3, 4]] }).to_string();
    server.post("/deployments/d/predict", rows.clone()).await?;
    server.post("/deployments/d/predict", "{}").await?;
    server.roll("d", "regression-2", "2").await?;
    server.post("/deployments/d/predict", rows).await?;
    let (status, page) = server.get("/metrics").await?;
    assert_eq!(status, StatusCode::OK);
    Ok((server, page))
}

#[tokio::test]
async fn predictions_errors_and_latency_are_counted_by_deployment_and_version() -> anyhow::Result<()> {
    let (_server, page) = busy().await?;
    let check = |line: &str| assert!(page.lines().any(|have| have == line), "{line} is not in\n{page}");
    check(r#"ml_predictions_total{deployment="d",model="toy",version="1"} 2"#);
    check(r#"ml_predictions_total{deployment="d",model="toy",version="2"} 2"#);
    check(r#"ml_prediction_errors_total{deployment="d",code="invalid"} 1"#);
    check(r#"ml_prediction_duration_seconds_count{deployment="d",model="toy",version="1"} 1"#);
    check(r#"ml_prediction_duration_seconds_bucket{deployment="d",model="toy",version="1",le="+Inf"} 1"#);
    check(r#"ml_deployment_ready{deployment="d"} 1"#);
    check(r#"ml_labels_pending{deployment="d"} 4"#);
    assert!(page.contains("process_resident_memory_bytes ") && page.contains("process_cpu_seconds_total "));
    Ok(())
}

/// Runs where `RONDO_PROMTOOL` names the tool.
#[tokio::test]
async fn promtool_accepts_the_page() -> anyhow::Result<()> {
    let Some(tool) = std::env::var_os("RONDO_PROMTOOL") else { return Ok(()) };
    let (_server, page) = busy().await?;
    let mut check = Command::new(tool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    check.stdin.take().context("a pipe")?.write_all(page.as_bytes())?;
    let done = check.wait_with_output()?;
    let told = [done.stdout, done.stderr].concat();
    assert!(done.status.success() && told.is_empty(), "{}", String::from_utf8_lossy(&told));
    Ok(())
}
