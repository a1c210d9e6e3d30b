//! Sweeps over HTTP: a whole one, and what a mistake is told.

use serde_json::{Value, json};

use super::{delete, get, mlflow, post, refused};
use crate::server::Server;

fn definition() -> Value {
    json!({
        "name": "flights", "metric": "loss", "method": "grid", "experiment": "delays",
        "space": {"lr": {"type": "choice", "values": [0.1, 1e-5]}, "depth": {"type": "fixed", "value": 3}},
        "stopping": {"rule": "asha", "min_step": 2, "reduction": 2},
    })
}

async fn claim(server: &Server, lease: &str) -> Value {
    let (status, answer) =
        server.post("/api/v1/sweeps/flights/claim", &json!({"worker": "host:1", "lease": lease})).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

async fn log(server: &Server, run_id: &Value, step: i64, value: f64) {
    let point = json!({"run_id": run_id, "key": "loss", "value": value, "timestamp": 1, "step": step});
    mlflow(server, "/runs/log-metric", point).await;
}

#[tokio::test]
async fn a_sweep_from_its_definition_to_its_end() {
    let server = Server::start().await;
    assert_eq!(get(&server, "/sweeps").await, (200, json!({"sweeps": []})));
    let (status, made) = post(&server, "/sweeps", definition()).await;
    let whole = json!({
        "name": "flights", "experiment": "delays", "metric": "loss", "goal": "minimize", "method": "grid", "seed": 0,
        "budget": {"trials": null, "parallel": null, "attempts": 3, "lease_seconds": 60},
        "stopping": {"rule": "asha", "min_step": 2, "max_step": null, "reduction": 2},
        "space": {"lr": {"type": "choice", "values": [0.1, 1e-5]}, "depth": {"type": "fixed", "value": 3}},
    });
    let counts = json!({"waiting": 0, "running": 0, "finished": 0, "pruned": 0, "failed": 0, "cancelled": 0});
    let expect = json!({
        "name": "flights", "state": "running", "definition": whole, "experiment_id": "1", "run_id": "[id]", "trials": 2,
        "made": 0, "ended": 0, "counts": counts, "best": null, "created_us": "[time]", "ended_us": null,
    });
    assert_eq!((status, &made), (200, &expect));
    assert_eq!(post(&server, "/sweeps", definition()).await, (200, expect), "the same again is the same");

    let first = claim(&server, "a").await;
    assert_eq!(first["trial"]["params"], json!({"depth": "3", "lr": "0.1"}), "as Python shows them");
    assert_eq!((&first["lease_seconds"], &first["over"]), (&json!(60), &json!(false)));
    let second = claim(&server, "b").await;
    assert_eq!(second["trial"]["params"]["lr"], "1e-05");
    let run = &first["trial"]["run_id"];
    let found = mlflow(&server, "/runs/search", json!({
        "experiment_ids": ["1"], "filter": format!("tags.`mlflow.parentRunId` = '{}' and params.lr = '0.1'", super_run(&server).await),
    }))
    .await;
    assert_eq!(&found["runs"][0]["info"]["run_id"], run, "MLflow finds the trial below the sweep");

    log(&server, run, 2, 0.5).await;
    let beat = |number: i64, lease: &'static str| {
        let path = format!("/sweeps/flights/trials/{number}/beat");
        let asked = &server;
        async move { post(asked, &path, json!({"lease": lease})).await }
    };
    assert_eq!(beat(0, "a").await, (200, json!({"stop": null, "lease_until_us": "[time]"})));
    log(&server, &second["trial"]["run_id"], 2, 0.75).await;
    assert_eq!(beat(1, "b").await.1["stop"], "pruned");
    let end = |number: i64, body: Value| {
        let path = format!("/sweeps/flights/trials/{number}/end");
        let asked = &server;
        async move { post(asked, &path, body).await }
    };
    let (_, pruned) = end(1, json!({"lease": "b", "outcome": "killed"})).await;
    assert_eq!((&pruned["state"], &pruned["step"], &pruned["value"]), (&json!("pruned"), &json!(2), &json!(0.75)));
    let (_, ended) = end(0, json!({"lease": "a", "outcome": "finished"})).await;
    let expect = json!({
        "number": 0, "run_id": "[id]", "state": "finished", "settings": {"lr": 0.1, "depth": 3},
        "params": {"lr": "0.1", "depth": "3"}, "attempt": 1, "worker": "host:1", "lease_until_us": "[time]",
        "verdict": null, "step": 2, "value": 0.5, "error": null, "started_us": "[time]", "ended_us": "[time]",
    });
    assert_eq!(ended, expect);
    let (_, shown) = get(&server, "/sweeps/flights").await;
    assert_eq!((&shown["state"], &shown["best"]), (&json!("finished"), &expect));
    assert_eq!(get(&server, "/sweeps/flights/trials?after=0").await.1["trials"][0]["state"], "pruned");
    assert_eq!(claim(&server, "c").await["over"], true);
    let (_, events) = get(&server, "/events").await;
    let kinds: Vec<&Value> = events["events"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, [&json!("sweep.changed"), &json!("sweep.created")]);

    refused(post(&server, "/sweeps/flights/resume", json!({})).await, (409, "precondition", None, "is finished"));
    assert_eq!(delete(&server, "/sweeps/flights").await, (200, json!({})));
    refused(get(&server, "/sweeps/flights").await, (404, "not_found", None, "there is no sweep `flights`"));
}

/// The run of the sweep.
async fn super_run(server: &Server) -> String {
    let (_, shown) = server.get("/api/v1/sweeps/flights").await;
    shown["run_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_sweep_is_paused_resumed_stopped_and_cancelled() {
    let server = Server::start().await;
    post(&server, "/sweeps", definition()).await;
    let change = async |what: &str| {
        let (status, answer) = post(&server, &format!("/sweeps/flights/{what}"), json!({})).await;
        (status, answer["state"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(change("pause").await, (200, "paused".to_owned()));
    let waiting = claim(&server, "a").await;
    assert_eq!((&waiting["trial"], &waiting["over"]), (&Value::Null, &json!(false)));
    assert_eq!(change("resume").await, (200, "running".to_owned()));
    assert_eq!(claim(&server, "a").await["trial"]["number"], 0);
    assert_eq!(post(&server, "/sweeps/flights/trials/0/release", json!({"lease": "a"})).await, (200, json!({})));
    assert_eq!(claim(&server, "b").await["trial"]["number"], 0);
    assert_eq!(change("stop").await, (200, "stopping".to_owned()));
    assert_eq!(change("cancel").await, (200, "cancelled".to_owned()));
    assert_eq!(post(&server, "/sweeps/flights/trials/0/beat", json!({"lease": "b"})).await.1["stop"], "cancelled");
    assert_eq!(change("resume").await.0, 409);
}

#[tokio::test]
async fn a_mistake_is_told_by_its_field() {
    let server = Server::start().await;
    post(&server, "/sweeps", definition()).await;
    claim(&server, "a").await;
    let with = |key: &str, value: Value| {
        let mut changed = definition();
        changed[key] = value;
        changed
    };
    for (body, field) in [
        (with("metric", json!(5)), "metric"),
        (with("metrics", json!("loss")), "metrics"),
        (with("method", json!("luck")), "method"),
        (with("budget", json!({"trial": 5})), "budget.trial"),
        (with("stopping", json!({"rule": "hope"})), "stopping.rule"),
        (with("space", json!({"lr": {"type": "uniform", "low": "a"}})), "space.lr.low"),
        (with("space", json!({"lr": {"type": "uniform", "low": 0.0}})), "space.lr.high"),
        (with("space", json!({"lr": {"kind": "uniform"}})), "space.lr.kind"),
    ] {
        refused(post(&server, "/sweeps", body.clone()).await, (400, "invalid", Some(field), ""));
    }
    refused(
        post(&server, "/sweeps", with("seed", json!(9))).await,
        (409, "already_exists", Some("name"), "there is another sweep `flights`"),
    );
    let act = async |path: &str, body: Value| post(&server, &format!("/sweeps/flights/{path}"), body).await;
    refused(act("claim", json!({"worker": "w"})).await, (400, "invalid", Some("lease"), ""));
    refused(act("claim", json!({"worker": "", "lease": "x"})).await, (400, "invalid", Some("worker"), ""));
    refused(act("trials/0/beat", json!({"lease": "b"})).await, (409, "precondition", Some("lease"), "is lost"));
    refused(act("trials/x/beat", json!({"lease": "a"})).await, (400, "invalid", Some("number"), "`x`"));
    refused(act("trials/5/beat", json!({"lease": "a"})).await, (404, "not_found", None, "no trial 5"));
    refused(act("trials/0/end", json!({"lease": "a", "outcome": "x"})).await, (400, "invalid", Some("outcome"), ""));
    refused(act("resume", json!({"trials": 0})).await, (400, "invalid", Some("budget.trials"), ""));
    refused(get(&server, "/sweeps/none/trials").await, (404, "not_found", None, "there is no sweep `none`"));
    refused(
        post(&server, "/sweeps/none/claim", json!({"worker": "w", "lease": "x"})).await,
        (404, "not_found", None, ""),
    );
}
