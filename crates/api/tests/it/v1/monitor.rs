//! Monitors: the definition without its secret, windows, alerts.

use serde_json::{Value, json};

use super::{at_rest, delete, get, post, predict, put, refused, serving};
use crate::server::Server;

const DAY_US: i64 = 86_400_000_000;

async fn deployed() -> Server {
    let server = Server::start().await;
    put(&server, "/deployments/late", json!({"pointer": "models:/late/Production"})).await;
    server
}

#[tokio::test]
async fn a_definition_is_told_without_its_secret() {
    let server = deployed().await;
    let rule = json!({"name": "drift", "on": "drift", "metric": "share", "threshold": 0.5});
    let body = json!({
        "deployment": "late", "window_us": DAY_US, "rules": [rule], "webhook": "https://example.org/hook",
        "webhook_secret": "sesame",
    });
    let definition = json!({
        "name": "late", "deployment": "late", "window_us": DAY_US, "offset_us": 0, "lateness_us": 600_000_000,
        "outcome_delay_us": DAY_US, "min_rows": 200, "webhook": "https://example.org/hook",
        "rules": [{
            "name": "drift", "on": "drift", "metric": "share", "threshold": 0.5, "severity": "warning",
            "enter": {"windows": 2, "of": 3}, "leave": {"windows": 3, "factor": 0.8},
        }],
    });
    assert_eq!(
        server.send(server.request(reqwest::Method::PUT, "/api/v1/monitors/late").json(&body)).await,
        (200, definition.clone())
    );
    assert_eq!(server.get("/api/v1/monitors/late").await, (200, definition.clone()));
    let listed = json!({"monitors": [
        {"name": "late", "deployment": "late", "firing": [], "last_window_us": null, "definition": definition},
    ]});
    assert_eq!(server.get("/api/v1/monitors").await, (200, listed));
    assert_eq!(get(&server, "/monitors/late/windows").await, (200, json!({"windows": []})));
    assert_eq!(get(&server, "/alerts").await, (200, json!({"alerts": []})));
    let (_, events) = get(&server, "/events").await;
    assert!(!events.to_string().contains("sesame"), "{events}");

    assert_eq!(delete(&server, "/monitors/late").await, (200, json!({})));
    for answer in [
        delete(&server, "/monitors/late").await,
        get(&server, "/monitors/late").await,
        get(&server, "/monitors/late/windows").await,
    ] {
        refused(answer, (404, "not_found", None, "late"));
    }
}

#[tokio::test]
async fn a_definition_that_is_wrong_is_refused_by_its_field() {
    let server = deployed().await;
    let rule = |changes: Value| {
        let mut rule = json!({"name": "drift", "on": "drift", "metric": "share", "threshold": 0.5});
        rule.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({"deployment": "late", "rules": [rule]})
    };
    for (body, field) in [
        (json!({}), "deployment"),
        (json!({"deployment": 5}), "deployment"),
        (json!({"deployment": "late", "window_us": "a day"}), "window_us"),
        (json!({"deployment": "late", "window_us": 1}), "window_us"),
        (json!({"deployment": "late", "lateness_us": -1}), "lateness_us"),
        (json!({"deployment": "late", "min_rows": 3}), "min_rows"),
        (json!({"deployment": "late", "webhook": "ftp://x"}), "webhook"),
        (json!({"deployment": "late", "windows": 5}), "windows"),
        (rule(json!({"on": "weather"})), "rules[0].on"),
        (rule(json!({"op": "beside"})), "rules[0].op"),
        (rule(json!({"metric": "auc"})), "rules[0].metric"),
        (rule(json!({"enter": {"windows": "two", "of": 3}})), "rules[0].enter.windows"),
        (rule(json!({"speed": 5})), "rules[0].speed"),
        (json!({"deployment": "late", "rules": [{"on": "drift", "metric": "share"}]}), "rules[0].name"),
    ] {
        refused(put(&server, "/monitors/late", body).await, (400, "invalid", Some(field), ""));
    }
    let nowhere = put(&server, "/monitors/late", json!({"deployment": "none"})).await;
    refused(nowhere, (404, "not_found", None, "no deployment is named `none`"));
    refused(
        put(&server, "/monitors/a%20b", json!({"deployment": "late"})).await,
        (400, "invalid", Some("name"), "a b"),
    );
    assert_eq!(get(&server, "/monitors").await, (200, json!({"monitors": []})));
}

#[tokio::test]
async fn windows_come_oldest_first_and_the_final_report_stands_in_for_the_first() {
    let server = serving().await;
    let body = json!({"deployment": "late", "window_us": DAY_US, "start_us": 1_362_096_000_000_000_i64, "rules": []});
    assert_eq!(put(&server, "/monitors/late", body).await.0, 200);
    predict(&server, &["2013-03-01T05:00:00Z", "2013-03-01T06:00:00Z", "2013-03-02T00:05:00Z"]).await;
    let reach = async |time: &str| {
        post(&server, "/deployments/late/watermark", json!({"event_time": time})).await;
        at_rest(&server).await;
        let windows = server.get("/api/v1/monitors/late/windows").await.1["windows"].clone();
        let told = |one: &Value| (one["from_us"].as_i64().unwrap(), one["n"].clone(), one["kind"].clone());
        windows.as_array().unwrap().iter().map(told).collect::<Vec<_>>()
    };
    let first = 1_362_096_000_000_000;
    assert_eq!(reach("2013-03-01T23:00:00Z").await, [], "it has not closed");
    assert_eq!(reach("2013-03-02T00:00:00Z").await, [(first, json!(2), json!("drift"))]);
    let both = [(first, json!(2), json!("mature")), (first + DAY_US, json!(1), json!("drift"))];
    assert_eq!(reach("2013-03-03T00:00:00Z").await, both);
    let (_, last) = get(&server, "/monitors/late/windows?limit=1").await;
    assert_eq!((last["windows"].as_array().unwrap().len(), &last["windows"][0]["n"]), (1, &json!(1)));
    refused(get(&server, "/monitors/late/windows?limit=x").await, (400, "invalid", Some("limit"), ""));
    assert_eq!(server.get("/api/v1/monitors").await.1["monitors"][0]["last_window_us"], json!(first + 2 * DAY_US));
}
