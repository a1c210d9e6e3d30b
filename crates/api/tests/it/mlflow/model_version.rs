//! Versions on the wire: their life, where their files may come from, and what the gate answers.

use reqwest::Method;
use serde_json::{Value, json};

use super::{a_run, a_version, get, ok, refused, send};
use crate::server::Server;

#[tokio::test]
async fn a_version_lives() {
    let server = Server::start().await;
    let run_id = a_run(&server).await;
    ok(&server, "/registered-models/create", json!({"name": "m"})).await;
    let source = format!("mlflow-artifacts:/0/{run_id}/artifacts/model");
    let new = json!({
        "name": "m", "source": source, "run_id": run_id, "description": "first", "run_link": "",
        "tags": [{"key": "a", "value": "1"}],
    });
    let made = ok(&server, "/model-versions/create", new).await["model_version"].clone();
    assert_eq!(
        (&made["version"], &made["current_stage"], &made["status"]),
        (&json!("1"), &json!("None"), &json!("READY"))
    );
    assert_eq!((&made["source"], &made["run_id"]), (&json!(source), &json!(run_id)));
    assert_eq!((&made["description"], &made["tags"]), (&json!("first"), &json!([{"key": "a", "value": "1"}])));
    assert!(made["creation_timestamp"].is_i64());
    assert_eq!(get(&server, "/model-versions/get?name=m&version=1").await["model_version"], made);
    let uri = get(&server, "/model-versions/get-download-uri?name=m&version=1").await;
    assert_eq!(uri, json!({"artifact_uri": source}));

    let body = json!({"name": "m", "version": "1", "description": "other"});
    let (_, changed) = send(&server, Method::PATCH, "/model-versions/update", body).await;
    assert_eq!(changed["model_version"]["description"], "other");
    ok(&server, "/model-versions/set-tag", json!({"name": "m", "version": "1", "key": "b", "value": "2"})).await;
    let body = json!({"name": "m", "version": "1", "key": "a"});
    send(&server, Method::DELETE, "/model-versions/delete-tag", body).await;
    let found = get(&server, "/model-versions/search?filter=name%3D%27m%27").await["model_versions"].clone();
    assert_eq!(found[0]["tags"], json!([{"key": "b", "value": "2"}]));
    let body = json!({"name": "m", "version": "1"});
    assert_eq!(send(&server, Method::DELETE, "/model-versions/delete", body).await, (200, json!({})));
    let gone = (404, "RESOURCE_DOES_NOT_EXIST", "Model Version (name=m, version=1) not found");
    refused(&server, "/model-versions/set-tag", json!({"name": "m", "version": "1", "key": "b", "value": "2"}), gone)
        .await;
}

#[tokio::test]
async fn a_stage_is_read_in_any_case_and_the_incumbent_can_be_archived() {
    let server = Server::start().await;
    for _ in 0..2 {
        a_version(&server, "m").await;
    }
    let mut stages = Vec::new();
    for (version, stage, archive) in [("1", "production", json!(false)), ("2", "PRODUCTION", json!("true"))] {
        let body = json!({"name": "m", "version": version, "stage": stage, "archive_existing_versions": archive});
        let moved = ok(&server, "/model-versions/transition-stage", body).await;
        stages.push(moved["model_version"]["current_stage"].clone());
    }
    assert_eq!(stages, ["Production", "Production"]);
    let latest = ok(&server, "/registered-models/get-latest-versions", json!({"name": "m"})).await;
    let latest: Vec<(&Value, &Value)> = latest["model_versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (&version["version"], &version["current_stage"]))
        .collect();
    assert_eq!(latest, [(&json!("1"), &json!("Archived")), (&json!("2"), &json!("Production"))]);
    let named = get(&server, "/registered-models/get-latest-versions?name=m&stages=Production").await;
    assert_eq!(named["model_versions"].as_array().unwrap().len(), 1);
    let invalid = "INVALID_PARAMETER_VALUE";
    for (stage, archive, text) in [
        ("Live", false, "Invalid Model Version stage: Live."),
        ("Archived", true, "because 'Archived' is not an Active stage"),
    ] {
        let body = json!({"name": "m", "version": "1", "stage": stage, "archive_existing_versions": archive});
        refused(&server, "/model-versions/transition-stage", body, (400, invalid, text)).await;
    }
}

#[tokio::test]
async fn the_gate_answers_403_with_the_reason_on_every_wire_path() {
    let server = Server::start().await;
    a_version(&server, "m").await;
    a_version(&server, "m").await;
    let body = json!({"name": "m", "version": "1", "stage": "Production"});
    ok(&server, "/model-versions/transition-stage", body).await;
    let policy = server.request(Method::PUT, "/api/v1/models/m/policy").json(&json!({"mode": "required"}));
    let (status, answer) = server.send(policy).await;
    assert_eq!(status, 200, "{answer}");

    let expect = (403, "PERMISSION_DENIED", "the policy of model `m` refuses this");
    let staged = json!({"name": "m", "version": "2", "stage": "Production", "archive_existing_versions": true});
    refused(&server, "/model-versions/transition-stage", staged.clone(), expect).await;
    let hint = (403, "PERMISSION_DENIED", "evaluate it with `rondo model evaluate m 2`");
    refused(&server, "/model-versions/transition-stage", staged, hint).await;
    let alias = json!({"name": "m", "alias": "champion", "version": "2"});
    refused(&server, "/registered-models/alias", alias, expect).await;
    refused(&server, "/registered-models/rename", json!({"name": "m", "new_name": "n"}), expect).await;
    for (path, body) in [
        ("/model-versions/delete", json!({"name": "m", "version": "1"})),
        ("/registered-models/delete", json!({"name": "m"})),
    ] {
        let (status, answer) = send(&server, Method::DELETE, path, body).await;
        assert_eq!((status, &answer["error_code"]), (403, &json!("PERMISSION_DENIED")), "{path}");
    }
    let holder = get(&server, "/registered-models/get-latest-versions?name=m&stages=Production").await;
    assert_eq!(holder["model_versions"][0]["version"], "1");
}

#[tokio::test]
async fn a_source_belongs_to_what_the_request_names() {
    let server = Server::start().await;
    let (mine, other) = (a_run(&server).await, a_run(&server).await);
    let logged = json!({"experiment_id": "0", "name": "model", "source_run_id": mine});
    let logged = ok(&server, "/logged-models", logged).await["model"]["info"].clone();
    let model_id = logged["model_id"].as_str().unwrap().to_owned();
    ok(&server, "/runs/outputs", json!({"run_id": mine, "models": [{"model_id": model_id, "step": 0}]})).await;
    a_version(&server, "m").await;
    ok(&server, "/registered-models/alias", json!({"name": "m", "alias": "a", "version": "1"})).await;
    let first = get(&server, "/model-versions/get-download-uri?name=m&version=1").await["artifact_uri"].clone();

    let model_files = logged["artifact_uri"].as_str().unwrap();
    let in_run = format!("mlflow-artifacts:/0/{mine}/artifacts");
    for (source, run_id, model_id, expect) in [
        (format!("{in_run}/m"), &*mine, "", format!("{in_run}/m")),
        (in_run.clone(), &*mine, "", in_run.clone()),
        (format!("mlflow-artifacts://host/0/{mine}/artifacts/m/"), &*mine, "", format!("{in_run}/m")),
        (format!("runs:/{mine}/model"), &*mine, "", model_files.to_owned()),
        (format!("runs:/{mine}/plain"), &*mine, "", format!("{in_run}/plain")),
        (format!("models:/{model_id}"), "", &*model_id, model_files.to_owned()),
        (format!("models:/{model_id}"), &*mine, "", model_files.to_owned()),
        (model_files.to_owned(), "", &*model_id, model_files.to_owned()),
        ("models:/m/1".to_owned(), "", "", first.as_str().unwrap().to_owned()),
        ("models:/m@a".to_owned(), "", "", first.as_str().unwrap().to_owned()),
        ("s3://bucket/models/x".to_owned(), "", "", "s3://bucket/models/x".to_owned()),
    ] {
        let body = json!({"name": "m", "source": source, "run_id": run_id, "model_id": model_id});
        let made = ok(&server, "/model-versions/create", body).await["model_version"].clone();
        let query = format!("/model-versions/get-download-uri?name=m&version={}", made["version"].as_str().unwrap());
        assert_eq!(get(&server, &query).await["artifact_uri"], expect, "{source}");
    }
    for (source, run_id, model_id) in [
        (format!("{in_run}/m"), "", ""),
        (format!("{in_run}/m"), &*other, ""),
        (format!("mlflow-artifacts:/0/{mine}/artifacts2/m"), &*mine, ""),
        (format!("{in_run}/../../{other}/artifacts"), &*mine, ""),
        (format!("{in_run}/..%2f..%2fx"), &*mine, ""),
        (format!("{in_run}/%252e%252e/x"), &*mine, ""),
        (format!("{in_run}/m?x#/../.."), &*mine, ""),
        (format!("runs:/{mine}/model"), &*other, ""),
        (format!("runs:/{mine}/../x"), &*mine, ""),
        (format!("runs:/{mine}"), &*mine, ""),
        (format!("models:/{model_id}"), "", "m-other"),
        (format!("models://host/{model_id}"), "", &*model_id),
        ("models:/m/1".to_owned(), &*other, ""),
        ("models:/m/Nowhere".to_owned(), "", ""),
        ("/etc/passwd".to_owned(), &*mine, ""),
        ("C:\\models".to_owned(), &*mine, ""),
        ("file:///etc".to_owned(), &*mine, ""),
        ("http://169.254.169.254/latest".to_owned(), &*mine, ""),
        ("s3://bucket/../x".to_owned(), "", ""),
        ("gopher://x".to_owned(), "", ""),
    ] {
        let body = json!({"name": "m", "source": source, "run_id": run_id, "model_id": model_id});
        let expect = (400, "INVALID_PARAMETER_VALUE", "Invalid model version source");
        refused(&server, "/model-versions/create", body, expect).await;
    }
    let unknown = json!({"name": "m", "source": "models:/m-unknown", "model_id": "m-unknown"});
    refused(&server, "/model-versions/create", unknown, (404, "RESOURCE_DOES_NOT_EXIST", "m-unknown")).await;
}

#[tokio::test]
async fn a_prompt_is_a_version_without_files() {
    let server = Server::start().await;
    let is_prompt = json!({"key": "mlflow.prompt.is_prompt", "value": "true"});
    ok(&server, "/registered-models/create", json!({"name": "greeting", "tags": [is_prompt]})).await;
    let text = json!({"key": "mlflow.prompt.text", "value": "Hello {{name}}"});
    let new = |source: &str| json!({"name": "greeting", "source": source, "tags": [is_prompt, text]});
    let made = ok(&server, "/model-versions/create", new("dummy-source")).await["model_version"].clone();
    assert_eq!(made["version"], "1");
    let expect = (400, "INVALID_PARAMETER_VALUE", "Invalid prompt source: '/etc'");
    refused(&server, "/model-versions/create", new("/etc"), expect).await;
    assert_eq!(get(&server, "/model-versions/search").await, json!({}));
    ok(&server, "/registered-models/create", json!({"name": "m"})).await;
    let stolen = json!({"name": "m", "source": "models:/greeting/1"});
    let expect = (400, "INVALID_PARAMETER_VALUE", "Prompt versions cannot be used as model version sources");
    refused(&server, "/model-versions/create", stolen, expect).await;
}
