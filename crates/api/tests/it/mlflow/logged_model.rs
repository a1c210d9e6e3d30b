//! Logged models on the wire.

use reqwest::Method;
use serde_json::{Value, json};

use super::{API, a_run, get, ok, refused};
use crate::server::Server;

#[tokio::test]
async fn a_logged_model_lives() {
    let server = Server::start().await;
    let run_id = a_run(&server).await;
    let new = json!({
        "experiment_id": "0", "name": "m", "model_type": "", "source_run_id": run_id,
        "params": [{"key": "depth", "value": "4"}], "tags": [{"key": "a/b", "value": "1"}],
    });
    let model = ok(&server, "/logged-models", new).await["model"].clone();
    let id = model["info"]["model_id"].as_str().unwrap();
    assert_eq!(model["info"]["status"], "LOGGED_MODEL_PENDING");
    assert_eq!(model["info"]["artifact_uri"], json!(format!("mlflow-artifacts:/0/models/{id}/artifacts")));
    assert_eq!(model["data"], json!({"params": [{"key": "depth", "value": "4"}]}));
    let change = |method: Method, path: String, body: Value| {
        let request = server.request(method, &format!("{API}/logged-models/{id}{path}")).json(&body);
        server.send(request)
    };
    let (status, ready) =
        change(Method::PATCH, String::new(), json!({"model_id": id, "status": "LOGGED_MODEL_READY"})).await;
    assert_eq!((status, &ready["model"]["info"]["status"]), (200, &json!("LOGGED_MODEL_READY")));
    let tags = json!({"tags": [{"key": "x", "value": "2"}]});
    assert_eq!(change(Method::PATCH, "/tags".to_owned(), tags).await.0, 200);
    assert_eq!(change(Method::DELETE, "/tags/a%2Fb".to_owned(), json!({})).await.0, 200);
    assert_eq!(change(Method::DELETE, "/tags/a/b".to_owned(), json!({})).await.0, 404);
    let params = json!({"params": [{"key": "lr", "value": "0.1"}]});
    assert_eq!(change(Method::POST, "/params".to_owned(), params).await, (200, json!({})));
    ok(&server, "/runs/outputs", json!({"run_id": run_id, "models": [{"model_id": id, "step": 2}]})).await;
    let point = json!({"run_id": run_id, "key": "mae", "value": 0.5, "timestamp": 1, "model_id": id});
    ok(&server, "/runs/log-metric", point).await;
    let found = get(&server, &format!("/logged-models/{id}")).await["model"].clone();
    assert_eq!(found["info"]["tags"], json!([{"key": "x", "value": "2"}]));
    let metric = json!([{"key": "mae", "value": 0.5, "timestamp": 1, "step": 0, "model_id": id, "run_id": run_id}]);
    assert_eq!(found["data"]["metrics"], metric);
    let run = get(&server, &format!("/runs/get?run_id={run_id}")).await;
    assert_eq!(run["run"]["outputs"], json!({"model_outputs": [{"model_id": id, "step": 2}]}));
    let search = json!({
        "experiment_ids": ["0"], "filter": "metrics.mae < 1 AND params.lr = '0.1'",
        "order_by": [{"field_name": "metrics.mae", "ascending": false}],
    });
    let models = ok(&server, "/logged-models/search", search).await;
    assert_eq!(models["models"], json!([found]));
    let request = server.request(Method::DELETE, &format!("{API}/logged-models/{id}"));
    assert_eq!(server.send(request).await, (200, json!({})));
    assert_eq!(server.get(&format!("{API}/logged-models/{id}")).await.0, 404);
    assert_eq!(server.get(&format!("{API}/logged-models/{id}?allow_deleted=True")).await.0, 200);
    let wrong = json!({"experiment_id": "0", "name": "a/b"});
    refused(&server, "/logged-models", wrong, (400, "INVALID_PARAMETER_VALUE", "Invalid model name ('a/b')")).await;
}
