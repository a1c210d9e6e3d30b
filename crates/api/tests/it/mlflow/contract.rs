//! The list of what MLflow's protocol has: every method and path answers, under each prefix, in the protocol's own voice.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

/// Below `/mlflow`, as MLflow 3.18 describes them: tracking.
const TRACKING: &str = "
    GET artifacts/list
    GET experiments/get-by-name
    POST experiments/create
    POST experiments/search
    GET experiments/search
    GET experiments/get
    POST experiments/delete
    POST experiments/restore
    POST experiments/update
    POST experiments/set-experiment-tag
    POST experiments/delete-experiment-tag
    POST experiments/search-datasets
    POST logged-models
    PATCH logged-models/m-1
    GET logged-models/m-1
    DELETE logged-models/m-1
    POST logged-models/search
    PATCH logged-models/m-1/tags
    DELETE logged-models/m-1/tags/k
    GET logged-models/m-1/artifacts/directories
    GET logged-models/m-1/artifacts/files
    POST logged-models/m-1/params
    GET metrics/get-history
    GET metrics/get-history-bulk
    GET metrics/get-history-bulk-interval
    POST runs/create
    POST runs/update
    POST runs/delete
    POST runs/restore
    POST runs/log-metric
    POST runs/log-parameter
    POST runs/set-tag
    POST runs/delete-tag
    GET runs/get
    POST runs/search
    POST runs/log-batch
    POST runs/log-model
    POST runs/log-inputs
    POST runs/outputs
    GET server-info
    GET get-artifact
    POST upload-artifact
";

/// Below `/mlflow`: the registry.
const REGISTRY: &str = "
    POST registered-models/create
    POST registered-models/rename
    PATCH registered-models/update
    DELETE registered-models/delete
    GET registered-models/get
    GET registered-models/search
    POST registered-models/get-latest-versions
    GET registered-models/get-latest-versions
    POST registered-models/set-tag
    DELETE registered-models/delete-tag
    POST registered-models/alias
    DELETE registered-models/alias
    GET registered-models/alias
    POST model-versions/create
    PATCH model-versions/update
    POST model-versions/transition-stage
    DELETE model-versions/delete
    GET model-versions/get
    GET model-versions/search
    GET model-versions/get-download-uri
    POST model-versions/set-tag
    DELETE model-versions/delete-tag
    POST webhooks
    GET webhooks
    GET webhooks/w-1
    PATCH webhooks/w-1
    DELETE webhooks/w-1
    POST webhooks/w-1/test
";

/// Below `/mlflow`: traces and what is said of them.
const TRACES: &str = "
    POST traces
    POST traces/search
    POST traces/metrics
    GET traces/get
    GET traces/batchGet
    POST traces/batchGetInfos
    POST traces/delete-traces
    POST traces/link-to-run
    POST traces/link-prompts
    GET traces/tr-1
    PATCH traces/tr-1
    GET traces/tr-1/info
    GET traces
    PATCH traces/tr-1/tags
    DELETE traces/tr-1/tags
    POST traces/tr-1/assessments
    GET traces/tr-1/assessments/a-1
    PATCH traces/tr-1/assessments/a-1
    DELETE traces/tr-1/assessments/a-1
    GET get-trace-artifact
";

/// Below `/mlflow`: evaluation datasets and scorers.
const GENAI: &str = "
    POST datasets/create
    GET datasets/d-1
    DELETE datasets/d-1
    POST datasets/search
    GET datasets/search
    PATCH datasets/d-1/tags
    DELETE datasets/d-1/tags/k
    POST datasets/d-1/records
    GET datasets/d-1/experiment-ids
    GET datasets/d-1/records
    DELETE datasets/d-1/records
    POST datasets/d-1/add-experiments
    POST datasets/d-1/remove-experiments
    POST scorers/register
    GET scorers/list
    GET scorers/versions
    GET scorers/get
    DELETE scorers/delete
";

/// Beside them. Where the store signs no links, that is said in words that make clients fetch the file in one piece.
const ROOTED: &str = "
    GET /version
    POST /graphql
    GET /health
    GET /get-artifact
    GET /model-versions/get-artifact
    GET /api/2.0/mlflow-artifacts/artifacts
    GET /api/2.0/mlflow-artifacts/artifacts/x
    PUT /api/2.0/mlflow-artifacts/artifacts/x
    DELETE /api/2.0/mlflow-artifacts/artifacts/x
    POST /api/2.0/mlflow-artifacts/mpu/create/x
    POST /api/2.0/mlflow-artifacts/mpu/complete/x
    POST /api/2.0/mlflow-artifacts/mpu/abort/x
    GET /api/2.0/mlflow-artifacts/presigned/x
";

const PREFIXES: [&str; 4] = ["/api/2.0/mlflow", "/api/3.0/mlflow", "/ajax-api/2.0/mlflow", "/ajax-api/3.0/mlflow"];

fn pairs(list: &str) -> impl Iterator<Item = (Method, &str)> {
    list.lines().filter_map(|line| line.trim().split_once(' ')).map(|(method, path)| (method.parse().unwrap(), path))
}

/// An unknown path has no error code and a known path with another method is 405: both would send a client elsewhere.
async fn check(server: &Server, method: Method, path: &str) {
    let request = server.request(method.clone(), path);
    let request = if method == Method::GET { request } else { request.json(&json!({})) };
    let (status, answer) = server.send(request).await;
    let refused_in_words = status < 500 && answer["error_code"].is_string();
    let no_link = status == 501 && answer["message"].as_str().is_some_and(|text| text.contains("not supported"));
    assert!(status == 200 || refused_in_words || no_link, "{method} {path}: {status} {answer}");
}

#[tokio::test]
async fn every_pair_of_the_contract_answers_under_every_prefix() {
    let server = Server::start().await;
    for list in [TRACKING, REGISTRY, TRACES, GENAI] {
        for (method, path) in pairs(list) {
            for prefix in PREFIXES {
                check(&server, method.clone(), &format!("{prefix}/{path}")).await;
            }
        }
    }
    for (method, path) in pairs(ROOTED) {
        check(&server, method.clone(), path).await;
        if path.starts_with("/api") {
            check(&server, method, &path.replace("/api", "/ajax-api")).await;
        }
    }
}

#[tokio::test]
async fn what_is_not_in_the_contract_has_no_error_code() {
    let server = Server::start().await;
    for (method, path, expect) in [(Method::GET, "runs/nope", 404), (Method::PUT, "runs/create", 405)] {
        let (status, answer) = server.send(server.request(method, &format!("/api/2.0/mlflow/{path}"))).await;
        assert_eq!((status, answer.get("error_code")), (expect, None::<&Value>), "{path}: {answer}");
    }
}
