//! The Open Inference Protocol.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Server, close, expected};

const INFER: &str = "/v2/models/d/infer";

#[tokio::test]
async fn health_and_metadata_are_what_clients_read() -> anyhow::Result<()> {
    let server = Server::of("binary").await?;
    assert_eq!(server.get_json("/v2/health/live").await?, (StatusCode::OK, json!({ "live": true })));
    assert_eq!(server.get_json("/v2/health/ready").await?, (StatusCode::OK, json!({ "ready": true })));
    let (_, about) = server.get_json("/v2").await?;
    assert_eq!((&about["name"], &about["extensions"][0]), (&json!("rondo"), &json!("binary_tensor_data")));
    let ready = json!({ "name": "d", "ready": true });
    assert_eq!(server.get_json("/v2/models/d/ready").await?, (StatusCode::OK, ready.clone()));
    assert_eq!(server.get_json("/v2/models/d/versions/1/ready").await?, (StatusCode::OK, ready));
    let (status, other) = server.get_json("/v2/models/d/versions/9/ready").await?;
    assert_eq!(
        (status, &other["error"]),
        (StatusCode::NOT_FOUND, &json!("version 9 of deployment `d` is not live; version 1 is"))
    );
    assert_eq!(server.get_json("/v2/models/ghost").await?.0, StatusCode::NOT_FOUND);

    let (_, described) = server.get_json("/v2/models/d").await?;
    let expect = json!({
        "name": "d",
        "versions": ["1"],
        "platform": described["platform"],
        "inputs": [
            { "name": "carrier", "datatype": "BYTES", "shape": [-1, 1] },
            { "name": "hour", "datatype": "INT64", "shape": [-1, 1] },
            { "name": "distance", "datatype": "FP64", "shape": [-1, 1] },
            { "name": "prev_delay", "datatype": "FP64", "shape": [-1, 1] },
        ],
        "outputs": [
            { "name": "label", "datatype": "INT64", "shape": [-1] },
            { "name": "score", "datatype": "FP64", "shape": [-1] },
            { "name": "probabilities", "datatype": "FP64", "shape": [-1, 2] },
            { "name": "prediction_id", "datatype": "BYTES", "shape": [-1] },
        ],
    });
    assert_eq!(described, expect);
    let (_, index) = server.post("/v2/repository/index", "").await?;
    assert_eq!(index, json!([{ "name": "d", "version": "1", "state": "READY", "reason": "" }]));
    Ok(())
}

#[tokio::test]
async fn a_tensor_for_each_column_is_answered_as_scikit_learn_does() -> anyhow::Result<()> {
    let server = Server::of("binary").await?;
    let known = expected("binary")?;
    let n = known.rows.len();
    let column = |name: &str| known.rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    let nested = |name: &str| known.rows.iter().map(|row| json!([row[name]])).collect::<Vec<_>>();
    let body = json!({ "id": "q7", "inputs": [
        { "name": "hour", "datatype": "INT32", "shape": [n], "data": column("hour") },
        { "name": "carrier", "datatype": "BYTES", "shape": [n, 1], "data": nested("carrier") },
        { "name": "prev_delay", "datatype": "FP64", "shape": [n, 1], "data": nested("prev_delay") },
        { "name": "distance", "datatype": "FP32", "shape": [n], "data": column("distance") },
    ]});
    let (status, answer) = server.post(INFER, body.to_string()).await?;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        (&answer["model_name"], &answer["model_version"], &answer["id"]),
        (&json!("d"), &json!("1"), &json!("q7"))
    );
    let output =
        |name: &str| answer["outputs"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    assert_eq!(output("label")["data"], json!(known.predictions));
    assert_eq!(output("probabilities")["shape"], json!([n, 2]));
    let scores = output("score");
    for (have, want) in scores["data"].as_array().unwrap().iter().zip(&known.probabilities) {
        assert!(close(have, &json!(want[1])));
    }
    Ok(())
}

#[tokio::test]
async fn one_matrix_serves_a_model_of_numbers() -> anyhow::Result<()> {
    for model in ["regression-1", "matrix"] {
        let server = Server::of(model).await?;
        let known = expected(model)?;
        let data: Vec<Value> =
            known.rows.iter().map(|row| json!([row["f0"], row["f1"], row["f2"], row["f3"]])).collect();
        let flat: Vec<Value> = data.iter().flat_map(|row| row.as_array().unwrap().clone()).collect();
        for data in [data, flat] {
            let input = json!({ "name": "input", "datatype": "FP64", "shape": [known.rows.len(), 4], "data": data });
            let body = json!({ "inputs": [input], "outputs": [{ "name": "prediction" }] });
            let (status, answer) = server.post(INFER, body.to_string()).await?;
            assert_eq!(status, StatusCode::OK, "{model}: {answer}");
            assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
            let given = answer["outputs"][0]["data"].as_array().unwrap();
            assert!(given.iter().zip(&known.predictions).all(|(have, want)| close(have, want)), "{model}");
        }
    }
    let (_, described) = Server::of("matrix").await?.get_json("/v2/models/d").await?;
    assert_eq!(described["inputs"], json!([{ "name": "input", "datatype": "FP64", "shape": [-1, 4] }]));
    Ok(())
}

#[tokio::test]
async fn binary_tensors_go_in_and_out() -> anyhow::Result<()> {
    let server = Server::of("binary").await?;
    let known = expected("binary")?;
    let (mut raw, mut sizes) = (Vec::new(), Vec::new());
    for name in ["carrier", "hour", "distance", "prev_delay"] {
        let before = raw.len();
        for row in &known.rows {
            match &row[name] {
                Value::String(text) => {
                    raw.extend((text.len() as u32).to_le_bytes());
                    raw.extend(text.as_bytes());
                }
                number if name == "hour" => raw.extend(number.as_i64().unwrap().to_le_bytes()),
                number => raw.extend(number.as_f64().unwrap_or(f64::NAN).to_le_bytes()),
            }
        }
        sizes.push(raw.len() - before);
    }
    let input = |name: &str, datatype: &str, at: usize| json!({ "name": name, "datatype": datatype, "shape": [known.rows.len(), 1], "parameters": { "binary_data_size": sizes[at] } });
    let json = json!({
        "inputs": [input("carrier", "BYTES", 0), input("hour", "INT64", 1), input("distance", "FP64", 2), input("prev_delay", "FP64", 3)],
        "outputs": [{ "name": "score", "parameters": { "binary_data": true } }, { "name": "label" }],
    })
    .to_string();
    let length = json.len();
    let request = server.http.post(format!("{}{INFER}", server.url)).header("inference-header-content-length", length);
    let response = request.body([json.into_bytes(), raw].concat()).send().await?;
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"application/octet-stream".parse()?)
    );
    let json_length: usize = response.headers()["inference-header-content-length"].to_str()?.parse()?;
    let body = response.bytes().await?;
    let answer: Value = serde_json::from_slice(&body[..json_length])?;
    assert_eq!(answer["outputs"][0]["parameters"]["binary_data_size"], 8 * known.rows.len());
    assert_eq!(answer["outputs"][1]["data"], json!(known.predictions));
    let scores: Vec<f64> =
        body[json_length..].chunks(8).map(|chunk| f64::from_le_bytes(chunk.try_into().unwrap())).collect();
    assert_eq!(scores.len(), known.rows.len());
    assert!(scores.iter().zip(&known.probabilities).all(|(have, want)| close(&json!(have), &json!(want[1]))));
    Ok(())
}

#[tokio::test]
async fn predictions_can_be_named_and_dated() -> anyhow::Result<()> {
    let server = Server::of("regression-1").await?;
    let matrix =
        |rows: usize| json!({ "name": "input", "datatype": "FP64", "shape": [rows, 4], "data": vec![1; rows * 4] });
    let body = json!({ "parameters": { "prediction_id": "one", "event_time": "1970-01-01T00:00:09Z" }, "inputs": [matrix(1)] });
    let (status, answer) = server.post(INFER, body.to_string()).await?;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(server.house.log.find("one").await?.unwrap().event_time_us, 9_000_000);

    let body = json!({ "inputs": [
        matrix(2),
        { "name": "prediction_id", "datatype": "BYTES", "shape": [2], "data": ["two", "three"] },
        { "name": "event_time", "datatype": "BYTES", "shape": [2], "data": ["1970-01-01T00:00:01Z", "2"] },
    ]});
    let (_, answer) = server.post(INFER, body.to_string()).await?;
    assert_eq!(
        answer["outputs"][1],
        json!({ "name": "prediction_id", "datatype": "BYTES", "shape": [2], "data": ["two", "three"] })
    );
    assert_eq!(server.house.log.find("three").await?.unwrap().event_time_us, 2_000_000);
    Ok(())
}

#[tokio::test]
async fn errors_name_the_input() -> anyhow::Result<()> {
    let server = Server::of("binary").await?;
    let check = async |inputs: Value, message: &str| -> anyhow::Result<()> {
        let (status, answer) = server.post(INFER, json!({ "inputs": inputs }).to_string()).await?;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{inputs}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(message), "{inputs}: {answer}");
        Ok(())
    };
    let tensor = |name: &str, datatype: &str, shape: Value, data: Value| json!([{ "name": name, "datatype": datatype, "shape": shape, "data": data }]);
    check(json!([]), "no inputs").await?;
    check(tensor("hour", "INT64", json!([1]), json!([1])), "column `carrier` is missing").await?;
    check(tensor("hour", "BYTES", json!([1]), json!(["7"])), "input `hour`: expected the datatype INT64, got BYTES")
        .await?;
    check(
        tensor("hour", "FP64", json!([1]), json!([7.5])),
        "row 0, column `hour`: expected a whole number (long), got the number 7.5",
    )
    .await?;
    check(tensor("hour", "INT65", json!([1]), json!([7])), "there is no datatype `INT65`").await?;
    check(tensor("hour", "INT64", json!([2]), json!([7])), "the shape [2] needs 2 values, got 1").await?;
    check(tensor("hour", "INT64", json!([1]), json!([7, 8])), "the shape [1] needs 1 values, got 2").await?;
    check(tensor("hour", "INT64", json!([1, 2]), json!([7, 8])), "expected the shape [rows] or [rows, 1], got [1, 2]")
        .await?;
    check(tensor("gate", "INT64", json!([1]), json!([7])), "the model has no input `gate`").await?;
    check(tensor("hour", "INT64", json!([-1]), json!([7])), "malformed").await?;
    check(json!([{ "name": "hour", "datatype": "INT64", "shape": [1] }]), "input `hour` has no data").await?;
    check(
        json!([{ "name": "hour", "datatype": "INT64", "shape": [1], "parameters": { "binary_data_size": 8 } }]),
        "the body ends before its 8 bytes",
    )
    .await?;
    check(
        json!([
            { "name": "hour", "datatype": "INT64", "shape": [1], "data": [7] },
            { "name": "distance", "datatype": "FP64", "shape": [2], "data": [7, 8] },
        ]),
        "input `distance` has 2 rows, the inputs before it have 1",
    )
    .await?;
    let (status, answer) =
        server.post(INFER, json!({ "inputs": [], "outputs": [{ "name": "x" }] }).to_string()).await?;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["error"].as_str().unwrap().contains("the model has no output `x`"), "{answer}");
    let huge = tensor("hour", "INT64", json!([usize::MAX]), json!([1]));
    let (status, _) = server.post(INFER, json!({ "inputs": huge }).to_string()).await?;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    Ok(())
}
