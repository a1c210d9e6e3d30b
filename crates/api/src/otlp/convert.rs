//! Spans of OTLP as they are kept: in proto's JSON with snake_case names, which MLflow's client reads back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tracking::trace::span::Span;

use super::proto;

/// The attribute under which MLflow's client looks for the id of the trace.
const REQUEST_ID: &str = "mlflow.traceRequestId";

/// All spans of a request; an error says in words which cannot be taken.
pub(super) fn spans(request: proto::ExportRequest) -> Result<Vec<Span>, String> {
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).map(span).collect()
}

fn span(mut span: proto::SpanMessage) -> Result<Span, String> {
    if span.trace_id.len() != 16 || span.span_id.len() != 8 {
        return Err(format!("span `{}` has a trace id that is not 16 bytes or a span id that is not 8", span.name));
    }
    let time =
        |nanoseconds: u64| i64::try_from(nanoseconds).map_err(|_| format!("span `{}` has no such time", span.name));
    let (start_ns, end_ns) = (time(span.start_time_unix_nano)?, time(span.end_time_unix_nano)?);
    let trace_id = format!("tr-{}", hex(&span.trace_id));
    // Whoever exports must not say which trace of ours this is: the id of OTLP does.
    span.attributes.retain(|pair| pair.key != REQUEST_ID);
    let own = proto::AnyValue { value: Some(proto::Any::Text(trace_id.clone())) };
    span.attributes.insert(0, proto::KeyValue { key: REQUEST_ID.to_owned(), value: Some(own) });
    let said = |key: &str| {
        let value = span.attributes.iter().find(|pair| pair.key == key)?.value.as_ref()?;
        Some(text(value))
    };
    Ok(Span {
        span_id: hex(&span.span_id),
        parent_id: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
        name: span.name.clone(),
        kind: said("mlflow.spanType"),
        status: match span.status.as_ref().map(|status| status.code) {
            Some(1) => "OK",
            Some(2) => "ERROR",
            _ => "UNSET",
        },
        start_ns,
        end_ns: (end_ns > 0).then_some(end_ns),
        inputs: said("mlflow.spanInputs"),
        outputs: said("mlflow.spanOutputs"),
        content: content(&span).to_string(),
        trace_id,
    })
}

fn content(span: &proto::SpanMessage) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("trace_id", STANDARD.encode(&span.trace_id).into());
    put("span_id", STANDARD.encode(&span.span_id).into());
    if !span.parent_span_id.is_empty() {
        put("parent_span_id", STANDARD.encode(&span.parent_span_id).into());
    }
    if !span.trace_state.is_empty() {
        put("trace_state", span.trace_state.as_str().into());
    }
    put("name", span.name.as_str().into());
    if span.kind != 0 {
        put("kind", span.kind.into());
    }
    put("start_time_unix_nano", span.start_time_unix_nano.into());
    put("end_time_unix_nano", span.end_time_unix_nano.into());
    put("attributes", pairs(&span.attributes));
    if !span.events.is_empty() {
        let event = |event: &proto::Event| json!({ "time_unix_nano": event.time_unix_nano, "name": event.name, "attributes": pairs(&event.attributes) });
        put("events", span.events.iter().map(event).collect());
    }
    if !span.links.is_empty() {
        let link = |link: &proto::Link| {
            let (trace_id, span_id) = (STANDARD.encode(&link.trace_id), STANDARD.encode(&link.span_id));
            json!({ "trace_id": trace_id, "span_id": span_id, "attributes": pairs(&link.attributes) })
        };
        put("links", span.links.iter().map(link).collect());
    }
    if let Some(status) = &span.status {
        let code = match status.code {
            1 => "STATUS_CODE_OK",
            2 => "STATUS_CODE_ERROR",
            _ => "STATUS_CODE_UNSET",
        };
        put("status", json!({ "code": code, "message": status.message }));
    }
    Value::Object(shown)
}

fn pairs(pairs: &[proto::KeyValue]) -> Value {
    let pair = |pair: &proto::KeyValue| json!({ "key": pair.key, "value": pair.value.as_ref().map_or_else(|| json!({}), any) });
    pairs.iter().map(pair).collect()
}

fn any(value: &proto::AnyValue) -> Value {
    match &value.value {
        None => json!({}),
        Some(proto::Any::Text(text)) => json!({ "string_value": text }),
        Some(proto::Any::Flag(flag)) => json!({ "bool_value": flag }),
        Some(proto::Any::Int(number)) => json!({ "int_value": number }),
        Some(proto::Any::Double(number)) => json!({ "double_value": double(*number) }),
        Some(proto::Any::Bytes(bytes)) => json!({ "bytes_value": STANDARD.encode(bytes) }),
        Some(proto::Any::Array(list)) => {
            json!({ "array_value": { "values": list.values.iter().map(any).collect::<Value>() } })
        }
        Some(proto::Any::Map(list)) => json!({ "kvlist_value": { "values": pairs(&list.values) } }),
    }
}

fn double(number: f64) -> Value {
    match number {
        number if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        number => number.into(),
    }
}

/// A text as it is, anything else as JSON.
fn text(value: &proto::AnyValue) -> String {
    match &value.value {
        Some(proto::Any::Text(text)) => text.clone(),
        _ => plain(value).to_string(),
    }
}

fn plain(value: &proto::AnyValue) -> Value {
    match &value.value {
        None => Value::Null,
        Some(proto::Any::Text(text)) => text.as_str().into(),
        Some(proto::Any::Flag(flag)) => (*flag).into(),
        Some(proto::Any::Int(number)) => (*number).into(),
        Some(proto::Any::Double(number)) => double(*number),
        Some(proto::Any::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        Some(proto::Any::Array(list)) => list.values.iter().map(plain).collect(),
        Some(proto::Any::Map(list)) => {
            let pair = |pair: &proto::KeyValue| (pair.key.clone(), pair.value.as_ref().map_or(Value::Null, plain));
            Value::Object(list.values.iter().map(pair).collect())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _into_a_string = write!(text, "{byte:02x}");
        text
    })
}
