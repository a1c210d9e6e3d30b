//! Deployments: put, look, delete; event time, the labelled log, one prediction.

use reqwest::Method;
use serde_json::{Value, json};

use super::{at_rest, delete, get, post, predict, put, refused, serving, version_of};
use crate::server::Server;

fn shown(changes: Value) -> Value {
    let mut shown = json!({
        "name": "late", "pointer": "models:/late/Production", "model": "late", "config": {"extra_columns": "refuse"},
        "state": "empty", "version": null, "since_us": null, "failure": null, "draining": 0, "predictions": 0,
        "outcomes": 0, "errors": 0, "watermark": null, "newest_event": null, "created_us": "[time]",
        "predict_url": "http://127.0.0.1:5000/deployments/late/predict",
    });
    shown.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    shown
}

#[tokio::test]
async fn a_deployment_put_again_is_the_same_and_put_differently_is_refused() {
    let server = Server::start().await;
    assert_eq!(get(&server, "/deployments").await, (200, json!({"deployments": []})));
    let body = json!({"pointer": "models:/late/Production"});
    assert_eq!(put(&server, "/deployments/late", body.clone()).await, (200, shown(json!({}))));
    assert_eq!(put(&server, "/deployments/late", body.clone()).await, (200, shown(json!({}))));
    for other in [
        json!({"pointer": "models:/late@champion"}),
        json!({"pointer": "models:/late/Production", "config": {"max_rows": 5}}),
    ] {
        refused(put(&server, "/deployments/late", other).await, (409, "already_exists", None, "exists already"));
    }
    assert_eq!(get(&server, "/deployments/late").await, (200, shown(json!({}))));
    assert_eq!(get(&server, "/deployments").await, (200, json!({"deployments": [shown(json!({}))]})));
    let kinds: Vec<Value> =
        get(&server, "/events").await.1["events"].as_array().unwrap().iter().map(|one| one["kind"].clone()).collect();
    assert_eq!(kinds, ["deployment.created"]);

    assert_eq!(delete(&server, "/deployments/late").await, (200, json!({})));
    refused(delete(&server, "/deployments/late").await, (404, "not_found", None, "no deployment is named `late`"));
    refused(get(&server, "/deployments/late").await, (404, "not_found", None, "no deployment is named `late`"));
}

#[tokio::test]
async fn a_deployment_that_cannot_be_is_refused_by_its_field() {
    let server = Server::start().await;
    for (path, body, field) in [
        ("late", json!({}), "pointer"),
        ("late", json!({"pointer": 3}), "pointer"),
        ("late", json!({"pointer": "late"}), "pointer"),
        ("late", json!({"pointer": "models:/late/Live"}), "pointer"),
        ("late", json!({"pointer": "models:/late/Production", "config": {"max_rows": "many"}}), "config.max_rows"),
        (
            "late",
            json!({"pointer": "models:/late/Production", "config": {"extra_columns": "keep"}}),
            "config.extra_columns",
        ),
        ("late", json!({"pointer": "models:/late/Production", "config": {"rows": 1}}), "config.rows"),
        ("late", json!({"pointer": "models:/late/Production", "target": 1}), "target"),
        ("a%20b", json!({"pointer": "models:/late/Production"}), "name"),
    ] {
        refused(put(&server, &format!("/deployments/{path}"), body).await, (400, "invalid", Some(field), ""));
    }
    let broken = server.request(Method::PUT, "/api/v1/deployments/late").body("{\"pointer\": ");
    refused(server.send(broken).await, (400, "invalid", Some("body"), "EOF"));
    let twice =
        server.request(Method::PUT, "/api/v1/deployments/late").body("{\"pointer\": \"models:/late/Production\"} {}");
    refused(server.send(twice).await, (400, "invalid", Some("body"), "trailing"));
    assert_eq!(get(&server, "/deployments").await, (200, json!({"deployments": []})));
}

#[tokio::test]
async fn what_is_served_can_be_looked_up_and_read_with_its_outcomes() {
    let server = serving().await;
    predict(&server, &["2013-03-01T05:00:00Z", "2013-03-02T05:00:00Z", "2013-03-03T05:00:00Z"]).await;
    let found = server.get("/api/v1/predictions/p1").await.1;
    let score = found["score"].as_f64().unwrap();
    let (status, mut answer) = get(&server, "/predictions/p1").await;
    answer["score"].take();
    let expect = json!({
        "id": "p1", "deployment": "late", "model": "late", "version": "1", "event_time": "2013-03-02T05:00:00Z",
        "received_at": "[time]", "latency_us": "[time]", "score": null, "outcomes": [],
        "inputs": {"carrier": "UA", "hour": 11.0, "distance": 1700.0, "prev_delay": null},
    });
    assert_eq!((status, answer), (200, expect));
    refused(get(&server, "/predictions/none").await, (404, "not_found", None, "prediction `none`"));

    let truth =
        |id: &str, value: bool| json!({"prediction_id": id, "value": value, "observed_at": "2013-03-04T00:00:00Z"});
    let outcomes = json!({"outcomes": [truth("p2", true), truth("p1", false)]});
    assert_eq!(post(&server, "/outcomes", outcomes).await, (200, json!({"accepted": 2})));
    let line = |id: &str, day: u32, value: u8| {
        format!("{id},2013-03-0{day}T05:00:00Z,1,UA,11,1700,,{score},{value},2013-03-04T00:00:00Z\n")
    };
    let header = "prediction_id,event_time,version,carrier,hour,distance,prev_delay,score,outcome,observed\n";
    let both = format!("{header}{}{}", line("p1", 2, 0), line("p2", 3, 1));
    let labelled = async |query: &str| server.get(&format!("/api/v1/deployments/late/labelled{query}")).await;
    assert_eq!(labelled("").await, (200, json!(both)));
    assert_eq!(labelled("?until=2013-03-03T05:00:00Z").await, (200, json!(format!("{header}{}", line("p1", 2, 0)))));
    assert_eq!(labelled("?from=2013-03-03T05:00:00Z").await, (200, json!(format!("{header}{}", line("p2", 3, 1)))));
    assert_eq!(labelled("?limit=1&version=1").await, (200, json!(format!("{header}{}", line("p2", 3, 1)))));
    assert_eq!(
        labelled("?version=7").await.1.as_str().unwrap().lines().count(),
        1,
        "no row of a version that served none"
    );
    refused(labelled("?from=soon").await, (400, "invalid", Some("from"), "no point in time"));
    refused(labelled("?until=later").await, (400, "invalid", Some("until"), "no point in time"));
    refused(labelled("?limit=-1").await, (400, "invalid", Some("limit"), ""));
    refused(
        get(&server, "/deployments/none/labelled").await,
        (404, "not_found", None, "no deployment is named `none`"),
    );
}

#[tokio::test]
async fn the_watermark_only_moves_forward_and_only_for_what_is_deployed() {
    let server = Server::start().await;
    put(&server, "/deployments/late", json!({"pointer": "models:/late/Production"})).await;
    let advance = async |time: Value| post(&server, "/deployments/late/watermark", json!({"event_time": time})).await;
    let at = |text: &str| (200, json!({"watermark": text}));
    assert_eq!(advance(json!("2013-03-01T05:00:00Z")).await, at("2013-03-01T05:00:00Z"));
    assert_eq!(advance(json!(1_362_200_400)).await, at("2013-03-02T05:00:00Z"), "seconds since the epoch");
    assert_eq!(advance(json!("2013-01-01T00:00:00Z")).await, at("2013-03-02T05:00:00Z"), "never back");
    for bad in [json!("soon"), json!(null), json!(true), json!([1])] {
        refused(advance(bad).await, (400, "invalid", Some("event_time"), "no point in time"));
    }
    let ahead = advance(json!("2999-01-01T00:00:00Z")).await;
    refused(ahead, (400, "invalid", Some("event_time"), "more than a day ahead of the clock"));
    refused(post(&server, "/deployments/late/watermark", json!({})).await, (400, "invalid", Some("event_time"), ""));
    assert_eq!(get(&server, "/deployments/late").await.1["watermark"], "2013-03-02T05:00:00Z");
    let nobody = post(&server, "/deployments/none/watermark", json!({"event_time": 1})).await;
    refused(nobody, (404, "not_found", None, "no deployment is named `none`"));
}

#[tokio::test]
async fn a_deployment_that_is_deleted_serves_no_more_and_can_be_made_again() {
    let server = serving().await;
    let ready = shown(json!({"state": "ready", "version": "1", "since_us": "[time]"}));
    assert_eq!(get(&server, "/deployments/late").await, (200, ready.clone()));
    version_of(&server, "late", "binary").await;
    at_rest(&server).await;
    delete(&server, "/deployments/late").await;
    post(&server, "/models/late/versions/2/promote", json!({"pointer": "Production"})).await;
    at_rest(&server).await;
    let body = json!({"rows": [{"carrier": "UA", "hour": 11, "distance": 1700.0}]});
    assert_eq!(server.post("/deployments/late/predict", &body).await.0, 404);
    put(&server, "/deployments/late", json!({"pointer": "models:/late/Production"})).await;
    at_rest(&server).await;
    let again = shown(json!({"state": "ready", "version": "2", "since_us": "[time]"}));
    assert_eq!(get(&server, "/deployments/late").await, (200, again));
}
