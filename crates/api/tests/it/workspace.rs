//! Workspaces: one sees nothing of another, whatever route of whatever protocol asks; and each has everything of its own.

use std::collections::BTreeMap;

use access::token::NewToken;
use access::{Permission, Role, Secret};
use api::route::Declared;
use kernel::ctx::{Ctx, Principal};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, told};

/// What is written into everything of workspace `team-a`, and known to nobody else.
const MARK: &str = "only-for-team-a";
const MLFLOW: &str = "/api/2.0/mlflow";

/// A caller who asks for one workspace.
struct Side<'s> {
    server: &'s Server,
    workspace: &'static str,
}

impl Side<'_> {
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.server.request(method, path).header("x-mlflow-workspace", self.workspace)
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        self.server.send(self.request(method, path).json(body)).await
    }

    async fn must(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(method, path, &body).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    async fn mlflow(&self, path: &str, body: Value) -> Value {
        self.must(Method::POST, &format!("{MLFLOW}{path}"), body).await
    }

    async fn at_rest(&self) {
        for _ in 0..5_000 {
            if self.send(Method::GET, "/api/v1/loop", &json!({})).await.1["idle"] == json!(true) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        assert_eq!(self.workspace, "", "its loop does not come to rest");
    }
}

async fn with_workspaces(server: &Server, names: &[&'static str]) {
    for name in names {
        let (status, answer) = server.post("/api/v1/workspaces", &json!({"name": name, "description": name})).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// An experiment and a version of the model `late` from files under `crates/serving/tests/models`, served by the deployment `late`.
async fn serve(side: &Side<'_>, files: &str) -> BTreeMap<&'static str, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tags = json!([{"key": "k", "value": MARK}]);
    let experiment =
        text(&side.mlflow("/experiments/create", json!({"name": "mine", "tags": tags})).await["experiment_id"]);
    let run = side.mlflow("/runs/create", json!({"experiment_id": experiment, "run_name": MARK, "tags": tags})).await;
    let run_id = text(&run["run"]["info"]["run_id"]);
    let artifacts = text(&run["run"]["info"]["artifact_uri"]);
    let place = artifacts.strip_prefix("mlflow-artifacts:/").unwrap().to_owned();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../serving/tests/models");
    for (name, bytes) in [
        ("model/MLmodel", std::fs::read(format!("{folder}/{files}/MLmodel")).unwrap()),
        ("model/model.skops", std::fs::read(format!("{folder}/{files}/model.skops")).unwrap()),
        ("notes.txt", MARK.into()),
    ] {
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/{place}/{name}");
        let (status, answer) = side.server.send(side.request(Method::PUT, &path).body(bytes)).await;
        assert_eq!(status, 200, "{answer}");
    }
    side.mlflow("/registered-models/create", json!({"name": "late", "description": MARK})).await;
    let source = format!("{artifacts}/model");
    side.mlflow(
        "/model-versions/create",
        json!({"name": "late", "source": source, "run_id": run_id, "description": MARK}),
    )
    .await;
    side.must(Method::PUT, "/api/v1/deployments/late", json!({"pointer": "models:/late/Production"})).await;
    let body = json!({"pointer": "Production", "reason": MARK});
    side.must(Method::POST, "/api/v1/models/late/versions/1/promote", body).await;
    side.at_rest().await;
    [("experiment", experiment), ("run", run_id), ("place", place), ("source", source)].into()
}

/// One of everything in a workspace; ids by what they are of.
async fn everything(side: &Side<'_>) -> BTreeMap<&'static str, String> {
    let mut ids = serve(side, "binary").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (experiment, run_id) = (ids["experiment"].clone(), ids["run"].clone());
    let row = json!({"carrier": MARK, "hour": 11, "distance": 1700.0, "prev_delay": null});
    let body = json!({"rows": [row], "ids": ["p0"], "event_times": ["2013-03-01T05:00:00Z"]});
    side.must(Method::POST, "/deployments/late/predict", body).await;
    side.must(Method::POST, "/api/v1/outcomes", json!({"outcomes": [{"prediction_id": "p0", "value": true}]})).await;
    side.mlflow("/registered-models/alias", json!({"name": "late", "alias": "best", "version": "1"})).await;
    side.mlflow(
        "/runs/log-batch",
        json!({
            "run_id": run_id, "metrics": [{"key": "m", "value": 1.5, "timestamp": 5, "step": 0}],
            "params": [{"key": "p", "value": MARK}], "tags": [],
        }),
    )
    .await;
    let dataset = json!({"name": "d", "digest": "1", "source_type": "x", "source": MARK});
    let tags = json!([{"key": "mlflow.data.context", "value": MARK}]);
    side.mlflow("/runs/log-inputs", json!({"run_id": run_id, "datasets": [{"dataset": dataset, "tags": tags}]})).await;
    let model = json!({"experiment_id": experiment, "name": "net", "params": [{"key": "p", "value": MARK}]});
    let made = side.mlflow("/logged-models", model).await;
    ids.insert("logged_model", text(&made["model"]["info"]["model_id"]));
    let events = json!([{"entity": "REGISTERED_MODEL", "action": "CREATED"}]);
    let hook = json!({"name": "hook", "url": "https://1.1.1.1/", "description": MARK, "events": events});
    let made = side.mlflow("/webhooks", hook).await;
    ids.insert("webhook", text(&made["webhook"]["webhook_id"]));
    let span = json!({
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": MARK,
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000250000000",
        "attributes": [{"key": "mlflow.spanInputs", "value": {"stringValue": MARK}}],
    });
    let spans = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
    let request = side.request(Method::POST, "/v1/traces").header("x-mlflow-experiment-id", &experiment).json(&spans);
    assert_eq!(side.server.send(request).await.0, 200);
    ids.insert("trace", "tr-5b8efff798038103d269b633813fc60c".to_owned());
    let said = json!({"assessment": {
        "assessment_name": "good", "feedback": {"value": MARK}, "source": {"source_type": "HUMAN", "source_id": "ann"},
    }});
    let path = format!("/api/3.0/mlflow/traces/{}/assessments", ids["trace"]);
    let made = side.must(Method::POST, &path, said).await;
    ids.insert("assessment", text(&made["assessment"]["assessment_id"]));
    let rule = json!({"name": MARK, "on": "drift", "metric": "share", "threshold": 0.5});
    let monitor = json!({"deployment": "late", "window_us": 86_400_000_000_i64, "min_rows": 20, "rules": [rule]});
    side.must(Method::PUT, "/api/v1/monitors/late", monitor).await;
    let mark = json!({"event_time": "2013-03-05T00:00:00Z"});
    side.must(Method::POST, "/api/v1/deployments/late/watermark", mark).await;
    let definition = format!("[pipeline]\nname = \"late\"\n\n[step.one]\nrun = \"echo {MARK} $RONDO_WORKSPACE\"\n");
    let dir = side.server.folder("work");
    side.must(Method::PUT, "/api/v1/pipelines/late", json!({"definition": definition, "dir": dir})).await;
    let started = side.must(Method::POST, "/api/v1/pipelines/late/runs", json!({"reason": MARK})).await;
    ids.insert("pipeline_run", text(&started["run_id"]));
    let space = json!({"p": {"type": "fixed", "value": MARK}});
    let sweep = json!({"name": "late", "metric": "m", "method": "grid", "experiment": "mine", "space": space});
    side.must(Method::POST, "/api/v1/sweeps", sweep).await;
    side.must(Method::POST, "/api/v1/sweeps/late/claim", json!({"worker": "w", "lease": "l"})).await;
    let tags = json!({"k": MARK}).to_string();
    let dataset = json!({"name": "questions", "experiment_ids": [experiment], "tags": tags});
    let made = side.must(Method::POST, "/api/3.0/mlflow/datasets/create", dataset).await;
    ids.insert("evaluation_dataset", text(&made["dataset"]["dataset_id"]));
    side.must(Method::POST, "/api/v1/users", json!({"name": "ann", "role": "editor"})).await;
    let made = side.must(Method::POST, "/api/v1/tokens", json!({"name": MARK, "role": "viewer"})).await;
    ids.insert("token", text(&made["token"]["id"]));
    side.at_rest().await;
    ids
}

/// The path of a route with what is in `team-a` in the place of each name.
fn filled(route: &Declared, ids: &BTreeMap<&'static str, String>) -> String {
    let value = |name: &str| match name {
        "version" => "1".to_owned(),
        "step" => "one".to_owned(),
        "user" => "ann".to_owned(),
        "model_id" => ids["logged_model"].clone(),
        "trace_id" => ids["trace"].clone(),
        "assessment_id" => ids["assessment"].clone(),
        "webhook_id" => ids["webhook"].clone(),
        "workspace_name" => "team-a".to_owned(),
        "*path" => format!("{}/notes.txt", ids["place"]),
        "*tag_key" | "key" => "k".to_owned(),
        "name" if route.path.contains("/users/") => "ann".to_owned(),
        "name" if route.path.contains("/workspaces/") => "team-a".to_owned(),
        "number" if route.path.contains("/sweeps/") => "0".to_owned(),
        "dataset_id" => ids["evaluation_dataset"].clone(),
        "*key" => "k".to_owned(),
        "id" if route.path.contains("/runs/") => ids["run"].clone(),
        "id" if route.path.contains("/pipeline-runs/") => ids["pipeline_run"].clone(),
        "id" if route.path.contains("/predictions/") => "p0".to_owned(),
        "id" if route.path.contains("/tokens/") => ids["token"].clone(),
        "id" | "upload_id" | "number" => "1".to_owned(),
        "name" | "model" => "late".to_owned(),
        // Nothing is called so: a new kind of thing needs a line here and an object in `everything`.
        other => format!("unknown-{other}"),
    };
    let parts = route.path.split(['{', '}']).enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { value(part) } else { part.to_owned() }).collect()
}

/// Every field by which something of `team-a` could be named.
fn sink(ids: &BTreeMap<&'static str, String>) -> Value {
    let place = json!({"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": ids["experiment"]}});
    let mut sink = json!({
        "experiment_id": ids["experiment"], "experiment_ids": [ids["experiment"]], "experiment_name": "mine",
        "run_id": ids["run"], "run_uuid": ids["run"], "run_ids": [ids["run"]], "name": "late", "version": "1",
        "model_id": ids["logged_model"], "trace_id": ids["trace"], "trace_ids": [ids["trace"]], "request_id": ids["trace"],
        "locations": [place], "key": "k", "value": "v", "alias": "best", "path": "notes.txt", "stage": "Archived",
        "metric_key": "m", "metric_keys": ["m"], "artifact_file_path": "notes.txt", "max_results": 100,
    });
    let more = json!({
        "source": ids["source"], "deployment": "late", "pointer": "models:/late/Production", "status": "KILLED",
        "tags": [{"key": "k", "value": "v"}], "params": [{"key": "q", "value": "v"}], "timestamp": 1, "step": 0,
        "models": [{"model_id": ids["logged_model"], "step": 0}], "new_name": "taken", "role": "admin",
        "metrics": [{"key": "m", "value": 2.5, "timestamp": 9, "step": 9, "model_id": ids["logged_model"]}],
        "outcomes": [{"prediction_id": "p0", "value": false}], "lease": "l", "event_time": "2020-01-01T00:00:00Z",
        "rows": [{"carrier": "UA", "hour": 11, "distance": 1.0, "prev_delay": null}],
        "query": "query Q($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run { info { runName } data { params { value } } } } }",
        "operationName": "Q", "variables": {"data": {"runId": ids["run"]}},
    });
    sink.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sink
}

/// The same as a query.
fn query(sink: &Value) -> String {
    let mut pairs = vec!["filter_string=".to_owned()];
    for (key, value) in sink.as_object().unwrap() {
        for one in value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]) {
            if let Some(one) = one.as_str().filter(|_| !matches!(key.as_str(), "query" | "operationName")) {
                pairs.push(format!("{key}={}", one.replace(':', "%3A").replace('/', "%2F")));
            }
        }
    }
    pairs.join("&")
}

/// Asks one route about everything of `team-a`. Some take only one kind of body, so several are tried.
async fn ask(side: &Side<'_>, route: &Declared, ids: &BTreeMap<&'static str, String>) -> Vec<(u16, String)> {
    let (path, sink) = (filled(route, ids), sink(ids));
    let known = |names: &[&str]| {
        let picked = names.iter().map(|name| ((*name).to_owned(), sink[*name].clone()));
        Value::Object(picked.collect())
    };
    let mut answers = Vec::new();
    let requests: Vec<reqwest::RequestBuilder> = if route.method == Method::GET {
        let asked = [String::new(), format!("?{}", query(&sink)), format!("?experiment_id={}", ids["experiment"])];
        asked.iter().map(|query| side.request(Method::GET, &format!("{path}{query}"))).collect()
    } else {
        let bodies = [
            sink.clone(),
            json!({}),
            known(&["outcomes"]),
            known(&["event_time"]),
            known(&["role"]),
            known(&["rows"]),
            known(&["lease"]),
        ];
        bodies.iter().map(|body| side.request(route.method.clone(), &path).json(body)).collect()
    };
    for request in requests {
        let request = request.header("x-mlflow-experiment-id", &ids["experiment"]);
        let response = request.send().await.unwrap();
        answers.push((response.status().as_u16(), response.text().await.unwrap()));
    }
    answers
}

/// Routes whose answers change by themselves.
fn is_volatile(path: &str) -> bool {
    ["/metrics", "/stats", "/overview", "/api/v1/tokens"].iter().any(|end| path.ends_with(end))
}

#[tokio::test]
async fn no_route_shows_or_changes_what_is_in_another_workspace() {
    let server = Server::turning().await;
    with_workspaces(&server, &["team-a", "team-b"]).await;
    let inside = Side { server: &server, workspace: "team-a" };
    let ids = everything(&inside).await;
    // What is the server's is not a workspace's; who may not is refused, as for every permission.
    let routes: Vec<_> = api::declared().into_iter().filter(|route| route.needs != Permission::Server).collect();
    let reading = |route: &&Declared| route.method == Method::GET || route.needs == Permission::View;

    let unknown: Vec<_> =
        routes.iter().map(|route| filled(route, &ids)).filter(|path| path.contains("unknown-")).collect();
    assert!(unknown.is_empty(), "nothing is filled in for {unknown:?}");

    // What can be seen from inside: without this, the walk below would prove nothing.
    let mut seen = BTreeMap::new();
    for route in routes.iter().filter(reading) {
        let answers = ask(&inside, route, &ids).await;
        let shown: Vec<_> =
            answers.into_iter().filter(|(status, text)| *status == 200 && text.contains(MARK)).collect();
        if !shown.is_empty() {
            seen.insert((route.method.to_string(), route.path.clone()), shown);
        }
    }
    assert!(seen.len() > 100, "{} routes show something: {:?}", seen.len(), seen.keys());

    for workspace in ["team-b", "default"] {
        let outside = Side { server: &server, workspace };
        let (reads, changes): (Vec<_>, Vec<_>) = routes.iter().partition(reading);
        for route in reads.into_iter().chain(changes) {
            for (status, text) in ask(&outside, route, &ids).await {
                // A user is told that the name is taken, not by what.
                assert!(!text.contains(MARK), "{workspace}: {} {} answers {status} {text}", route.method, route.path);
                // These answer the same whatever is there.
                // An unknown dataset has no records and no experiments, as in MLflow.
                let fixed = [
                    "/workspaces/",
                    "/deployments/{name}/version",
                    "/models/{name}/policy",
                    "/{dataset_id}/records",
                    "/{dataset_id}/experiment-ids",
                ];
                let fixed = fixed.iter().any(|part| route.path.contains(part));
                let names_one = route.path.contains('{') && !fixed;
                let refused = matches!(status, 400 | 403 | 404 | 405 | 409 | 415 | 422 | 501);
                assert!(!names_one || !reading(&route) || refused, "{workspace}: {route:?} answers {status} {text}");
            }
        }
        outside.at_rest().await;
    }

    inside.at_rest().await;
    for ((method, path), before) in seen {
        let route = routes.iter().find(|one| one.path == path && one.method.as_str() == method).unwrap();
        let after = ask(&inside, route, &ids).await;
        let after: Vec<_> = after.into_iter().filter(|(status, text)| *status == 200 && text.contains(MARK)).collect();
        assert!(
            is_volatile(&path) || before == after,
            "{method} {path} was changed from outside: {before:?} {after:?}"
        );
    }
}

#[tokio::test]
async fn a_token_opens_no_route_of_another_workspace() {
    let server = Server::asking().await;
    let ctx = |workspace: &str| Ctx::new(Principal::System("test"), server.house.clock.now_us()).within(workspace);
    let mut tokens = BTreeMap::new();
    for workspace in ["team-a", "team-b", "default"] {
        let (secret, at, made) = (Secret::random().unwrap(), ctx(workspace), ctx("default"));
        tokens.insert(workspace, secret.reveal().to_owned());
        // In the default workspace one that is not an admin's: that would be one of the server.
        let role = if workspace == "default" { Role::Approver } else { Role::Admin };
        let new = NewToken { name: "ci".to_owned(), user: None, role, scopes: Vec::new(), expires_us: None };
        let make = move |tx: &mut db::Tx<'_>| {
            if at.workspace != "default" {
                access::workspace::create(tx, &made, &at.workspace, None)?;
            }
            access::token::create(tx, &at, &new, &secret)
        };
        server.house.db.write(make).await.unwrap();
    }
    let mut walked = 0;
    for (own, other) in [("team-b", "team-a"), ("team-b", "default"), ("default", "team-a"), ("team-b", "nowhere")] {
        for route in api::declared().into_iter().filter(|route| route.needs != Permission::Public) {
            let path: String = route
                .path
                .split(['{', '}'])
                .enumerate()
                .map(|(at, part)| if at % 2 == 1 { "1" } else { part })
                .collect();
            if path.ends_with("/server-info") {
                continue;
            }
            let request = server.request(route.method.clone(), &path).bearer_auth(&tokens[own]).json(&json!({}));
            let response = request.header("x-mlflow-workspace", other).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{own} in {other}: {route:?}");
            let text = told(response).await;
            assert!(text.contains(&format!("service:ci has no role in the workspace `{other}`")), "{text}");
            walked += 1;
        }
    }
    assert!(walked > 1_200, "{walked}");
    // Without the header each is where it belongs.
    for (workspace, token) in &tokens {
        let (_, me) = server.send(server.request(Method::GET, "/api/v1/me").bearer_auth(token)).await;
        assert_eq!((&me["workspace"], &me["workspaces"]), (&json!(workspace), &json!([workspace])), "{me}");
    }
}

#[tokio::test]
async fn the_same_names_are_different_things_in_each_workspace() {
    let server = Server::turning().await;
    with_workspaces(&server, &["team-a", "team-b"]).await;
    let (a, b) = (Side { server: &server, workspace: "team-a" }, Side { server: &server, workspace: "team-b" });
    serve(&a, "binary").await;
    serve(&b, "regression-1").await;
    let binary = json!({"rows": [{"carrier": "UA", "hour": 11, "distance": 1.0, "prev_delay": null}], "ids": ["p0"]});
    let of_a = a.must(Method::POST, "/deployments/late/predict", binary.clone()).await;
    assert!(of_a["predictions"][0]["label"].is_number(), "{of_a}");
    let columns = |side: &Side<'_>| side.request(Method::GET, "/v2/models/late");
    let (_, of_a) = server.send(columns(&a)).await;
    let (_, of_b) = server.send(columns(&b)).await;
    assert_ne!(of_a["inputs"], of_b["inputs"], "{of_a}");
    let (status, _) = server.send(server.request(Method::GET, "/v2/models/late")).await;
    assert_eq!(status, 404, "the default workspace has none");
    // The prediction is in the log of its own workspace, and so is its id free in the other.
    assert_eq!(a.send(Method::GET, "/api/v1/predictions/p0", &json!({})).await.0, 200);
    assert_eq!(b.send(Method::GET, "/api/v1/predictions/p0", &json!({})).await.0, 404);
    let (_, labelled) = b.send(Method::GET, "/api/v1/deployments/late", &json!({})).await;
    assert_eq!(labelled["predictions"], 0, "{labelled}");
}

#[tokio::test]
async fn an_empty_workspace_can_be_deleted_and_its_name_stays_taken() {
    let server = Server::start().await;
    with_workspaces(&server, &["team-a"]).await;
    let side = Side { server: &server, workspace: "team-a" };
    side.mlflow("/registered-models/create", json!({"name": "m"})).await;
    let remove = || side.server.send(server.request(Method::DELETE, "/api/3.0/mlflow/workspaces/team-a"));
    let (status, answer) = remove().await;
    assert_eq!((status, &answer["error_code"]), (400, &json!("INVALID_STATE")), "{answer}");
    assert_eq!(
        answer["message"],
        "Cannot delete workspace 'team-a': table 'registered_models' still contains 1 resource(s). Remove or reassign them \
         before deleting the workspace."
    );
    side.must(Method::DELETE, "/api/2.0/mlflow/registered-models/delete", json!({"name": "m"})).await;
    assert_eq!(remove().await.0, 204);
    let (status, answer) =
        side.send(Method::POST, "/api/2.0/mlflow/experiments/search", &json!({"max_results": 5})).await;
    assert_eq!((status, &answer["message"]), (404, &json!("Workspace 'team-a' not found")));
    let (status, answer) = server.post("/api/3.0/mlflow/workspaces", &json!({"name": "team-a"})).await;
    assert_eq!((status, &answer["error_code"]), (400, &json!("RESOURCE_ALREADY_EXISTS")), "{answer}");
}
