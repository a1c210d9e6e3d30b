//! Versions: promotion through the gate, evaluation, the reference.

use reqwest::Method;
use serde_json::{Value, json};

use super::{at_rest, get, post, put, refused, version_of};
use crate::server::Server;

#[tokio::test]
async fn a_version_is_promoted_to_a_stage_or_an_alias() {
    let server = Server::start().await;
    version_of(&server, "late", "binary").await;
    let promote = async |body: Value| post(&server, "/models/late/versions/1/promote", body).await;
    assert_eq!(promote(json!({"pointer": "production", "reason": "first"})).await, (200, json!({})));
    assert_eq!(promote(json!({"pointer": "@blue"})).await, (200, json!({})));
    assert_eq!(promote(json!({"pointer": "@blue"})).await, (200, json!({})), "again is the same");
    let (status, mut shown) = get(&server, "/models/late/versions/1").await;
    shown["source"].take();
    let expect = json!({
        "version": "1", "stage": "Production", "aliases": ["blue"], "run_id": "[id]", "source": null, "status": "READY",
        "description": null, "created_us": "[time]", "trained_until": null,
    });
    assert_eq!((status, shown), (200, expect));
    let events = get(&server, "/events?after=-1").await.1["events"].clone();
    let moved: Vec<&Value> = events.as_array().unwrap().iter().filter(|one| one["kind"] == "pointer.moved").collect();
    assert_eq!(moved.len(), 2, "{events}");
    assert_eq!(
        (&moved[0]["payload"]["pointer"], &moved[0]["payload"]["reason"]),
        (&json!("Production"), &json!("first"))
    );

    refused(promote(json!({})).await, (400, "invalid", Some("pointer"), "missing field"));
    refused(promote(json!({"pointer": 1})).await, (400, "invalid", Some("pointer"), "a string"));
    refused(promote(json!({"pointer": "Live"})).await, (400, "invalid", Some("pointer"), "Live"));
    refused(promote(json!({"pointer": "Staging", "why": 1})).await, (400, "invalid", Some("why"), "unknown field"));
    for path in ["/models/late/versions/9", "/models/none/versions/1"] {
        refused(get(&server, path).await, (404, "not_found", None, "not found"));
        let answer = post(&server, &format!("{path}/promote"), json!({"pointer": "Staging"})).await;
        refused(answer, (404, "not_found", None, "not found"));
        refused(post(&server, &format!("{path}/evaluate"), json!({})).await, (404, "not_found", None, "not found"));
    }
    refused(get(&server, "/models/late/versions/one").await, (400, "invalid", Some("version"), "an integer"));
}

#[tokio::test]
async fn the_gate_refuses_what_is_not_proven_and_says_what_to_do() {
    let server = Server::start().await;
    version_of(&server, "late", "binary").await;
    put(&server, "/models/late/policy", json!({"mode": "required"})).await;
    let expect = json!({"error": {
        "kind": "precondition",
        "message": "the policy of model `late` refuses this: Production moves only with a fresh passing verdict, \
                    and version 1 has no verdict for Production",
        "hint": "evaluate it with `rondo model evaluate late 1`",
    }});
    let answer = post(&server, "/models/late/versions/1/promote", json!({"pointer": "Production"})).await;
    assert_eq!(answer, (409, expect));
    let open = post(&server, "/models/late/versions/1/promote", json!({"pointer": "Staging"})).await;
    assert_eq!(open, (200, json!({})), "a pointer that nobody guards");
    let wanted = post(&server, "/models/late/versions/1/evaluate", json!({})).await;
    assert_eq!(wanted, (200, json!({"pointers": ["Production"]})));
    assert_eq!(get(&server, "/loop").await.1["idle"], json!(false), "the evaluation waits");
}

#[tokio::test]
async fn a_reference_comes_from_rows() {
    let server = Server::turning().await;
    version_of(&server, "late", "binary").await;
    at_rest(&server).await;
    let path = "/models/late/versions/1/reference";
    refused(get(&server, path).await, (404, "not_found", None, "a reference of version `1`"));
    let rows: Vec<String> = (0..40).map(|row| format!("UA,{},{},", row % 24, 100 + row)).collect();
    let send = async |path: &str, body: String| {
        let request =
            server.request(Method::POST, &format!("/api/v1{path}")).header("content-type", "text/csv").body(body);
        server.send(request).await
    };
    let csv = format!("carrier,hour,distance,prev_delay\n{}\n", rows.join("\n"));
    assert_eq!(send(path, csv.clone()).await, (200, json!({"rows": 40})));
    let (status, profile) = get(&server, path).await;
    assert_eq!(status, 200, "{profile}");
    assert!(profile.to_string().contains("carrier"), "{profile}");
    at_rest(&server).await;
    let events = get(&server, "/models/late/history").await.1["events"].clone();
    let computed = events.as_array().unwrap().iter().find(|one| one["kind"] == "reference.computed").unwrap();
    assert_eq!(computed["payload"], json!({"version": "1", "rows": 40, "source": "rows passed by the caller"}));
    assert_eq!(computed["actor"], "person:anonymous");

    refused(send("/models/late/versions/9/reference", csv).await, (404, "not_found", None, "not found"));
    let (status, answer) = send(path, "carrier,hour\nUA,1\n".to_owned()).await;
    refused((status, answer), (400, "invalid", Some("distance"), "distance"));
    let parquet = server.request(Method::POST, &format!("/api/v1{path}"));
    let parquet = parquet.header("content-type", "application/vnd.apache.parquet").body("not parquet");
    refused(server.send(parquet).await, (400, "invalid", Some("body"), "not readable"));
}
