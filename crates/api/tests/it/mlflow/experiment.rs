//! Experiments on the wire.

use serde_json::json;

use super::{get, ok, refused};
use crate::server::Server;

#[tokio::test]
async fn an_experiment_lives() {
    let server = Server::start().await;
    let tags = json!([{"key": "team", "value": "a"}]);
    let created = ok(&server, "/experiments/create", json!({"name": "visit", "tags": tags})).await;
    assert_eq!(created, json!({"experiment_id": "1"}));
    let found = get(&server, "/experiments/get-by-name?experiment_name=visit").await["experiment"].clone();
    assert_eq!(found["artifact_location"], "mlflow-artifacts:/1");
    assert_eq!((&found["lifecycle_stage"], &found["tags"]), (&json!("active"), &tags));
    assert!(found["creation_time"].is_i64() && found["creation_time"] == found["last_update_time"]);
    assert_eq!(get(&server, "/experiments/get?experimentId=1").await["experiment"], found);
    ok(&server, "/experiments/update", json!({"experiment_id": "1", "new_name": "visits"})).await;
    ok(&server, "/experiments/set-experiment-tag", json!({"experiment_id": "1", "key": "team", "value": "b"})).await;
    ok(&server, "/experiments/delete", json!({"experiment_id": "1"})).await;
    let found = get(&server, "/experiments/get?experiment_id=1").await["experiment"].clone();
    assert_eq!((&found["name"], &found["lifecycle_stage"]), (&json!("visits"), &json!("deleted")));
    assert_eq!(found["tags"], json!([{"key": "team", "value": "b"}]));
    let taken = (400, "RESOURCE_ALREADY_EXISTS", "Experiment(name=visits) already exists.");
    refused(&server, "/experiments/create", json!({"name": "visits"}), taken).await;
    ok(&server, "/experiments/restore", json!({"experiment_id": "1"})).await;
    ok(&server, "/experiments/delete-experiment-tag", json!({"experiment_id": "1", "key": "team"})).await;
    let gone = (404, "RESOURCE_DOES_NOT_EXIST", "No tag with name: team in experiment with id 1");
    refused(&server, "/experiments/delete-experiment-tag", json!({"experiment_id": "1", "key": "team"}), gone).await;
    let (status, missing) = server.get("/api/2.0/mlflow/experiments/get-by-name?experiment_name=nope").await;
    let text = "Could not find experiment with name 'nope'";
    assert_eq!((status, missing), (404, json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": text})));
}

#[tokio::test]
async fn experiments_are_searched_by_get_and_post() {
    let server = Server::start().await;
    for name in ["a", "b", "c"] {
        ok(&server, "/experiments/create", json!({"name": name})).await;
    }
    let body = json!({"max_results": "2", "order_by": ["name DESC"], "filter": "name != 'b'", "view_type": 3});
    let first = ok(&server, "/experiments/search", body).await;
    let names = |answer: &serde_json::Value| -> Vec<String> {
        let found = answer["experiments"].as_array().unwrap().iter();
        found.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["c", "a"]);
    let token = first["next_page_token"].as_str().unwrap();
    let query = format!(
        "/experiments/search?max_results=2&order_by=name+DESC&filter=name+!%3D+'b'&page_token={}",
        token.replace('=', "%3D")
    );
    let second = get(&server, &query).await;
    assert_eq!((names(&second), &second["next_page_token"]), (vec!["Default".to_owned()], &json!(null)));
    let zero = (400, "INVALID_PARAMETER_VALUE", "Invalid value 0 for parameter 'max_results' supplied.");
    refused(&server, "/experiments/search", json!({}), zero).await;
}

#[tokio::test]
async fn locations_are_checked() {
    let server = Server::start().await;
    let create = |location: &str| json!({"name": format!("at {location}"), "artifact_location": location});
    for wrong in ["s3://b/a#x", "runs:/a/b", "s3://b/../x", "../x", "s3://b?x=..", &"x".repeat(2_049)] {
        refused(&server, "/experiments/create", create(wrong), (400, "INVALID_PARAMETER_VALUE", "")).await;
    }
    let id = ok(&server, "/experiments/create", create("s3://b/a")).await["experiment_id"].clone();
    let run = ok(&server, "/runs/create", json!({"experiment_id": id, "start_time": 1})).await;
    assert!(run["run"]["info"]["artifact_uri"].as_str().unwrap().starts_with("s3://b/a/"));
    let id = ok(&server, "/experiments/create", create("here")).await["experiment_id"].clone();
    let found = get(&server, &format!("/experiments/get?experiment_id={}", id.as_str().unwrap())).await;
    let location = found["experiment"]["artifact_location"].as_str().unwrap().to_owned();
    assert!(location.starts_with('/') && location.ends_with("/here"), "{location}");
}
