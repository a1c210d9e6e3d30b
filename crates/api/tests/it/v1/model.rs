//! Models: the listing, the policy, the story, the approval.

use reqwest::Method;
use serde_json::{Value, json};

use super::{at_rest, get, mlflow, post, put, refused, send, version_of};
use crate::server::Server;

fn shipped() -> Value {
    json!({
        "mode": "advisory", "approve": "human", "guarded": ["Production", "@champion"], "max_age_us": 604_800_000_000_i64,
        "metric": "auto", "margin": 0.0, "min_rows": 200, "slices": [], "holdout_us": 1_209_600_000_000_i64,
    })
}

#[tokio::test]
async fn models_are_listed_with_what_is_in_production() {
    let server = Server::start().await;
    assert_eq!(get(&server, "/models").await, (200, json!({"models": []})));
    mlflow(&server, "/registered-models/create", json!({"name": "it's \"so\""})).await;
    version_of(&server, "late", "binary").await;
    version_of(&server, "late", "binary").await;
    mlflow(&server, "/registered-models/alias", json!({"name": "late", "alias": "next", "version": "2"})).await;
    post(&server, "/models/late/versions/1/promote", json!({"pointer": "Production"})).await;

    let (status, mut answer) = get(&server, "/models").await;
    for model in answer["models"].as_array_mut().unwrap() {
        assert_eq!(std::mem::take(&mut model["policy"]), shipped());
    }
    let expect = json!({"models": [
        {"name": "it's \"so\"", "description": null, "latest_version": null, "production_version": null, "aliases": {},
         "policy": null, "created_ms": "[time]"},
        {"name": "late", "description": null, "latest_version": "2", "production_version": "1", "aliases": {"next": "2"},
         "policy": null, "created_ms": "[time]"},
    ]});
    assert_eq!((status, answer), (200, expect));

    let (status, mut answer) = get(&server, "/models/late").await;
    for version in answer["versions"].as_array_mut().unwrap() {
        let source = version["source"].take();
        assert!(source.as_str().unwrap().starts_with("mlflow-artifacts:/0/"), "{source}");
    }
    let version = |number: &str, stage: &str, aliases: Value| {
        json!({
            "version": number, "stage": stage, "aliases": aliases, "run_id": "[id]", "source": null, "status": "READY",
            "description": null, "created_us": "[time]", "trained_until": null,
        })
    };
    let expect = json!({
        "name": "late", "description": null, "aliases": {"next": "2"}, "verdicts": [], "policy": shipped(),
        "versions": [version("2", "None", json!(["next"])), version("1", "Production", json!([]))],
    });
    assert_eq!((status, answer), (200, expect));
    assert_eq!(get(&server, "/models/it's%20%22so%22").await.0, 200);
    refused(get(&server, "/models/none").await, (404, "not_found", None, "none"));
}

#[tokio::test]
async fn a_policy_is_replaced_by_put_and_changed_by_patch() {
    let server = Server::start().await;
    assert_eq!(get(&server, "/models/late/policy").await, (200, shipped()), "a model need not exist");
    let patch = async |body: Value| send(&server, Method::PATCH, "/models/late/policy", &body).await;
    let with = |changes: Value| {
        let mut policy = shipped();
        policy.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        policy
    };
    let expect = with(json!({"mode": "required", "min_rows": 50}));
    assert_eq!(put(&server, "/models/late/policy", json!({"mode": "required", "min_rows": 50})).await, (200, expect));
    let expect = with(json!({"mode": "required", "min_rows": 50, "slices": ["carrier"]}));
    assert_eq!(patch(json!({"slices": ["carrier"]})).await, (200, expect.clone()));
    assert_eq!(get(&server, "/models/late/policy").await, (200, expect.clone()));
    let invalid = |field| (400, "invalid", Some(field), "");
    for (body, field) in [
        (json!({"mode": "maybe"}), "mode"),
        (json!({"approve": 1}), "approve"),
        (json!({"margin": "much"}), "margin"),
        (json!({"margin": -1.0}), "margin"),
        (json!({"metric": "f1"}), "metric"),
        (json!({"min_rows": 0}), "min_rows"),
        (json!({"max_age_us": 0}), "max_age_us"),
        (json!({"holdout_us": -5}), "holdout_us"),
        (json!({"guarded": []}), "guarded"),
        (json!({"guarded": ["Production", "champion"]}), "guarded[1]"),
        (json!({"slices": "carrier"}), "slices"),
        (json!({"min_row": 7}), "min_row"),
        (json!([]), "body"),
    ] {
        refused(patch(body.clone()).await, invalid(field));
        refused(put(&server, "/models/late/policy", body).await, invalid(field));
    }
    assert_eq!(get(&server, "/models/late/policy").await, (200, expect), "what was refused changed nothing");
    assert_eq!(
        put(&server, "/models/late/policy", json!({})).await,
        (200, shipped()),
        "what is left out has its default"
    );
}

#[tokio::test]
async fn changes_of_a_policy_at_once_are_all_kept() {
    let server = Server::start().await;
    let patch = async |body: Value| send(&server, Method::PATCH, "/models/late/policy", &body).await.0;
    for round in 1..=20_i64 {
        let (first, second, third) = tokio::join!(
            patch(json!({"min_rows": round})),
            patch(json!({"holdout_us": round})),
            patch(json!({"max_age_us": round})),
        );
        assert_eq!((first, second, third), (200, 200, 200));
        let (_, policy) = get(&server, "/models/late/policy").await;
        let kept = (&policy["min_rows"], &policy["holdout_us"], &policy["max_age_us"]);
        assert_eq!(kept, (&json!(round), &json!(round), &json!(round)));
    }
}

#[tokio::test]
async fn a_person_decides_on_a_verdict_once_and_the_story_tells_it() {
    let server = Server::turning().await;
    put(&server, "/models/late/policy", json!({"mode": "required"})).await;
    version_of(&server, "late", "binary").await;
    at_rest(&server).await;
    let verdicts = server.get("/api/v1/models/late").await.1["verdicts"].clone();
    assert_eq!(verdicts.as_array().unwrap().len(), 1, "{verdicts}");
    assert_eq!((&verdicts[0]["passed"], &verdicts[0]["state"]), (&json!(true), &json!("passed")));
    let approve = format!("/models/late/verdicts/{}/approve", verdicts[0]["id"].as_str().unwrap());

    let waits = post(&server, "/models/late/versions/1/promote", json!({"pointer": "Production"})).await;
    refused(waits, (409, "precondition", None, "waits for the approval of a person"));
    refused(post(&server, &approve, json!({})).await, (400, "invalid", Some("approved"), "missing field"));
    refused(post(&server, &approve, json!({"approved": "yes"})).await, (400, "invalid", Some("approved"), "a boolean"));
    let other = approve.replace("/late/", "/other/");
    refused(post(&server, &other, json!({"approved": true})).await, (404, "not_found", None, "verdict"));

    let body = json!({"approved": true, "note": "looks good"});
    let request = server.request(Method::POST, &format!("/api/v1{approve}")).header("x-rondo-user", "ada").json(&body);
    let (status, decided) = server.send(request).await;
    assert_eq!((status, &decided["state"], &decided["note"]), (200, &json!("approved"), &json!("looks good")));
    refused(post(&server, &approve, json!({"approved": false})).await, (409, "precondition", None, "is approved"));
    at_rest(&server).await;

    let (_, story) = get(&server, "/models/late/history").await;
    let told: Vec<(&str, &str)> = story["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["kind"].as_str().unwrap(), event["actor"].as_str().unwrap()))
        .collect();
    let expect = [
        ("policy.changed", "person:anonymous"),
        ("version.registered", "person:anonymous"),
        ("reference.failed", "system:conductor"),
        ("verdict.passed", "system:conductor"),
        ("approval.requested", "system:conductor"),
        ("approval.given", "person:ada"),
        ("pointer.moved", "system:conductor"),
    ];
    assert_eq!(told, expect);
    let (_, page) = get(&server, &format!("/models/late/history?after={}&limit=1", story["events"][4]["seq"])).await;
    assert_eq!(page["events"], json!([story["events"][5]]));
    refused(get(&server, "/models/typo/history").await, (404, "not_found", None, "typo"));
    refused(get(&server, "/models/late/history?limit=few").await, (400, "invalid", Some("limit"), "invalid digit"));
}

#[tokio::test]
async fn what_a_person_rejects_is_not_promoted() {
    let server = Server::turning().await;
    put(&server, "/models/late/policy", json!({"mode": "required"})).await;
    version_of(&server, "late", "binary").await;
    at_rest(&server).await;
    let id = server.get("/api/v1/models/late").await.1["verdicts"][0]["id"].clone();
    let path = format!("/models/late/verdicts/{}/approve", id.as_str().unwrap());
    let (status, decided) = post(&server, &path, json!({"approved": false})).await;
    assert_eq!((status, &decided["state"]), (200, &json!("rejected")));
    at_rest(&server).await;
    assert_eq!(get(&server, "/models").await.1["models"][0]["production_version"], Value::Null);
    let again = post(&server, "/models/late/versions/1/promote", json!({"pointer": "Production"})).await;
    refused(again, (409, "precondition", None, "was rejected by a person"));
}
