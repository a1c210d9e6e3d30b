//! The audit trail, and the loop at rest.

use serde_json::{Value, json};

use super::{at_rest, get, post, put, refused, version_of};
use crate::server::Server;

#[tokio::test]
async fn the_trail_is_read_after_a_position_or_from_its_end() {
    let server = Server::start().await;
    assert_eq!(get(&server, "/events").await, (200, json!({"events": []})));
    for name in ["a", "b", "c"] {
        put(&server, &format!("/deployments/{name}"), json!({"pointer": "models:/late/Production"})).await;
    }
    let event = |seq: i64, name: &str| {
        json!({
            "seq": seq, "at_us": "[time]", "actor": "person:anonymous", "kind": "deployment.created",
            "subject": format!("deployment/{name}"), "model": "late",
            "payload": {"pointer": "models:/late/Production", "config": {"extra_columns": "refuse"}},
        })
    };
    let all = [event(0, "a"), event(1, "b"), event(2, "c")];
    let back = [event(2, "c"), event(1, "b"), event(0, "a")];
    for (query, expect) in [
        ("", &back[..]),
        ("?limit=2", &back[..2]),
        ("?after=-1", &all[..]),
        ("?after=0", &all[1..]),
        ("?after=0&limit=1", &all[1..2]),
        ("?after=2", &[]),
        ("?after=-1&limit=0", &all[..1]),
    ] {
        assert_eq!(get(&server, &format!("/events{query}")).await, (200, json!({"events": expect})), "{query}");
    }
    refused(get(&server, "/events?after=first").await, (400, "invalid", Some("after"), "invalid digit"));
    refused(get(&server, "/events?limit=x").await, (400, "invalid", Some("limit"), "invalid digit"));
}

#[tokio::test]
async fn the_loop_says_what_is_left_and_comes_to_rest() {
    let still = Server::start().await;
    assert_eq!(get(&still, "/loop").await, (200, json!({"idle": true, "pending": []})));
    put(&still, "/deployments/late", json!({"pointer": "models:/late/Production"})).await;
    let (_, left) = get(&still, "/loop").await;
    assert_eq!((&left["idle"], left["pending"].as_array().unwrap().len()), (&json!(false), 8), "{left}");
    assert_eq!(left["pending"][0], "admit-version has 1 events to look at");

    let turning = Server::turning().await;
    version_of(&turning, "late", "binary").await;
    put(&turning, "/deployments/late", json!({"pointer": "models:/late/Production"})).await;
    post(&turning, "/models/late/versions/1/promote", json!({"pointer": "Production"})).await;
    at_rest(&turning).await;
    assert_eq!(get(&turning, "/loop").await, (200, json!({"idle": true, "pending": []})));
    let events = get(&turning, "/events").await.1["events"].clone();
    let rolled: Vec<&Value> =
        events.as_array().unwrap().iter().filter(|one| one["kind"] == "deployment.rolled").collect();
    assert_eq!(rolled.len(), 1, "{events}");
    let payload = &rolled[0]["payload"];
    assert_eq!((&payload["from"], &payload["to"]), (&Value::Null, &json!("1")));
}
