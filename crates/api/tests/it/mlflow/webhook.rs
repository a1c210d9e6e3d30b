//! Webhooks of the registry: what is kept, what is refused, and what arrives at a receiver.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use super::{a_version, get, ok, refused, send};
use crate::server::Server;

struct Inbox {
    /// The answers that are still to be given; 200 when there is none left.
    answers: Mutex<Vec<u16>>,
    calls: mpsc::UnboundedSender<(HeaderMap, Value)>,
}

async fn receive(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    inbox.calls.send((headers, serde_json::from_slice(&body).unwrap())).unwrap();
    StatusCode::from_u16(inbox.answers.lock().await.pop().unwrap_or(200)).unwrap()
}

/// A receiver that gives these answers, the last one first.
async fn receiver(answers: Vec<u16>) -> (String, mpsc::UnboundedReceiver<(HeaderMap, Value)>) {
    let (calls, received) = mpsc::unbounded_channel();
    let inbox = Arc::new(Inbox { answers: Mutex::new(answers), calls });
    let routes = axum::Router::new().fallback(receive).with_state(inbox);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    kernel::task::spawn("test-receiver", async move { axum::serve(listener, routes).await.unwrap() });
    (url, received)
}

fn hook(url: &str, entity: &str, action: &str) -> Value {
    json!({"name": "ci", "url": url, "secret": "s3cret", "events": [{"entity": entity, "action": action}]})
}

#[tokio::test]
async fn a_webhook_is_kept_without_ever_showing_its_secret() {
    let server = Server::calling_home().await;
    let made = ok(&server, "/webhooks", hook("http://127.0.0.1:1/x", "MODEL_VERSION_TAG", "SET")).await;
    let made = &made["webhook"];
    assert_eq!(made["events"], json!([{"entity": "MODEL_VERSION_TAG", "action": "SET"}]));
    assert_eq!((&made["status"], made.get("secret"), made.get("description")), (&json!("ACTIVE"), None, None));
    let path = format!("/webhooks/{}", made["webhook_id"].as_str().unwrap());
    assert_eq!(get(&server, &path).await["webhook"], *made);
    assert_eq!(get(&server, "/webhooks").await["webhooks"], json!([made]));
    let change = json!({"status": "DISABLED", "description": "d", "events": [{"entity": 1, "action": 1}]});
    let (status, changed) = send(&server, Method::PATCH, &path, change).await;
    assert_eq!(status, 200, "{changed}");
    let changed = &changed["webhook"];
    assert_eq!((&changed["status"], &changed["description"]), (&json!("DISABLED"), &json!("d")));
    assert_eq!(changed["events"], json!([{"entity": "REGISTERED_MODEL", "action": "CREATED"}]));
    assert_eq!(send(&server, Method::DELETE, &path, json!({})).await, (200, json!({})));
    let (status, answer) = send(&server, Method::GET, &path, json!({})).await;
    assert_eq!((status, &answer["error_code"]), (404, &json!("RESOURCE_DOES_NOT_EXIST")));
}

#[tokio::test]
async fn places_that_are_not_public_are_refused_unless_the_configuration_allows_them() {
    let server = Server::start().await;
    let expect = |part| (400, "INVALID_PARAMETER_VALUE", part);
    for url in [
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://0177.0.0.1/x",
        "https://2130706433/x",
        "https://localhost/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x",
        "https://user@192.168.0.1:8443/x",
        "https://[fd00::1]/x",
    ] {
        refused(&server, "/webhooks", hook(url, "PROMPT", "CREATED"), expect("is not a public address")).await;
    }
    refused(&server, "/webhooks", hook("http://1.1.1.1/x", "PROMPT", "CREATED"), expect("only https is called")).await;
    refused(&server, "/webhooks", hook("file:///etc/passwd", "PROMPT", "CREATED"), expect("only https is called"))
        .await;
    refused(&server, "/webhooks", hook("no url", "PROMPT", "CREATED"), expect("it is not a URL")).await;
    let open = ok(&server, "/webhooks", hook("https://1.1.1.1/x", "PROMPT", "CREATED")).await;
    let path = format!("/webhooks/{}", open["webhook"]["webhook_id"].as_str().unwrap());
    let (status, answer) = send(&server, Method::PATCH, &path, json!({"url": "https://127.0.0.1/x"})).await;
    assert_eq!(status, 400, "{answer}");
    refused(
        &server,
        "/webhooks",
        hook("https://1.1.1.1/x", "PROMPT", "SET"),
        expect("Invalid webhook event 'prompt.set'"),
    )
    .await;
    refused(&server, "/webhooks", hook("https://1.1.1.1/x", "MODEL", "SET"), expect("events[0].entity")).await;
    let nothing = json!({"name": "ci", "url": "https://1.1.1.1/x", "events": []});
    refused(&server, "/webhooks", nothing, expect("Missing value for required parameter 'events'")).await;
}

#[tokio::test]
async fn what_happens_is_delivered_once_it_is_taken_and_signed() {
    let server = Server::calling_home().await;
    let (url, mut received) = receiver(vec![200, 503]).await;
    ok(&server, "/webhooks", hook(&url, "MODEL_VERSION_ALIAS", "CREATED")).await;
    let version = a_version(&server, "flights").await;
    ok(&server, "/registered-models/alias", json!({"name": "flights", "alias": "champion", "version": version})).await;
    let (first, body) = received.recv().await.unwrap();
    assert_eq!((&body["entity"], &body["action"]), (&json!("model_version_alias"), &json!("created")));
    assert_eq!(body["data"], json!({"name": "flights", "alias": "champion", "version": "1"}));
    let (again, same) = received.recv().await.unwrap();
    assert_eq!((&again["x-mlflow-delivery-id"], &same), (&first["x-mlflow-delivery-id"], &body), "503 is tried again");
    assert!(again["x-mlflow-signature"].to_str().unwrap().starts_with("v1,"));
    assert_eq!(again["content-type"], "application/json");
}

#[tokio::test]
async fn a_test_says_what_came_back() {
    let server = Server::calling_home().await;
    let (url, mut received) = receiver(vec![404, 200]).await;
    let made = ok(&server, "/webhooks", hook(&url, "PROMPT_TAG", "SET")).await;
    let path = format!("/webhooks/{}/test", made["webhook"]["webhook_id"].as_str().unwrap());
    let answer = ok(&server, &path, json!({})).await;
    assert_eq!(answer["result"], json!({"success": true, "response_status": 200, "response_body": ""}));
    let data = json!({"name": "example_prompt", "key": "example_key", "value": "example_value"});
    assert_eq!(received.recv().await.unwrap().1["data"], data);
    let answer = ok(&server, &path, json!({"event": {"entity": "PROMPT", "action": "CREATED"}})).await;
    assert_eq!((&answer["result"]["success"], &answer["result"]["response_status"]), (&json!(false), &json!(404)));
    assert_eq!(received.recv().await.unwrap().1["entity"], "prompt");
}
