//! POST /deployments/{name}/predict.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Server, close, expected};

const PREDICT: &str = "/deployments/d/predict";

#[tokio::test]
async fn rows_as_objects_are_answered_as_scikit_learn_does() -> anyhow::Result<()> {
    let server = Server::of("regression-1").await?;
    let known = expected("regression-1")?;
    let (status, answer) = server.post(PREDICT, json!({ "rows": known.rows }).to_string()).await?;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        (&answer["deployment"], &answer["model"], &answer["version"]),
        (&json!("d"), &json!("toy"), &json!("1"))
    );
    let given = answer["predictions"].as_array().unwrap();
    assert_eq!(given.len(), known.rows.len());
    for (given, want) in given.iter().zip(&known.predictions) {
        assert!(close(&given["prediction"], want), "{given} {want}");
        assert_eq!(given["id"].as_str().unwrap().len(), 36);
    }
    Ok(())
}

#[tokio::test]
async fn a_classifier_gives_label_and_score_and_all_probabilities_when_asked() -> anyhow::Result<()> {
    for model in ["binary", "multiclass"] {
        let server = Server::of(model).await?;
        let known = expected(model)?;
        let body = json!({ "probabilities": true, "rows": known.rows }).to_string();
        let (status, answer) = server.post(PREDICT, body).await?;
        assert_eq!(status, StatusCode::OK, "{answer}");
        for (row, given) in answer["predictions"].as_array().unwrap().iter().enumerate() {
            let probabilities = given["probabilities"].as_object().unwrap();
            let values: Vec<f64> = probabilities.values().map(|value| value.as_f64().unwrap()).collect();
            for (have, want) in values.iter().zip(&known.probabilities[row]) {
                assert!(close(&json!(have), &json!(want)), "{model} row {row}: {have} {want}");
            }
            if model == "binary" {
                assert_eq!(given["label"], known.predictions[row]);
                assert!(close(&given["score"], &json!(known.probabilities[row][1])));
                assert_eq!(probabilities.keys().collect::<Vec<_>>(), ["0", "1"]);
            } else {
                let most = known.probabilities[row].iter().copied().fold(0.0, f64::max);
                assert!(close(&given["score"], &json!(most)));
                assert!(probabilities.contains_key(given["label"].as_str().unwrap()));
            }
        }
        let (_, plain) = server.post(PREDICT, json!({ "rows": [known.rows[0]] }).to_string()).await?;
        assert!(plain["predictions"][0].get("probabilities").is_none());
    }
    Ok(())
}

#[tokio::test]
async fn every_form_of_a_request_gives_the_same_answer() -> anyhow::Result<()> {
    let server = Server::of("binary").await?;
    let object = json!({ "carrier": "AA", "hour": 7, "distance": 500.5, "prev_delay": null });
    let forms = [
        json!({ "rows": [object] }).to_string(),
        json!({ "inputs": object }).to_string(),
        json!({ "rows": [["AA", 7, 500.5, null]] }).to_string(),
        json!({ "inputs": ["AA", 7.0, 500.5, null] }).to_string(),
        r#"{"columns": ["hour", "carrier", "distance"], "rows": [[7, "AA", 500.5]]}"#.to_owned(),
        r#"{"rows": [[7, "AA", 500.5]], "columns": ["hour", "carrier", "distance"]}"#.to_owned(),
        r#"{"rows": [["AA", 500.5, 7, null]], "columns": ["carrier", "distance", "hour", "prev_delay"]}"#.to_owned(),
        r#"{"rows": [{"distance": 5.005e2, "hour": 7, "carrier": "\u0041A"}]}"#.to_owned(),
    ];
    let mut scores = Vec::new();
    for form in forms {
        let (status, answer) = server.post(PREDICT, form.clone()).await?;
        assert_eq!(status, StatusCode::OK, "{form}: {answer}");
        scores.push(answer["predictions"][0]["score"].as_f64().unwrap());
    }
    assert!(scores.iter().all(|score| *score == scores[0]), "{scores:?}");
    Ok(())
}

#[tokio::test]
async fn ids_and_event_times_are_kept_in_the_log() -> anyhow::Result<()> {
    let server = Server::of("regression-1").await?;
    let body = json!({
        "rows": [[0, 1, 2, 3], [1, 2, 3, 4]], "ids": ["flight-1", 77], "event_times": ["2013-03-01T05:00:00Z", 1.5],
    });
    let (status, answer) = server.post(PREDICT, body.to_string()).await?;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let ids: Vec<&str> =
        answer["predictions"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["flight-1", "77"]);

    let single = json!({ "inputs": [0, 1, 2, 3], "id": "solo", "event_time": 100 });
    server.post(PREDICT, single.to_string()).await?;
    let found = server.house.log.find("solo").await?.unwrap();
    assert_eq!((found.event_time_us, &*found.deployment, &*found.version), (100_000_000, "d", "1"));
    let scan = telemetry::Scan { deployment: "d".into(), until_us: i64::MAX, ..telemetry::Scan::default() };
    let rows = server.house.log.scan(scan).await?;
    assert_eq!(rows.ids, ["77", "solo", "flight-1"]);
    assert_eq!(rows.event_time_us, [1_500_000, 100_000_000, 1_362_114_000_000_000]);
    Ok(())
}

#[tokio::test]
async fn the_headers_name_the_version_and_the_request() -> anyhow::Result<()> {
    let server = Server::of("regression-1").await?;
    let url = format!("{}{PREDICT}", server.url);
    let body = json!({ "inputs": [0, 1, 2, 3] });
    let response = server.http.post(&url).header("x-request-id", "mine").json(&body).send().await?;
    assert_eq!(
        (&response.headers()["x-rondo-version"], &response.headers()["x-request-id"]),
        (&"1".parse()?, &"mine".parse()?)
    );
    let response = server.http.post(&url).json(&body).send().await?;
    assert_eq!(response.headers()["x-request-id"].len(), 36);
    let response = server.http.post(&url).body("{").header("content-type", "application/json").send().await?;
    assert_eq!((response.status(), response.headers()["x-request-id"].len()), (StatusCode::BAD_REQUEST, 36));
    Ok(())
}

/// What is wrong, and where: (body, field, message, hint).
#[tokio::test]
async fn errors_name_the_column_what_was_expected_and_what_came() -> anyhow::Result<()> {
    let server = Server::of("binary").await?;
    let check = async |body: &str, field: &str, message: &str| -> anyhow::Result<()> {
        let (status, answer) = server.post(PREDICT, body.to_owned()).await?;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
        let error = &answer["error"];
        assert_eq!((&error["kind"], &error["field"]), (&json!("invalid"), &json!(field)), "{body}: {answer}");
        let told = error["message"].as_str().unwrap();
        assert!(told.contains(message), "{body}: {told}");
        Ok(())
    };
    check(
        r#"{"rows": [{"carrier": "AA", "hour": "seven", "distance": 1}]}"#,
        "rows[0].hour",
        "row 0, column `hour`: expected a whole number (long), got the text \"seven\"",
    )
    .await?;
    check(
        r#"{"rows": [["AA", 7, 1, 1], [5, 7, 1, 1]]}"#,
        "rows[1].carrier",
        "row 1, column `carrier`: expected text (string), got the number 5",
    )
    .await?;
    check(r#"{"rows": [["AA", 7.5, 1, 1]]}"#, "rows[0].hour", "expected a whole number (long), got the number 7.5")
        .await?;
    check(r#"{"rows": [["AA", 7, null, 1]]}"#, "rows[0].distance", "expected a number (double), got null").await?;
    check(r#"{"rows": [["AA", 7, [1], 1]]}"#, "rows[0].distance", "got an array").await?;
    check(r#"{"rows": [["AA", 7, {"a": 1}, 1]]}"#, "rows[0].distance", "got an object").await?;
    check(
        r#"{"rows": [{"carrier": "AA", "hour": 7}]}"#,
        "rows[0].distance",
        "row 0: column `distance` is missing; expected a number (double)",
    )
    .await?;
    check(
        r#"{"rows": [{"carrier": "AA", "hour": 7, "distance": 1, "gate": "B4"}]}"#,
        "rows[0].gate",
        "the model has no column `gate`",
    )
    .await?;
    check(r#"{"inputs": {"carrier": "AA", "carrier": "DL"}}"#, "rows[0].carrier", "given twice").await?;
    check(r#"{"rows": [["AA", 7]]}"#, "rows[0]", "row 0: expected 4 values, got 2").await?;
    check(r#"{"rows": [["AA", 7, 1, 1, 1, 1]]}"#, "rows[0]", "row 0: expected 4 values, got 6").await?;
    check(r#"{"rows": ["AA"]}"#, "rows[0]", "expected an object or an array, got the text \"AA\"").await?;
    check(r#"{"rows": [null]}"#, "rows[0]", "got null").await?;
    check(r#"{"rows": []}"#, "rows", "no rows").await?;
    check("{}", "rows", "no rows").await?;
    check(r#"{"rows": 5}"#, "rows", "expected an array of rows").await?;
    check(r#"{"row": []}"#, "body", "unknown field `row`").await?;
    check("[]", "body", "expected an object with").await?;
    check(r#"{"columns": ["carrier", "gate"], "rows": []}"#, "columns", "the model has no column `gate`").await?;
    check(r#"{"columns": ["carrier", "carrier"], "rows": []}"#, "columns", "named twice").await?;
    let row = r#"["AA", 7, 1, 1]"#;
    check(&format!(r#"{{"rows": [{row}], "inputs": {row}}}"#), "inputs", "given twice").await?;
    check(&format!(r#"{{"rows": [{row}], "ids": ["a", "b"]}}"#), "ids", "2 ids for 1 rows").await?;
    check(&format!(r#"{{"rows": [{row}], "ids": [true]}}"#), "ids", "the id of a prediction").await?;
    check(&format!(r#"{{"rows": [{row}], "event_times": ["soon"]}}"#), "event_times", "a point in time").await?;
    check(&format!(r#"{{"rows": [{row}], "event_times": ["2999-01-01"]}}"#), "event_times[0]", "ahead of the clock")
        .await?;
    check(&format!(r#"{{"rows": [{row}]}} x"#), "body", "trailing characters").await?;
    check(
        r#"{"rows": [["AA", 7, NaN, 1]]}"#,
        "rows[0].distance",
        "row 0, column `distance`: the body is not valid JSON",
    )
    .await?;
    check(r#"{"rows": [["AA", 7, 1e999, 1]]}"#, "rows[0].distance", "number out of range").await
}

#[tokio::test]
async fn an_extra_column_is_answered_with_the_columns_there_are() -> anyhow::Result<()> {
    let server = Server::of("binary").await?;
    let (_, answer) = server.post(PREDICT, r#"{"rows": [{"carier": "AA"}]}"#).await?;
    assert_eq!(answer["error"]["hint"], "the columns are carrier, hour, distance, prev_delay");
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_or_not_json_is_said() -> anyhow::Result<()> {
    let server = Server::of("regression-1").await?;
    let (status, answer) = server.post("/deployments/ghost/predict", "{}").await?;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::NOT_FOUND, &json!("not_found")));
    let (status, answer) = server.post_as(PREDICT, "text/csv", "a,b").await?;
    assert_eq!((status, &answer["error"]["field"]), (StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!("content-type")));
    let (status, _) = server.post_as(PREDICT, "application/json; charset=latin1", "{}").await?;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (status, _) = server.get(PREDICT).await?;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    Ok(())
}

#[tokio::test]
async fn a_deployment_that_has_no_version_yet_is_unavailable() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let ctx = server.house.conductor_ctx();
    let new = serving::deployment::NewDeployment {
        name: "d".to_owned(),
        pointer: "models:/toy/Production".to_owned(),
        model: "toy".to_owned(),
        config: serving::deployment::Config { max_rows: Some(1), ..serving::deployment::Config::default() },
    };
    server.house.db.write(move |tx| serving::deployment::create(tx, &ctx, new)).await?;
    let response = server.http.post(format!("{}{PREDICT}", server.url)).json(&json!({ "rows": [] })).send().await?;
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse()?)
    );

    server.roll("d", "regression-1", "1").await?;
    let (status, answer) = server.post(PREDICT, json!({ "rows": [[1, 2, 3, 4], [1, 2, 3, 4]] }).to_string()).await?;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "the deployment's own limit: {answer}");
    Ok(())
}

#[tokio::test]
async fn limits_are_kept_and_named() -> anyhow::Result<()> {
    let options = serving::Options { max_rows: 3, max_body_bytes: 1_000, ..serving::Options::default() };
    let server = Server::start_with(options).await?;
    server.roll("d", "regression-1", "1").await?;
    let (status, answer) = server.post(PREDICT, json!({ "rows": vec![[1, 2, 3, 4]; 4] }).to_string()).await?;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");
    let (status, answer) = server.post(PREDICT, " ".repeat(1_001)).await?;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large")), "{answer}");
    let chunks = futures_util::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100])));
    let (status, _) = server.post(PREDICT, reqwest::Body::wrap_stream(chunks)).await?;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "without a content length");
    Ok(())
}

#[tokio::test]
async fn large_batches_are_answered_in_order() -> anyhow::Result<()> {
    let server = Server::of("regression-1").await?;
    let known = expected("regression-1")?;
    let rows: Vec<&Value> = known.rows.iter().cycle().take(9_000).collect();
    let (status, answer) = server.post(PREDICT, json!({ "rows": rows }).to_string()).await?;
    assert_eq!(status, StatusCode::OK);
    for (row, given) in answer["predictions"].as_array().unwrap().iter().enumerate() {
        assert!(close(&given["prediction"], &known.predictions[row % known.rows.len()]), "row {row}");
    }
    assert_eq!(server.house.log.counts("d").predictions, 9_000);
    Ok(())
}
