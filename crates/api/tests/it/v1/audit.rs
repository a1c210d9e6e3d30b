//! The trail as evidence, over HTTP.

use serde_json::{Value, json};

use super::{get, put};
use crate::server::Server;

#[tokio::test]
async fn a_trail_is_checked_and_exported() {
    let server = Server::start().await;
    assert_eq!(
        get(&server, "/audit/verify").await,
        (200, json!({"whole": true, "events": 0, "head": {"seq": -1, "hash": ""}}))
    );
    for mode in ["required", "advisory", "off"] {
        assert_eq!(put(&server, "/models/m/policy", json!({"mode": mode})).await.0, 200);
    }
    let (status, answer) = server.get("/api/v1/audit/verify").await;
    let head = answer["head"]["hash"].as_str().unwrap().to_owned();
    assert_eq!((status, &answer["whole"], &answer["events"]), (200, &json!(true), &json!(3)), "{answer}");

    let (status, lines) = server.get("/api/v1/audit/export?after=0").await;
    let lines: Vec<Value> = lines.as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((status, lines.len()), (200, 2));
    assert_eq!((&lines[1]["seq"], &lines[1]["kind"]), (&json!(2), &json!("policy.changed")));
    assert_eq!((&lines[1]["hash"], &lines[1]["payload"]["policy"]["mode"]), (&json!(head), &json!("off")));

    let asked = &server;
    let verify = |expect: String| async move { asked.get(&format!("/api/v1/audit/verify?expect={expect}")).await };
    assert_eq!(verify(format!("2:{head}")).await.1["whole"], true);
    assert_eq!(verify("2:0000".to_owned()).await.1["broken"]["seq"], 2);
    let (status, answer) = verify("two".to_owned()).await;
    assert_eq!((status, &answer["error"]["field"]), (400, &json!("expect")));
}
