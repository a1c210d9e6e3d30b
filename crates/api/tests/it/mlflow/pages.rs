//! The calls that MLflow's own pages (the built UI of 3.17.2) make while experiments, runs, charts, artifacts, models, prompts, traces
//! and datasets are looked at, as they were recorded: each is answered.

use reqwest::Method;
use serde_json::{Value, json};

use super::{API, a_run, ok};
use crate::server::Server;

const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

/// Ids of what is looked at.
struct Scene {
    run: String,
    model: String,
    trace: String,
}

async fn fill(server: &Server) -> Scene {
    let run = a_run(server).await;
    let root = format!("0/{run}/artifacts");
    for path in ["notes/readme.md", "model/MLmodel"] {
        let put = server.request(Method::PUT, &format!("{PROXY}/{root}/{path}")).body("text");
        assert_eq!(server.send(put).await.0, 200);
    }
    let points: Vec<Value> =
        (0..9).map(|step| json!({"key": "val/loss", "value": 0.5, "timestamp": step, "step": step})).collect();
    ok(server, "/runs/log-batch", json!({"run_id": run, "metrics": points})).await;
    ok(server, "/registered-models/create", json!({"name": "fare"})).await;
    let new = json!({"name": "fare", "source": format!("mlflow-artifacts:/{root}/model"), "run_id": run});
    ok(server, "/model-versions/create", new).await;
    let model = ok(server, "/logged-models", json!({"experiment_id": "0", "name": "linear"})).await;
    let place = json!({"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}});
    let info =
        json!({"trace_id": "tr-1", "trace_location": place, "request_time": "2026-01-01T00:00:00Z", "state": "OK"});
    ok(server, "/traces", json!({"trace": {"trace_info": info}})).await;
    ok(server, "/datasets/create", json!({"name": "questions", "experiment_ids": ["0"]})).await;
    Scene { run, model: model["model"]["info"]["model_id"].as_str().unwrap().to_owned(), trace: "tr-1".to_owned() }
}

/// `RUN`, `MODEL` and `TRACE_ID` stand for ids; the prefix is `/ajax-api`.
const GETS: &[&str] = &[
    "/3.0/mlflow/server-info",
    "/3.0/mlflow/ui-telemetry",
    "/2.0/mlflow/gateway-proxy?gateway_path=api%2F2.0%2Fendpoints%2F",
    "/2.0/mlflow/experiments/search?max_results=25&order_by=last_update_time+DESC&filter=tags.%60mlflow.experiment.isGateway%60+IS+NULL",
    "/2.0/mlflow/experiments/search?max_results=5&order_by=last_update_time+DESC",
    "/2.0/mlflow/experiments/get?experiment_id=0",
    "/2.0/mlflow/runs/get?run_id=RUN",
    "/2.0/mlflow/artifacts/list?run_uuid=RUN",
    "/2.0/mlflow/artifacts/list?run_uuid=RUN&path=notes",
    "/2.0/mlflow/metrics/get-history-bulk-interval?run_ids=RUN&run_ids=RUN&metric_key=val%2Floss&max_results=320",
    "/2.0/mlflow/metrics/get-history-bulk?run_id=RUN&metric_key=val%2Floss&max_results=25000",
    "/2.0/mlflow/metrics/get-history?run_uuid=RUN&metric_key=val%2Floss&max_results=25000",
    "/2.0/mlflow/model-versions/search?filter=run_id%3D%27RUN%27",
    "/2.0/mlflow/model-versions/search?filter=tags.%60mlflow.prompt.is_prompt%60+%3D+%27true%27+AND+tags.%60mlflow.prompt.run_ids%60+ILIKE+%22%25RUN%25%22",
    "/2.0/mlflow/model-versions/search?filter=name%3D%27fare%27&max_results=25&order_by=creation_timestamp+DESC",
    "/2.0/mlflow/model-versions/get?name=fare&version=1",
    "/2.0/mlflow/registered-models/search?filter=&max_results=25&order_by=name+ASC",
    "/2.0/mlflow/registered-models/search",
    "/2.0/mlflow/registered-models/search?filter=tags.%60mlflow.prompt.is_prompt%60+%3D+%27true%27",
    "/2.0/mlflow/registered-models/get?name=fare",
    "/2.0/mlflow/logged-models/MODEL",
    "/3.0/mlflow/traces/TRACE_ID",
    "/3.0/mlflow/scorers/list?experiment_id=0",
];

/// What the pages fetch beside these.
const ROOTED: &[&str] = &[
    "/get-artifact?path=notes%2Freadme.md&run_uuid=RUN",
    "/model-versions/get-artifact?path=MLmodel&name=fare&version=1",
];

fn posts() -> Vec<(&'static str, Value)> {
    let place = json!({"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}});
    vec![
        (
            "/2.0/mlflow/runs/search",
            json!({"experiment_ids": ["0"], "order_by": ["attributes.start_time DESC"], "run_view_type": "ACTIVE_ONLY", "filter": "", "max_results": 50}),
        ),
        (
            "/2.0/mlflow/runs/search",
            json!({"experiment_ids": ["0"], "filter": "tags.`mlflow.parentRunId` = 'RUN'", "order_by": ["attributes.start_time DESC"], "max_results": 10}),
        ),
        ("/2.0/mlflow/experiments/search-datasets", json!({"experiment_ids": ["0"]})),
        (
            "/2.0/mlflow/logged-models/search",
            json!({"experiment_ids": ["0"], "order_by": [{"field_name": "creation_time", "ascending": false}], "filter": "attributes.model_id IN ('MODEL')"}),
        ),
        (
            "/3.0/mlflow/datasets/search",
            json!({"experiment_ids": ["0"], "order_by": ["created_time DESC"], "max_results": 50}),
        ),
        (
            "/3.0/mlflow/traces/search",
            json!({"locations": [place], "filter": "attributes.timestamp_ms > 1 AND attributes.timestamp_ms < 9999999999999", "max_results": 25, "order_by": ["timestamp DESC"]}),
        ),
        ("/3.0/mlflow/traces/search", json!({"locations": [], "max_results": 1, "order_by": ["timestamp DESC"]})),
        ("/3.0/mlflow/ui-telemetry", json!({"records": []})),
        (
            "/3.0/mlflow/traces/metrics",
            json!({"experiment_ids": ["0"], "view_type": "TRACES", "metric_name": "latency", "aggregations": [{"aggregation_type": "AVG"}], "start_time_ms": 1}),
        ),
    ]
}

#[tokio::test]
async fn every_call_of_the_pages_is_answered() {
    let server = Server::start().await;
    let scene = fill(&server).await;
    let named =
        |text: &str| text.replace("RUN", &scene.run).replace("MODEL", &scene.model).replace("TRACE_ID", &scene.trace);
    for path in GETS {
        let (status, answer) = server.get(&format!("/ajax-api{}", named(path))).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
    for path in ROOTED {
        assert_eq!(server.get(&named(path)).await, (200, json!("text")), "{path}");
    }
    for (path, body) in posts() {
        let body: Value = serde_json::from_str(&named(&body.to_string())).unwrap();
        let (status, answer) = server.post(&format!("/ajax-api{path}"), &body).await;
        assert_eq!(status, 200, "{path} {body}: {answer}");
    }
    let (_, told) = server.get("/ajax-api/3.0/mlflow/ui-telemetry").await;
    assert_eq!(told["disable_ui_telemetry"], true);
}

#[tokio::test]
async fn traces_are_told_in_the_words_of_old_clients() {
    let server = Server::start().await;
    let begin = json!({
        "experiment_id": "0", "timestamp_ms": 1_000, "tags": [{"key": "t", "value": "1"}],
        "request_metadata": [{"key": "m", "value": "2"}],
    });
    let begun = ok(&server, "/traces", begin).await;
    let id = begun["trace_info"]["request_id"].as_str().unwrap().to_owned();
    assert_eq!(begun["trace_info"]["status"], "IN_PROGRESS");
    let end = json!({"timestamp_ms": 1_250, "status": "OK", "tags": [{"key": "t", "value": "3"}]});
    let (status, ended) = server.send(server.request(Method::PATCH, &format!("{API}/traces/{id}")).json(&end)).await;
    assert_eq!(status, 200, "{ended}");
    let (_, mut known) = server.get(&format!("{API}/traces/{id}/info")).await;
    assert_eq!(known, ended);
    let tags = known["trace_info"]["tags"].take();
    assert!(tags.as_array().unwrap().contains(&json!({"key": "t", "value": "3"})), "{tags}");
    let expect = json!({
        "request_id": id, "experiment_id": "0", "timestamp_ms": 1_000, "execution_time_ms": 250, "status": "OK",
        "request_metadata": [{"key": "m", "value": "2"}], "tags": null,
    });
    assert_eq!(known["trace_info"], expect);
    let (status, found) =
        server.get(&format!("{API}/traces?experiment_ids=0&filter=status%20%3D%20%27OK%27&max_results=5")).await;
    assert_eq!((status, &found["traces"][0]["request_id"]), (200, &json!(id)));
    assert_eq!(server.get(&format!("{API}/traces")).await.0, 400);
}

#[tokio::test]
async fn traces_are_counted_by_time_and_status() {
    let server = Server::start().await;
    let place = json!({"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}});
    for (id, at, took, state) in [
        ("tr-1", "2026-01-01T10:00:00Z", "0.010s", "OK"),
        ("tr-2", "2026-01-01T11:00:00Z", "0.020s", "OK"),
        ("tr-3", "2026-01-01T12:00:00Z", "0.040s", "ERROR"),
        ("tr-4", "2026-01-02T12:00:00Z", "0.050s", "OK"),
    ] {
        let usage = json!({"mlflow.trace.tokenUsage": "{\"input_tokens\": 3, \"total_tokens\": 7}"});
        let info = json!({
            "trace_id": id, "trace_location": place, "request_time": at, "execution_duration": took, "state": state,
            "trace_metadata": usage,
        });
        ok(&server, "/traces", json!({"trace": {"trace_info": info}})).await;
    }
    let ask = async |mut body: Value| {
        body["experiment_ids"] = json!(["0"]);
        body["view_type"] = json!("TRACES");
        server.post(&format!("{API}/traces/metrics"), &body).await
    };
    let counted = json!({"metric_name": "trace_count", "aggregations": [{"aggregation_type": "COUNT"}], "dimensions": ["trace_status"], "time_interval_seconds": 86_400});
    let group = |day: &str, status: &str, count: f64| {
        json!({
            "metric_name": "trace_count", "values": {"COUNT": count},
            "dimensions": {"time_bucket": format!("2026-01-{day}T00:00:00+00:00"), "trace_status": status},
        })
    };
    let expect = json!({"data_points": [group("01", "ERROR", 1.0), group("01", "OK", 2.0), group("02", "OK", 1.0)]});
    assert_eq!(ask(counted).await, (200, expect));
    // numpy.quantile([10, 20, 40, 50], [0.5, 0.9]) is [30, 47]
    let latency = json!({"metric_name": "latency", "aggregations": [
        {"aggregation_type": "PERCENTILE", "percentile_value": 50}, {"aggregation_type": "PERCENTILE", "percentile_value": 90},
        {"aggregation_type": "AVG"}, {"aggregation_type": "MAX"},
    ]});
    let expect = json!({"P50.0": 30.0, "P90.0": 47.0, "AVG": 30.0, "MAX": 50.0});
    assert_eq!(ask(latency).await.1["data_points"][0]["values"], expect);
    let tokens = json!({"metric_name": "total_tokens", "aggregations": [{"aggregation_type": "SUM"}], "filters": ["trace.status = 'OK'"]});
    assert_eq!(ask(tokens).await.1["data_points"][0]["values"], json!({"SUM": 21.0}));
    for wrong in [
        json!({"metric_name": "nope", "aggregations": [{"aggregation_type": "COUNT"}]}),
        json!({"metric_name": "trace_count", "aggregations": [{"aggregation_type": "SUM"}]}),
        json!({"metric_name": "latency", "aggregations": [{"aggregation_type": "AVG"}], "dimensions": ["trace_status"]}),
        json!({"metric_name": "trace_count", "aggregations": []}),
    ] {
        assert_eq!(ask(wrong.clone()).await.0, 400, "{wrong}");
    }
}
