//! Things from elsewhere keep their ids, numbers and times, and the same again changes nothing.

use serde_json::json;

use super::{mlflow, post, refused};
use crate::server::Server;

const RUN: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn experiments_and_runs_keep_their_ids() {
    let server = Server::start().await;
    let body = json!({"name": "pricing", "experiment_id": "2", "created_ms": 77});
    let (status, answer) = server.post("/api/v1/import/experiments", &body).await;
    let expect = json!({"experiment_id": "2", "artifact_location": "mlflow-artifacts:/2", "lifecycle_stage": "active", "made": true});
    assert_eq!((status, answer), (200, expect));
    let (_, again) = server.post("/api/v1/import/experiments", &body).await;
    assert_eq!((&again["experiment_id"], &again["made"]), (&json!("2"), &json!(false)));
    let taken = json!({"name": "other", "experiment_id": "2"});
    let (_, other) = server.post("/api/v1/import/experiments", &taken).await;
    assert_eq!(other["experiment_id"], "1", "an id that is taken gives way to a free one");
    let next = mlflow(&server, "/experiments/create", json!({"name": "next"})).await;
    assert_eq!(next["experiment_id"], "3", "a number that was imported is passed over");

    let run = json!({"run_id": RUN, "experiment_id": "2", "run_name": "first", "user_id": "ada", "start_ms": 5});
    let (status, answer) = server.post("/api/v1/import/runs", &run).await;
    let uri = format!("mlflow-artifacts:/2/{RUN}/artifacts");
    let expect = json!({"run_id": RUN, "artifact_uri": uri, "lifecycle_stage": "active", "made": true});
    assert_eq!((status, answer), (200, expect));
    assert_eq!(server.post("/api/v1/import/runs", &run).await.1["made"], false);
    let elsewhere = json!({"run_id": RUN, "experiment_id": "3"});
    refused(post(&server, "/import/runs", elsewhere).await, (400, "invalid", Some("experiment_id"), "in experiment 2"));
    let wrong = json!({"run_id": "../x", "experiment_id": "2"});
    refused(post(&server, "/import/runs", wrong).await, (400, "invalid", Some("run_id"), "run_id"));
    let nowhere = json!({"run_id": "a", "experiment_id": "99"});
    refused(post(&server, "/import/runs", nowhere).await, (404, "not_found", None, "No Experiment with id=99"));

    let model =
        json!({"model_id": "m-12ab", "experiment_id": "2", "name": "linear", "source_run_id": RUN, "created_ms": 9});
    let (status, answer) = server.post("/api/v1/import/logged-models", &model).await;
    let expect =
        json!({"model_id": "m-12ab", "artifact_location": "mlflow-artifacts:/2/models/m-12ab/artifacts", "made": true});
    assert_eq!((status, answer), (200, expect));
    assert_eq!(server.post("/api/v1/import/logged-models", &model).await.1["made"], false);
    for id in ["m-", "x-12", "m-../x"] {
        let body = json!({"model_id": id, "experiment_id": "2", "name": "linear"});
        refused(post(&server, "/import/logged-models", body).await, (400, "invalid", Some("model_id"), id));
    }
}

#[tokio::test]
async fn versions_keep_their_numbers_and_times() {
    let server = Server::start().await;
    mlflow(&server, "/registered-models/create", json!({"name": "fare"})).await;
    let number = |version: &str| json!({"name": "fare", "version": version, "created_ms": 7, "updated_ms": 8});
    assert_eq!(post(&server, "/import/versions", number("3")).await, (200, json!({"state": "next"})));
    assert_eq!(post(&server, "/import/versions", number("3")).await, (200, json!({"state": "next"})));
    assert_eq!(post(&server, "/import/versions", number("2")).await, (200, json!({"state": "gone"})));
    let made = mlflow(&server, "/model-versions/create", json!({"name": "fare", "source": "s3://bucket/model"})).await;
    assert_eq!(made["model_version"]["version"], "3");
    assert_eq!(post(&server, "/import/versions", number("3")).await, (200, json!({"state": "there"})));
    let times = json!({"name": "fare", "created_ms": 1, "updated_ms": 2});
    assert_eq!(post(&server, "/import/models", times).await, (200, json!({})));
    let (_, found) = server.get("/api/2.0/mlflow/registered-models/get?name=fare").await;
    let model = &found["registered_model"];
    assert_eq!((&model["creation_timestamp"], &model["last_updated_timestamp"]), (&json!(1), &json!(2)));
    let version = &model["latest_versions"][0];
    assert_eq!((&version["creation_timestamp"], &version["last_updated_timestamp"]), (&json!(7), &json!(8)));

    let missing = json!({"name": "none", "created_ms": 1, "updated_ms": 2});
    refused(post(&server, "/import/models", missing).await, (404, "not_found", None, "none"));
    refused(post(&server, "/import/versions", number("0")).await, (400, "invalid", Some("version"), "version"));
}
