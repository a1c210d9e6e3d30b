//! The scoring contract of mlflow.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Server, close, expected};

#[tokio::test]
async fn all_four_json_forms_and_csv_give_the_same_predictions() -> anyhow::Result<()> {
    let server = Server::of("regression-1").await?;
    let known = expected("regression-1")?;
    let names = ["f0", "f1", "f2", "f3"];
    let data: Vec<Vec<&Value>> = known.rows.iter().map(|row| names.iter().map(|name| &row[*name]).collect()).collect();
    let columns: Value = names
        .iter()
        .map(|name| ((*name).to_owned(), known.rows.iter().map(|row| row[*name].clone()).collect()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let forms = [
        json!({ "dataframe_split": { "index": [0], "columns": names, "data": data } }),
        json!({ "dataframe_split": { "data": data, "columns": names } }),
        json!({ "dataframe_split": { "data": data } }),
        json!({ "dataframe_records": known.rows }),
        json!({ "instances": known.rows }),
        json!({ "instances": data }),
        json!({ "inputs": columns, "params": { "x": 1 } }),
        json!({ "inputs": data }),
    ];
    let mut answers = Vec::new();
    for form in forms {
        answers.push((
            form.to_string().chars().take(60).collect::<String>(),
            server.post("/invocations", form.to_string()).await?,
        ));
    }
    let lines: Vec<String> =
        data.iter().map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")).collect();
    let csv = format!("f0,f1,f2,f3\n{}\n", lines.join("\n"));
    answers.push(("csv".to_owned(), server.post_as("/invocations", "text/csv; charset=UTF-8", csv).await?));
    for (form, (status, answer)) in answers {
        assert_eq!(status, StatusCode::OK, "{form}: {answer}");
        let given = answer["predictions"].as_array().unwrap();
        assert_eq!(given.len(), known.predictions.len(), "{form}");
        assert!(given.iter().zip(&known.predictions).all(|(have, want)| close(have, want)), "{form}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_classifier_gives_labels_or_probabilities_as_it_was_logged() -> anyhow::Result<()> {
    let binary = Server::of("binary").await?;
    let known = expected("binary")?;
    let (_, answer) = binary.post("/invocations", json!({ "dataframe_records": known.rows }).to_string()).await?;
    assert_eq!(answer["predictions"], json!(known.predictions));

    let multiclass = Server::of("multiclass").await?;
    let known = expected("multiclass")?;
    let (_, answer) = multiclass.post("/invocations", json!({ "dataframe_records": known.rows }).to_string()).await?;
    for (have, want) in answer["predictions"].as_array().unwrap().iter().zip(&known.probabilities) {
        assert_eq!(have.as_array().unwrap().len(), want.len());
        assert!(have.as_array().unwrap().iter().zip(want).all(|(have, want)| close(have, &json!(want))));
    }
    Ok(())
}

#[tokio::test]
async fn what_mlflow_lets_pass_passes() -> anyhow::Result<()> {
    let server = Server::of("binary").await?;
    let check = async |content: &str, body: &str| -> anyhow::Result<()> {
        let (status, answer) = server.post_as("/invocations", content, body.to_owned()).await?;
        assert_eq!(status, StatusCode::OK, "{body}: {answer}");
        Ok(())
    };
    let json = "application/json";
    check(json, r#"{"dataframe_records": [{"carrier": "AA", "hour": 7, "distance": 1, "extra": {"deep": [1]}}]}"#)
        .await?;
    check(json, r#"{"dataframe_split": {"columns": ["x", "carrier", "hour", "distance", "prev_delay"], "data": [["NaN", "AA", 7, 1, NaN]]}}"#).await?;
    check(json, r#"{"inputs": {"carrier": ["AA", "DL"], "hour": [7, 8], "distance": [1.5, 2], "extra": [1, 2]}}"#)
        .await?;
    check("text/csv", "carrier,hour,distance,prev_delay,extra\nAA,7,1.5,,x\nDL,8.0,2,NaN,y\n").await?;
    check("text/csv", "hour,carrier,distance\r\n7,\"AA\",1e3\r\n").await
}

#[tokio::test]
async fn refusals_have_the_shape_of_mlflow() -> anyhow::Result<()> {
    let server = Server::of("binary").await?;
    let check = async |content: &str, body: &str, message: &str| -> anyhow::Result<()> {
        let (status, answer) = server.post_as("/invocations", content, body.to_owned()).await?;
        assert_eq!(
            (status, &answer["error_code"]),
            (StatusCode::BAD_REQUEST, &json!("BAD_REQUEST")),
            "{body}: {answer}"
        );
        assert!(answer["message"].as_str().unwrap().contains(message), "{body}: {answer}");
        Ok(())
    };
    let json = "application/json";
    check(json, "[1]", "exactly one of").await?;
    check(json, "{}", "exactly one of").await?;
    check(json, r#"{"instances": [], "inputs": []}"#, "exactly one of").await?;
    check(json, r#"{"dataframe_split": {"columns": ["a"]}}"#, "dataframe_split must hold").await?;
    check(json, r#"{"dataframe_split": 5}"#, "dataframe_split must hold").await?;
    check(json, r#"{"instances": []}"#, "no rows").await?;
    check(json, r#"{"instances": "x"}"#, "expected an array of rows").await?;
    check(
        json,
        r#"{"inputs": {"carrier": ["AA"], "hour": [1, 2], "distance": [1, 2]}}"#,
        "column `carrier` has 1 values, the others have 2",
    )
    .await?;
    check(json, r#"{"inputs": {"carrier": ["AA"], "hour": [1]}}"#, "column `distance` is missing").await?;
    check(json, r#"{"inputs": {"carrier": 5}}"#, "an array with the values of a column").await?;
    check(
        json,
        r#"{"dataframe_records": [{"carrier": "AA", "hour": null, "distance": 1}]}"#,
        "column `hour`: expected a whole number (long), got null",
    )
    .await?;
    check(json, r#"{"instances": [["AA", Infinity, 1, 1]]}"#, "not valid JSON").await?;
    check(
        "text/csv",
        "carrier,hour,distance\nAA,seven,1\n",
        "column `hour`: expected a whole number (long), got the text \"seven\"",
    )
    .await?;
    check("text/csv", "carrier,hour,distance\nAA,7\n", "not valid CSV").await?;
    check("text/csv", "", "no rows").await
}

#[tokio::test]
async fn other_content_types_are_415() -> anyhow::Result<()> {
    let server = Server::of("binary").await?;
    for content in [
        "application/xml",
        "application/vnd.apache.parquet",
        "application/json; charset=latin-1",
        "application/json; format=pandas-split",
    ] {
        let (status, answer) = server.post_as("/invocations", content, "{}").await?;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_deployment_is_found_by_path_by_header_or_because_it_is_the_only_one() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let body = json!({ "instances": [[1, 2, 3, 4]] });
    assert_eq!(server.get("/ping").await?.0, StatusCode::NOT_FOUND);
    let (status, answer) = server.post("/invocations", body.to_string()).await?;
    assert_eq!((status, &answer["error_code"]), (StatusCode::NOT_FOUND, &json!("RESOURCE_DOES_NOT_EXIST")));

    server.roll("a", "regression-1", "1").await?;
    assert_eq!(server.get("/ping").await?, (StatusCode::OK, "\n".to_owned()));
    assert_eq!(server.post("/invocations", body.to_string()).await?.0, StatusCode::OK);

    server.roll("b", "regression-2", "1").await?;
    let (status, answer) = server.post("/invocations", body.to_string()).await?;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(answer["message"].as_str().unwrap().contains("a, b"), "{answer}");
    let named = server
        .http
        .post(format!("{}/invocations", server.url))
        .header("x-rondo-deployment", "b")
        .json(&body)
        .send()
        .await?;
    assert_eq!(named.status(), StatusCode::OK);
    assert_eq!(named.headers()["x-rondo-prediction-id"].len(), 36);
    let named: Value = named.json().await?;
    let (_, by_path) = server.post("/deployments/b/invocations", body.to_string()).await?;
    assert_eq!(named, by_path);
    assert_eq!(server.get("/deployments/b/ping").await?.0, StatusCode::OK);
    assert_eq!(server.get("/deployments/c/ping").await?.0, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/deployments/b/version").await?.1, "3.17.2");
    Ok(())
}
