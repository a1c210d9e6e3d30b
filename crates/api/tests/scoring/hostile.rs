//! Bodies that mean harm: each gets a 4xx, no prediction, and leaves the server as it was.

use serde_json::json;

use crate::support::Server;

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str, close: &str| {
        format!("{{\"rows\": {}{}}}", open.repeat(200_000), close.repeat(200_000)).into_bytes()
    };
    let mut invalid_utf8 = br#"{"rows": [["#.to_vec();
    invalid_utf8.extend([b'"', 0xff, 0xfe, b'"']);
    invalid_utf8.extend(b", 7, 1, 1]]}");
    let mut bodies = vec![
        ("empty", Vec::new()),
        ("deep arrays", deep("[", "]")),
        ("deep objects", deep("{\"a\":", "}")),
        ("never closed", "[".repeat(1_000_000).into_bytes()),
        (
            "deep in a cell",
            format!(r#"{{"rows": [["AA", 7, {}1{}, 1]]}}"#, "[".repeat(5_000), "]".repeat(5_000)).into_bytes(),
        ),
        ("huge number", br#"{"rows": [["AA", 1e99999999999, 1, 1]]}"#.to_vec()),
        ("long number", format!(r#"{{"rows": [["AA", {}, 1, 1]]}}"#, "9".repeat(100_000)).into_bytes()),
        ("invalid UTF-8", invalid_utf8),
        ("lone surrogate", br#"{"rows": [["\ud800", 7, 1, 1]], "ids": [1]"#.to_vec()),
        ("NaN", br#"{"rows": [["AA", NaN, 1, 1]]}"#.to_vec()),
        ("text", b"hello".to_vec()),
        ("NUL bytes", vec![0; 10_000]),
        (
            "many keys",
            format!("{{{}}}", (0..50_000).map(|at| format!("\"k{at}\":1")).collect::<Vec<_>>().join(",")).into_bytes(),
        ),
        ("many columns", json!({ "columns": vec!["carrier"; 10_000], "rows": [] }).to_string().into_bytes()),
        ("rows of nothing", json!({ "rows": vec![json!([]); 10_000] }).to_string().into_bytes()),
        (
            "an id of a megabyte",
            json!({ "inputs": ["AA", 7, 1, 1], "id": "x".repeat(1 << 20) }).to_string().into_bytes(),
        ),
    ];
    let whole = br#"{"rows": [{"carrier": "AA", "hour": 7, "distance": 1.5, "prev_delay": null}], "ids": ["a"]}"#;
    bodies.extend((0..whole.len()).map(|length| ("truncated", whole[..length].to_vec())));
    bodies
}

#[tokio::test]
async fn every_protocol_refuses_them_with_a_4xx() -> anyhow::Result<()> {
    let server = Server::of("binary").await?;
    for (what, body) in bodies() {
        for path in ["/deployments/d/predict", "/invocations", "/v2/models/d/infer"] {
            let (status, answer) = server.post(path, body.clone()).await?;
            assert!(status.is_client_error(), "{what} at {path}: {status} {answer}");
            assert!(answer.is_object(), "{what} at {path} is explained in the shape of the protocol: {answer}");
        }
    }
    assert_eq!(server.house.log.counts("d").predictions, 0, "nothing was predicted");
    let (status, _) = server.post("/deployments/d/predict", r#"{"inputs": ["AA", 7, 1, 1]}"#).await?;
    assert!(status.is_success(), "the server still answers");
    Ok(())
}

#[tokio::test]
async fn hostile_headers_are_refused() -> anyhow::Result<()> {
    let server = Server::of("regression-1").await?;
    let infer = format!("{}/v2/models/d/infer", server.url);
    for length in ["0", "-1", "99999999999999999999", "1000", "x"] {
        let request = server.http.post(&infer).header("inference-header-content-length", length).body("{}");
        let status = request.send().await?.status();
        assert!(status.is_client_error(), "{length}: {status}");
    }
    let request = server.http.post(&infer).header("content-encoding", "br").body("{}");
    assert!(request.send().await?.status().is_client_error());
    for path in ["/deployments/%2e%2e%2fetc/predict", "/deployments/%00/predict", "/v2/models/%ff/infer"] {
        let (status, _) = server.post(path, "{}").await?;
        assert!(status.is_client_error(), "{path}: {status}");
    }
    Ok(())
}
