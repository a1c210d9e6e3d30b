//! The two queries of MLflow's pages, as its client library sends them (with `__typename` everywhere); answers as MLflow 3.17.2 gives them.

use serde_json::{Value, json};

use super::{API, a_run, a_version, ok};
use crate::server::Server;

const EXPERIMENT: &str = "query MlflowGetExperimentQuery($input: MlflowGetExperimentInput!) @component(name: \"X\") {
    mlflowGetExperiment(input: $input) {
        apiError { code message __typename }
        experiment { experimentId lastUpdateTime effectiveTraceArchivalRetention name tags { key value __typename } __typename }
        __typename
    }
}";

async fn ask(server: &Server, query: &str, variables: Value) -> (u16, Value) {
    server.post("/graphql", &json!({"query": query, "variables": variables})).await
}

#[tokio::test]
async fn an_experiment_is_answered() {
    let server = Server::start().await;
    ok(&server, "/experiments/set-experiment-tag", json!({"experiment_id": "0", "key": "a", "value": "b"})).await;
    let (status, answer) = ask(&server, EXPERIMENT, json!({"input": {"experimentId": "0"}})).await;
    let expect = json!({"data": {"mlflowGetExperiment": {
        "__typename": "MlflowGetExperimentResponse",
        "apiError": null,
        "experiment": {
            "__typename": "MlflowExperiment", "experimentId": "0", "name": "Default", "effectiveTraceArchivalRetention": "",
            "lastUpdateTime": answer["data"]["mlflowGetExperiment"]["experiment"]["lastUpdateTime"],
            "tags": [{"__typename": "MlflowExperimentTag", "key": "a", "value": "b"}],
        },
    }}, "errors": null});
    assert_eq!((status, &answer), (200, &expect));
    assert!(answer["data"]["mlflowGetExperiment"]["experiment"]["lastUpdateTime"].is_string());
    let (status, answer) = ask(&server, EXPERIMENT, json!({"input": {"experimentId": "99"}})).await;
    assert_eq!((status, &answer["data"]), (200, &json!({"mlflowGetExperiment": null})));
    assert_eq!(answer["errors"], json!(["No Experiment with id=99 exists"]));
}

#[tokio::test]
async fn a_run_is_answered_with_its_experiment_and_versions() {
    let server = Server::start().await;
    a_version(&server, "flights").await;
    let search = json!({"experiment_ids": ["0"]});
    let run = ok(&server, "/runs/search", search).await["runs"][0]["info"]["run_id"].as_str().unwrap().to_owned();
    for (step, value) in [(0, json!(1.5)), (1, json!("NaN"))] {
        let point = json!({"run_id": run, "key": format!("m{step}"), "value": value, "timestamp": 5, "step": step});
        ok(&server, "/runs/log-metric", point).await;
    }
    let query = "query GetRun($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run {
            info { runUuid status startTime endTime }
            experiment { name }
            modelVersions { name version status }
            data { metrics { key value step timestamp } params { key } }
            inputs { datasetInputs { dataset { name } } modelInputs { modelId } }
            outputs { modelOutputs { modelId step } }
        } } }";
    let (status, answer) = ask(&server, query, json!({"data": {"runId": run}})).await;
    let expect = json!({
        "info": {"runUuid": run, "status": "RUNNING", "startTime": "5", "endTime": "0"},
        "experiment": {"name": "Default"},
        "modelVersions": [{"name": "flights", "version": "1", "status": "READY"}],
        "data": {"params": [], "metrics": [
            {"key": "m0", "value": 1.5, "step": "0", "timestamp": "5"},
            {"key": "m1", "value": null, "step": "1", "timestamp": "5"},
        ]},
        "inputs": {"datasetInputs": [], "modelInputs": []},
        "outputs": {"modelOutputs": []},
    });
    assert_eq!((status, &answer["data"]["mlflowGetRun"]["run"]), (200, &expect), "{answer}");
}

#[tokio::test]
async fn aliases_and_fragments_work_and_what_cannot_be_asked_is_said() {
    let server = Server::start().await;
    let run = a_run(&server).await;
    let query = format!(
        "{{ mine: mlflowGetRun(input: {{runId: \"{run}\"}}) {{ run {{ ...F ... on MlflowRun {{ info {{ status }} }} }} }} }}
         fragment F on MlflowRun {{ i: info {{ runId }} }}"
    );
    let (_, answer) = ask(&server, &query, Value::Null).await;
    assert_eq!(answer["data"]["mine"]["run"], json!({"i": {"runId": run}, "info": {"status": "RUNNING"}}), "{answer}");
    let check = async |query: String, text: &str| {
        let (status, answer) = ask(&server, &query, Value::Null).await;
        let said = answer["errors"][0].as_str().or(answer["message"].as_str()).unwrap_or_default();
        assert!(said.contains(text) && matches!(status, 200 | 400), "{query}: {status} {answer}");
    };
    check("{ nope { a } }".to_owned(), "Cannot query field 'nope' on type 'Query'.").await;
    check(query.replace("status", "nope"), "Cannot query field 'nope' on type 'MlflowRunInfo'.").await;
    check(query.replace("...F", "...G"), "Unknown fragment 'G'.").await;
    check(query.replace("runId } }", "runId } ...F }"), "maximum depth").await;
    check("query {".to_owned(), "Invalid GraphQL query").await;
    for open in ["{a", "(a:[", "{a(b:{c:"] {
        check(open.repeat(100_000), "Invalid GraphQL query").await;
    }
    check("mutation { mlflowSearchRuns { runs { info { runId } } } }".to_owned(), "names no query").await;
    check(format!("{{ {} }}", "__typename ".repeat(1_001)), "maximum total selections").await;
    check(format!("{{ {} }}", "__typename ".repeat(11)), "at the root").await;
    let (status, answer) = server.post("/graphql", &json!({})).await;
    assert_eq!((status, &answer["error_code"]), (400, &json!("INVALID_PARAMETER_VALUE")));
    assert_eq!(server.get(&format!("{API}/graphql")).await.0, 404);
}
