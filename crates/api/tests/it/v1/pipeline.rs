//! Pipelines: the definition, runs and their keys, cancelling, logs from an offset.

use reqwest::Method;
use serde_json::{Value, json};

use super::{at_rest, delete, get, post, put, refused};
use crate::server::Server;

const TWO_STEPS: &str = "
[pipeline]
name = \"train\"

[step.prepare]
run = \"printf 'one\\\\ntwo\\\\n'\"
params = { days = 59 }

[step.fit]
run = \"echo fitted\"
needs = [\"prepare\"]
";

async fn stored(server: &Server, definition: &str) -> (u16, Value) {
    let dir = server.folder("work");
    put(server, "/pipelines/train", json!({"definition": definition, "dir": dir})).await
}

#[tokio::test]
async fn a_pipeline_is_stored_listed_and_forgotten() {
    let server = Server::start().await;
    assert_eq!(get(&server, "/pipelines").await, (200, json!({"pipelines": []})));
    let dir = server.folder("work");
    assert_eq!(stored(&server, TWO_STEPS).await, (200, json!({"name": "train", "dir": dir, "updated_us": "[time]"})));
    let expect = json!({"name": "train", "dir": dir, "definition": TWO_STEPS, "updated_us": "[time]"});
    assert_eq!(get(&server, "/pipelines/train").await, (200, expect));
    let expect = json!({"pipelines": [{
        "name": "train", "dir": dir, "updated_us": "[time]", "steps": ["prepare", "fit"], "triggers": [],
        "last_state": null, "last_run": null,
    }]});
    assert_eq!(get(&server, "/pipelines").await, (200, expect));
    assert_eq!(get(&server, "/pipelines/train/runs").await, (200, json!({"runs": []})));
    assert_eq!(delete(&server, "/pipelines/train").await, (200, json!({})));
    for answer in [
        get(&server, "/pipelines/train").await,
        delete(&server, "/pipelines/train").await,
        get(&server, "/pipelines/train/runs").await,
        post(&server, "/pipelines/train/runs", json!({})).await,
    ] {
        refused(answer, (404, "not_found", None, "there is no pipeline `train`"));
    }
}

#[tokio::test]
async fn a_definition_that_is_wrong_is_refused_by_its_place() {
    let server = Server::start().await;
    let dir = server.folder("work");
    let with = |definition: &str, dir: Value| json!({"definition": definition, "dir": dir});
    let renamed = TWO_STEPS.replace("\"train\"", "\"other\"");
    let needy = TWO_STEPS.replace("[\"prepare\"]", "[\"nothing\"]");
    for (body, field) in [
        (json!({"dir": dir}), "definition"),
        (json!({"definition": TWO_STEPS}), "dir"),
        (with(TWO_STEPS, json!("work")), "dir"),
        (with(TWO_STEPS, json!("/no/such/folder")), "dir"),
        (with("[pipeline", json!(dir)), "definition"),
        (with(&renamed, json!(dir)), "definition"),
        (with(&needy, json!(dir)), "step.fit.needs"),
    ] {
        refused(put(&server, "/pipelines/train", body).await, (400, "invalid", Some(field), ""));
    }
    assert_eq!(get(&server, "/pipelines").await, (200, json!({"pipelines": []})));
}

#[tokio::test]
async fn the_same_key_is_the_same_run() {
    let server = Server::start().await;
    stored(&server, TWO_STEPS).await;
    let start = async |body: Value| server.post("/api/v1/pipelines/train/runs", &body).await;
    let (status, first) = start(json!({"key": "march", "reason": "monthly", "params": {"days": "31"}})).await;
    assert_eq!((status, &first["fresh"]), (200, &json!(true)));
    let (_, again) = start(json!({"key": "march"})).await;
    assert_eq!(again, json!({"run_id": first["run_id"], "fresh": false}));
    let (_, other) = start(json!({})).await;
    assert_eq!(other["fresh"], json!(true));

    let step = |name: &str| json!({"name": name, "state": "pending", "attempt": 0, "cached": false, "started_us": null, "ended_us": null, "error": null});
    let expect = json!({
        "id": "[id]", "pipeline": "train", "state": "pending", "error": null, "trigger": "manual", "reason": "monthly",
        "params": {"days": "31"}, "created_us": "[time]", "started_us": null, "ended_us": null,
        "steps": [step("prepare"), step("fit")],
    });
    let run = format!("/pipeline-runs/{}", first["run_id"].as_str().unwrap());
    assert_eq!(get(&server, &run).await, (200, expect.clone()));
    let (_, runs) = get(&server, "/pipelines/train/runs").await;
    assert_eq!((runs["runs"].as_array().unwrap().len(), &runs["runs"][1]), (2, &expect), "the newest first");
    assert_eq!(runs["runs"][0]["reason"], "started by person:anonymous");
    assert_eq!(get(&server, "/pipelines/train/runs?limit=1").await.1["runs"].as_array().unwrap().len(), 1);

    for (body, field) in [
        (json!({"params": {"weeks": "1"}}), "params"),
        (json!({"params": {"days": 31}}), "params.days"),
        (json!({"env": {"RONDO_URL": "x"}}), "env"),
        (json!({"keys": "x"}), "keys"),
        (json!({"key": 5}), "key"),
    ] {
        let (status, answer) = start(body).await;
        refused((status, answer), (400, "invalid", Some(field), ""));
    }
    refused(get(&server, "/pipelines/train/runs?limit=x").await, (400, "invalid", Some("limit"), ""));
}

#[tokio::test]
async fn a_run_can_be_cancelled_until_it_has_ended() {
    let server = Server::turning().await;
    stored(&server, &TWO_STEPS.replace("echo fitted", "sleep 600")).await;
    let (_, started) = server.post("/api/v1/pipelines/train/runs", &json!({})).await;
    let run = format!("/pipeline-runs/{}", started["run_id"].as_str().unwrap());
    let (status, answer) = post(&server, &format!("{run}/cancel"), json!({})).await;
    assert_eq!((status, &answer["id"]), (200, &json!("[id]")));
    at_rest(&server).await;
    assert_eq!(get(&server, &run).await.1["state"], "cancelled");
    refused(post(&server, &format!("{run}/cancel"), json!({})).await, (409, "precondition", None, "has ended already"));
    for answer in
        [get(&server, "/pipeline-runs/none").await, post(&server, "/pipeline-runs/none/cancel", json!({})).await]
    {
        refused(answer, (404, "not_found", None, "no pipeline run `none`"));
    }
}

#[tokio::test]
async fn a_log_is_read_on_from_an_offset() {
    let server = Server::turning().await;
    stored(&server, TWO_STEPS).await;
    let (_, started) = server.post("/api/v1/pipelines/train/runs", &json!({})).await;
    at_rest(&server).await;
    let run = format!("/pipeline-runs/{}", started["run_id"].as_str().unwrap());
    let (_, shown) = get(&server, &run).await;
    assert_eq!((&shown["state"], &shown["steps"][0]["state"]), (&json!("succeeded"), &json!("succeeded")), "{shown}");
    let read = async |step: &str, query: &str| {
        let request = server.request(Method::GET, &format!("/api/v1{run}/steps/{step}/log{query}"));
        let response = request.send().await.unwrap();
        let next = response.headers().get("x-next-offset").map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), next.unwrap_or_default(), response.text().await.unwrap())
    };
    let told = |next: &str, text: &str| (200, next.to_owned(), text.to_owned());
    assert_eq!(read("prepare", "").await, told("8", "one\ntwo\n"));
    assert_eq!(read("prepare", "?offset=4").await, told("8", "two\n"));
    assert_eq!(read("prepare", "?offset=8&attempt=1").await, told("8", ""));
    assert_eq!(read("prepare", "?attempt=2").await, told("0", ""), "an attempt that was not made has no log");
    assert_eq!(read("fit", "").await, told("7", "fitted\n"));
    refused(get(&server, &format!("{run}/steps/none/log")).await, (404, "not_found", None, "step `none`"));
    refused(
        get(&server, "/pipeline-runs/none/steps/fit/log").await,
        (404, "not_found", None, "no pipeline run `none`"),
    );
    refused(get(&server, &format!("{run}/steps/fit/log?offset=-1")).await, (400, "invalid", Some("offset"), ""));
}
