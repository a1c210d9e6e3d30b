//! Registered models and aliases on the wire.

use reqwest::Method;
use serde_json::{Value, json};

use super::{API, get, ok, refused, send};
use crate::server::Server;

const NOT_FOUND: (u16, &str, &str) = (404, "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=nope not found");

#[tokio::test]
async fn a_registered_model_lives() {
    let server = Server::start().await;
    let tags = json!([{"key": "team", "value": "a"}]);
    let new = json!({"name": "m", "description": "text", "tags": tags});
    let made = ok(&server, "/registered-models/create", new.clone()).await["registered_model"].clone();
    assert_eq!((&made["name"], &made["description"], &made["tags"]), (&json!("m"), &json!("text"), &tags));
    assert!(made["creation_timestamp"].is_i64() && made["last_updated_timestamp"].is_i64());
    assert_eq!(made.get("latest_versions"), None, "empty lists are left out");
    let taken = (400, "RESOURCE_ALREADY_EXISTS", "Registered Model (name=m) already exists.");
    refused(&server, "/registered-models/create", new, taken).await;
    assert_eq!(get(&server, "/registered-models/get?name=m").await["registered_model"], made);

    let changed = json!({"name": "m", "description": "other"});
    let (_, changed) = send(&server, Method::PATCH, "/registered-models/update", changed).await;
    assert_eq!(changed["registered_model"]["description"], "other");
    ok(&server, "/registered-models/set-tag", json!({"name": "m", "key": "k", "value": ""})).await;
    let gone = json!({"name": "m", "key": "team"});
    assert_eq!(send(&server, Method::DELETE, "/registered-models/delete-tag", gone).await, (200, json!({})));
    let renamed = ok(&server, "/registered-models/rename", json!({"name": "m", "new_name": "n"})).await;
    let renamed = &renamed["registered_model"];
    assert_eq!((&renamed["name"], &renamed["tags"]), (&json!("n"), &json!([{"key": "k", "value": ""}])));
    let answer = send(&server, Method::DELETE, "/registered-models/delete", json!({"name": "n"})).await;
    assert_eq!(answer, (200, json!({})));
    assert_eq!(get(&server, "/registered-models/search").await, json!({}));
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named() {
    let server = Server::start().await;
    let invalid = "INVALID_PARAMETER_VALUE";
    for (path, body, expect) in [
        ("/registered-models/create", json!({}), (400, invalid, "Missing value for required parameter 'name'.")),
        (
            "/registered-models/create",
            json!({"name": " "}),
            (400, invalid, "Missing value for required parameter 'name'"),
        ),
        ("/registered-models/create", json!({"name": "a/b"}), (400, invalid, "Names cannot contain '/' or ':'")),
        (
            "/registered-models/create",
            json!({"name": 7}),
            (400, invalid, "Invalid value 7 for parameter 'name' supplied"),
        ),
        ("/registered-models/rename", json!({"name": "nope", "new_name": ""}), (400, invalid, "'new_name'")),
        ("/registered-models/rename", json!({"name": "nope", "new_name": "x"}), NOT_FOUND),
        ("/registered-models/set-tag", json!({"name": "nope", "key": "k", "value": "v"}), NOT_FOUND),
        ("/registered-models/get-latest-versions", json!({"name": "nope"}), NOT_FOUND),
        (
            "/registered-models/get-latest-versions",
            json!({"name": "nope", "stages": ["Live"]}),
            (
                400,
                invalid,
                "Invalid Model Version stage: Live. Value must be one of None, Staging, Production, Archived.",
            ),
        ),
    ] {
        refused(&server, path, body, expect).await;
    }
    let long = "x".repeat(100_001);
    ok(&server, "/registered-models/create", json!({"name": "m"})).await;
    let body = json!({"name": "m", "key": "k", "value": long});
    refused(&server, "/registered-models/set-tag", body, (400, invalid, "'value' exceeds the maximum length")).await;
    let (status, answer) = server.get(&format!("{API}/registered-models/search?max_results=1001")).await;
    assert_eq!((status, &answer["error_code"]), (400, &json!(invalid)));
}

#[tokio::test]
async fn an_alias_is_set_read_and_deleted_at_one_path() {
    let server = Server::start().await;
    super::a_version(&server, "m").await;
    let alias = json!({"name": "m", "alias": "champion", "version": "1"});
    assert_eq!(ok(&server, "/registered-models/alias", alias).await, json!({}));
    let found = get(&server, "/registered-models/alias?name=m&alias=champion").await["model_version"].clone();
    assert_eq!((&found["version"], &found["aliases"]), (&json!("1"), &json!(["champion"])));
    let model = get(&server, "/registered-models/get?name=m").await["registered_model"].clone();
    assert_eq!(model["aliases"], json!([{"alias": "champion", "version": "1"}]));
    assert_eq!(model["latest_versions"][0]["version"], "1");
    let body = json!({"name": "m", "alias": "champion"});
    assert_eq!(send(&server, Method::DELETE, "/registered-models/alias", body).await, (200, json!({})));
    let (status, answer) = server.get(&format!("{API}/registered-models/alias?name=m&alias=champion")).await;
    let text = "Registered model alias champion not found.";
    assert_eq!((status, answer), (400, json!({"error_code": "INVALID_PARAMETER_VALUE", "message": text})));
    let reserved = json!({"name": "m", "alias": "Latest", "version": "1"});
    let expect = (400, "INVALID_PARAMETER_VALUE", "'latest' alias name (case insensitive) is reserved.");
    refused(&server, "/registered-models/alias", reserved, expect).await;
}

#[tokio::test]
async fn models_are_searched_in_pages_and_prompts_are_hidden() {
    let server = Server::start().await;
    for name in ["a", "b", "c"] {
        ok(&server, "/registered-models/create", json!({"name": name})).await;
    }
    let prompt = json!([{"key": "mlflow.prompt.is_prompt", "value": "true"}]);
    ok(&server, "/registered-models/create", json!({"name": "greeting", "tags": prompt})).await;
    let names = |answer: &Value| -> Vec<String> {
        let found = answer["registered_models"].as_array().unwrap().iter();
        found.map(|model| model["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = get(&server, "/registered-models/search?max_results=2&order_by=name+DESC").await;
    assert_eq!(names(&first), ["c", "b"]);
    let token = first["next_page_token"].as_str().unwrap().replace('=', "%3D");
    let query = format!("/registered-models/search?max_results=2&order_by=name+DESC&page_token={token}");
    let second = get(&server, &query).await;
    assert_eq!((names(&second), second.get("next_page_token")), (vec!["a".to_owned()], None));
    let asked = "/registered-models/search?filter=tags.%60mlflow.prompt.is_prompt%60+%3D+%27true%27";
    assert_eq!(names(&get(&server, asked).await), ["greeting"]);
}
