//! `/v1/models`: KServe's first protocol and TensorFlow Serving.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Server, close, expected};

#[tokio::test]
async fn instances_are_answered_by_row_and_inputs_by_column() -> anyhow::Result<()> {
    let server = Server::of("regression-1").await?;
    let known = expected("regression-1")?;
    let names = ["f0", "f1", "f2", "f3"];
    let data: Vec<Vec<&Value>> = known.rows.iter().map(|row| names.iter().map(|name| &row[*name]).collect()).collect();
    let column = |name: &str| -> Value { known.rows.iter().map(|row| row[name].clone()).collect() };
    let columns: Value = names.iter().map(|name| ((*name).to_owned(), column(name))).collect();
    for (body, key) in [
        (json!({ "instances": data }), "predictions"),
        (json!({ "instances": known.rows, "signature_name": "serving_default" }), "predictions"),
        (json!({ "inputs": columns }), "outputs"),
        (json!({ "inputs": { "input": data } }), "outputs"),
        (json!({ "inputs": data }), "outputs"),
    ] {
        for path in ["/v1/models/d:predict", "/v1/models/d/versions/1:predict"] {
            let (status, answer) = server.post(path, body.to_string()).await?;
            assert_eq!(status, StatusCode::OK, "{answer}");
            let given = answer[key].as_array().unwrap();
            assert_eq!(given.len(), known.predictions.len());
            assert!(given.iter().zip(&known.predictions).all(|(have, want)| close(have, want)), "{answer}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn one_object_describes_a_model_to_every_client() -> anyhow::Result<()> {
    let server = Server::of("binary").await?;
    let (_, all) = server.get_json("/v1/models").await?;
    assert_eq!((&all["models"], &all["object"], &all["data"][0]["id"]), (&json!(["d"]), &json!("list"), &json!("d")));
    let (status, model) = server.get_json("/v1/models/d").await?;
    let available =
        json!([{ "version": "1", "state": "AVAILABLE", "status": { "error_code": "OK", "error_message": "" } }]);
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&model["name"], &model["ready"], &model["object"]), (&json!("d"), &json!(true), &json!("model")));
    assert_eq!(model["model_version_status"], available);
    let (_, version) = server.get_json("/v1/models/d/versions/1").await?;
    assert_eq!(version, json!({ "model_version_status": available }));
    for path in ["/v1/models/d/metadata", "/v1/models/d/versions/1/metadata"] {
        let (_, described) = server.get_json(path).await?;
        assert_eq!(described["model_spec"], json!({ "name": "d", "signature_name": "", "version": "1" }));
        let signature = &described["metadata"]["signature_def"]["signature_def"]["serving_default"];
        assert_eq!(signature["inputs"]["carrier"]["dtype"], "DT_STRING");
        let shape =
            json!({ "dim": [{ "size": "-1", "name": "" }, { "size": "2", "name": "" }], "unknown_rank": false });
        assert_eq!(signature["outputs"]["probabilities"]["tensor_shape"], shape);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_or_not_understood_is_said() -> anyhow::Result<()> {
    let server = Server::of("regression-1").await?;
    for (path, body, status, says) in [
        ("/v1/models/ghost:predict", r#"{"instances": [[1, 2, 3, 4]]}"#, 404, "ghost"),
        ("/v1/models/d/versions/7:predict", r#"{"instances": [[1, 2, 3, 4]]}"#, 404, "version 7"),
        ("/v1/models/d:explain", r#"{"instances": [[1, 2, 3, 4]]}"#, 400, "`:explain` is not supported"),
        ("/v1/models/d", "{}", 400, "must end in `:predict`"),
        ("/v1/models/d:predict", "{}", 400, "exactly one of `instances` and `inputs`"),
        ("/v1/models/d:predict", r#"{"instances": [], "inputs": []}"#, 400, "exactly one of"),
        ("/v1/models/d:predict", r#"{"dataframe_records": [{"f0": 1}]}"#, 400, "exactly one of"),
        ("/v1/models/d:predict", r#"{"instances": [[1, 2, "x", 4]]}"#, 400, "f2"),
        ("/v1/models/d:predict", "[", 400, "a list came"),
    ] {
        let (have, answer) = server.post(path, body).await?;
        let text = answer["error"].as_str().unwrap_or_default();
        assert!(have.as_u16() == status && text.contains(says), "{path} {body}: {have} {answer}");
    }
    assert_eq!(server.get_json("/v1/models/ghost").await?.0, StatusCode::NOT_FOUND);
    assert_eq!(server.get_json("/v1/models/d:predict").await?.0, StatusCode::METHOD_NOT_ALLOWED);
    Ok(())
}
