//! OTLP over HTTP: what is taken, in which form it comes back, and what is refused. Protobuf is exercised by the real exporter's
//! messages in `tests/clients/test_traces.py`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

const TRACE: &str = "5b8efff798038103d269b633813fc60c";

fn span(change: impl FnOnce(&mut Value)) -> Value {
    let mut span = json!({
        "traceId": TRACE, "spanId": "eee19b7ec3c1b174", "name": "ask", "kind": "SPAN_KIND_SERVER",
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": 1700000000250000000_u64,
        "attributes": [
            {"key": "text", "value": {"stringValue": "hi"}},
            {"key": "whole", "value": {"intValue": "7"}},
            {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": true}, {"doubleValue": 0.5}]}}},
            {"key": "mlflow.spanInputs", "value": {"kvlistValue": {"values": [{"key": "q", "value": {"stringValue": "x"}}]}}},
            {"key": "mlflow.traceRequestId", "value": {"stringValue": "tr-of-somebody-else"}}
        ],
        "events": [{"timeUnixNano": "1700000000100000000", "name": "seen"}],
        "status": {"code": 2, "message": "no"}
    });
    change(&mut span);
    json!({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [span]}]}]})
}

async fn export(server: &Server, body: &Value) -> (u16, Value) {
    let request = server.request(Method::POST, "/v1/traces").header("x-mlflow-experiment-id", "0").json(body);
    server.send(request).await
}

#[tokio::test]
async fn a_span_in_json_becomes_a_trace() {
    let server = Server::start().await;
    assert_eq!(export(&server, &span(|_| ())).await, (200, json!({})));
    let (status, answer) = server.get(&format!("/api/3.0/mlflow/traces/get?trace_id=tr-{TRACE}")).await;
    assert_eq!(status, 200, "{answer}");
    let info = &answer["trace"]["trace_info"];
    assert_eq!((&info["state"], &info["execution_duration"]), (&json!("ERROR"), &json!("0.250s")));
    assert_eq!(
        (&info["request_time"], &info["request_preview"]),
        (&json!("2023-11-14T22:13:20Z"), &json!("{\"q\":\"x\"}"))
    );
    let expect = json!([{
        "trace_id": "W47/95gDgQPSabYzgT/GDA==", "span_id": "7uGbfsPBsXQ=", "name": "ask", "kind": 2,
        "start_time_unix_nano": 1700000000000000000_u64, "end_time_unix_nano": 1700000000250000000_u64,
        "attributes": [
            {"key": "mlflow.traceRequestId", "value": {"string_value": format!("tr-{TRACE}")}},
            {"key": "text", "value": {"string_value": "hi"}},
            {"key": "whole", "value": {"int_value": 7}},
            {"key": "list", "value": {"array_value": {"values": [{"bool_value": true}, {"double_value": 0.5}]}}},
            {"key": "mlflow.spanInputs", "value": {"kvlist_value": {"values": [{"key": "q", "value": {"string_value": "x"}}]}}}
        ],
        "events": [{"time_unix_nano": 1700000000100000000_u64, "name": "seen", "attributes": []}],
        "status": {"code": "STATUS_CODE_ERROR", "message": "no"}
    }]);
    assert_eq!(answer["trace"]["spans"], expect);
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_whole() {
    let server = Server::start().await;
    for (body, status, text) in [
        (json!({}), 400, "no spans found"),
        (json!({"resourceSpans": 3}), 400, "Invalid OpenTelemetry format"),
        (span(|span| span["traceId"] = json!("xyz")), 400, "is not an id in hexadecimal"),
        (span(|span| span["traceId"] = json!("ab")), 422, "a trace id that is not 16 bytes"),
        (span(|span| span["startTimeUnixNano"] = json!("18446744073709551615")), 422, "has no such time"),
        (span(|span| span["attributes"][0]["value"] = json!({"intValue": "x"})), 400, "is not a value"),
        (span(|span| span["kind"] = json!("SPAN_KIND_ODD")), 400, "is none of"),
    ] {
        let (got, answer) = export(&server, &body).await;
        let detail = answer["detail"].as_str().unwrap_or_default();
        assert!(got == status && detail.contains(text), "{body}: {got} {answer}");
    }
    let post = |headers: &[(&str, &str)], body: &'static [u8]| {
        let request = server.request(Method::POST, "/v1/traces").body(body);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    let proto = ("content-type", "application/x-protobuf");
    let here = ("x-mlflow-experiment-id", "0");
    for (headers, body, status) in [
        (&[proto][..], &b""[..], 422),
        (&[proto, here], b"\xff\xff\xff", 400),
        (&[proto, here], b"", 400),
        (&[here, ("content-type", "text/plain")], b"", 400),
        (&[proto, here, ("content-encoding", "gzip")], b"not packed", 400),
        (&[proto, here, ("content-encoding", "br")], b"", 400),
        (&[proto, ("x-mlflow-experiment-id", "none")], b"\x0a\x00", 400),
        (&[proto, ("x-mlflow-experiment-id", "99")], b"\x0a\x00", 404),
    ] {
        let (got, answer) = server.send(post(headers, body)).await;
        assert_eq!(got, status, "{headers:?}: {answer}");
    }
    let (status, _) = server.get(&format!("/api/3.0/mlflow/traces/tr-{TRACE}")).await;
    assert_eq!(status, 404, "nothing was kept");
}
