//! Outcomes: in any order, repeated, revised, before their prediction.

use serde_json::{Value, json};

use super::{get, post, predict, refused, serving};
use crate::server::Server;

#[tokio::test]
async fn the_truth_observed_last_counts_in_whatever_order_it_comes() {
    let server = serving().await;
    let tell = async |value: Value, observed: &str| {
        let body = json!({"outcomes": [{"prediction_id": "p0", "value": value, "observed_at": observed}]});
        assert_eq!(post(&server, "/outcomes", body).await, (200, json!({"accepted": 1})));
    };
    tell(json!(1), "2013-03-03T00:00:00Z").await;
    predict(&server, &["2013-03-01T05:00:00Z"]).await;
    let labelled = async || server.get("/api/v1/deployments/late/labelled").await.1.as_str().unwrap().to_owned();
    assert!(labelled().await.ends_with(",1,2013-03-03T00:00:00Z\n"), "it came before its prediction");
    tell(json!(0), "2013-03-02T00:00:00Z").await;
    assert!(labelled().await.ends_with(",1,2013-03-03T00:00:00Z\n"), "an older truth changes nothing");
    tell(json!(0), "2013-03-04T00:00:00Z").await;
    tell(json!(0), "2013-03-04T00:00:00Z").await;
    assert!(labelled().await.ends_with(",0,2013-03-04T00:00:00Z\n"), "a revision does");
    let outcomes = get(&server, "/predictions/p0").await.1["outcomes"].clone();
    let seen: Vec<&Value> = outcomes.as_array().unwrap().iter().map(|one| &one["observed_at"]).collect();
    assert!(seen.len() >= 3, "{outcomes}");
    assert_eq!(outcomes[0]["received_at"], "[time]");
}

#[tokio::test]
async fn every_kind_of_truth_is_taken() {
    let server = Server::start().await;
    let one = |id: &str, value: Value| json!({"prediction_id": id, "value": value});
    let body =
        json!({"outcomes": [one("a", json!(1.5)), one("b", json!(true)), one("c", json!("late")), one("d", json!(0))]});
    assert_eq!(post(&server, "/outcomes", body).await, (200, json!({"accepted": 4})));
    assert_eq!(post(&server, "/outcomes", json!({"outcomes": []})).await, (200, json!({"accepted": 0})));
}

#[tokio::test]
async fn one_bad_outcome_refuses_all_and_is_named() {
    let server = serving().await;
    predict(&server, &["2013-03-01T05:00:00Z"]).await;
    let good = json!({"prediction_id": "p0", "value": 1});
    for (bad, field) in [
        (json!({"prediction_id": "", "value": 1}), "outcomes[1].prediction_id"),
        (json!({"prediction_id": "x".repeat(513), "value": 1}), "outcomes[1].prediction_id"),
        (json!({"prediction_id": 5, "value": 1}), "outcomes[1].prediction_id"),
        (json!({"value": 1}), "outcomes[1].prediction_id"),
        (json!({"prediction_id": "x", "value": null}), "outcomes[1].value"),
        (json!({"prediction_id": "x", "value": [1]}), "outcomes[1].value"),
        (json!({"prediction_id": "x"}), "outcomes[1].value"),
        (json!({"prediction_id": "x", "value": 1, "observed_at": "soon"}), "outcomes[1].observed_at"),
        (json!({"prediction_id": "x", "value": 1, "when": 1}), "outcomes[1].when"),
    ] {
        let answer = post(&server, "/outcomes", json!({"outcomes": [good, bad]})).await;
        refused(answer, (400, "invalid", Some(field), ""));
    }
    refused(post(&server, "/outcomes", json!({})).await, (400, "invalid", Some("outcomes"), "missing field"));
    refused(post(&server, "/outcomes", json!({"outcomes": 1})).await, (400, "invalid", Some("outcomes"), "a sequence"));
    let many = vec![good; 100_001];
    refused(
        post(&server, "/outcomes", json!({"outcomes": many})).await,
        (400, "invalid", Some("outcomes"), "at most 100000"),
    );
    assert_eq!(get(&server, "/predictions/p0").await.1["outcomes"], json!([]), "nothing of a refused request is kept");
}
