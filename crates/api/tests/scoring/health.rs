//! /healthz and /readyz.

use reqwest::StatusCode;
use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn alive_and_ready_are_said_with_the_state_of_each_deployment() -> anyhow::Result<()> {
    let server = Server::of("regression-1").await?;
    server.house.fleet.declare("empty", serving::deployment::Config::default());
    server.house.fleet.note_failure("broken", "no");
    assert_eq!(server.get_json("/healthz").await?, (StatusCode::OK, json!({ "status": "ok" })));
    let (status, ready) = server.get_json("/readyz").await?;
    assert_eq!(status, StatusCode::OK);
    let expect = json!({
        "status": "ready", "database": "ok", "deployments": { "d": "ready", "empty": "empty", "broken": "failed" },
        "replica": { "id": "", "turns_loop": false },
    });
    assert_eq!(ready, expect);
    Ok(())
}
