//! OTLP in JSON: ids in hexadecimal, 64-bit numbers as texts or numbers, enums as numbers or names, camelCase.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::proto;

/// What is wrong with it, for people.
type Wrong = String;

/// Reads a request.
pub(super) fn read(bytes: &[u8]) -> Result<proto::ExportRequest, Wrong> {
    let request: Request = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let resource = |resource: Resource| {
        let scope = |scope: Scope| {
            let spans = scope.spans.into_iter().map(span).collect::<Result<_, Wrong>>()?;
            Ok::<_, Wrong>(proto::ScopeSpans { spans })
        };
        let scope_spans = resource.scope_spans.into_iter().map(scope).collect::<Result<_, Wrong>>()?;
        Ok::<_, Wrong>(proto::ResourceSpans { scope_spans })
    };
    let resource_spans = request.resource_spans.into_iter().map(resource).collect::<Result<_, Wrong>>()?;
    Ok(proto::ExportRequest { resource_spans })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    resource_spans: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    #[serde(default)]
    scope_spans: Vec<Scope>,
}

#[derive(Deserialize)]
struct Scope {
    #[serde(default)]
    spans: Vec<SpanShape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct SpanShape {
    trace_id: String,
    span_id: String,
    trace_state: String,
    parent_span_id: String,
    name: String,
    kind: Value,
    start_time_unix_nano: Value,
    end_time_unix_nano: Value,
    attributes: Vec<KeyValue>,
    events: Vec<Event>,
    links: Vec<Link>,
    status: Option<Status>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    time_unix_nano: Value,
    name: String,
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Link {
    trace_id: String,
    span_id: String,
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    message: String,
    code: Value,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: Value,
}

const KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
const CODES: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

fn span(span: SpanShape) -> Result<proto::SpanMessage, Wrong> {
    let event = |event: Event| {
        let (time_unix_nano, attributes) = (nanoseconds(&event.time_unix_nano)?, pairs(event.attributes)?);
        Ok::<_, Wrong>(proto::Event { time_unix_nano, name: event.name, attributes })
    };
    let link = |link: Link| {
        let (trace_id, span_id) = (id(&link.trace_id)?, id(&link.span_id)?);
        Ok::<_, Wrong>(proto::Link { trace_id, span_id, attributes: pairs(link.attributes)? })
    };
    let status =
        |status: Status| Ok::<_, Wrong>(proto::Status { code: choice(&status.code, &CODES)?, message: status.message });
    Ok(proto::SpanMessage {
        trace_id: id(&span.trace_id)?,
        span_id: id(&span.span_id)?,
        trace_state: span.trace_state,
        parent_span_id: id(&span.parent_span_id)?,
        name: span.name,
        kind: choice(&span.kind, &KINDS)?,
        start_time_unix_nano: nanoseconds(&span.start_time_unix_nano)?,
        end_time_unix_nano: nanoseconds(&span.end_time_unix_nano)?,
        attributes: pairs(span.attributes)?,
        events: span.events.into_iter().map(event).collect::<Result<_, _>>()?,
        links: span.links.into_iter().map(link).collect::<Result<_, _>>()?,
        status: span.status.map(status).transpose()?,
    })
}

fn pairs(pairs: Vec<KeyValue>) -> Result<Vec<proto::KeyValue>, Wrong> {
    let pair = |pair: KeyValue| Ok(proto::KeyValue { key: pair.key, value: Some(any(&pair.value)?) });
    pairs.into_iter().map(pair).collect()
}

fn any(value: &Value) -> Result<proto::AnyValue, Wrong> {
    let wrong = || format!("{value} is not a value of an attribute");
    let Some(object) = value.as_object().filter(|object| !object.is_empty()) else {
        return if value.is_null() || value.is_object() { Ok(proto::AnyValue { value: None }) } else { Err(wrong()) };
    };
    let (name, inner) = object.iter().next().ok_or_else(wrong)?;
    let values = || inner.get("values").and_then(Value::as_array).cloned().unwrap_or_default();
    let found = match name.as_str() {
        "stringValue" => proto::Any::Text(inner.as_str().ok_or_else(wrong)?.to_owned()),
        "boolValue" => proto::Any::Flag(inner.as_bool().ok_or_else(wrong)?),
        "intValue" => proto::Any::Int(whole(inner).ok_or_else(wrong)?),
        "doubleValue" => proto::Any::Double(double(inner).ok_or_else(wrong)?),
        "bytesValue" => {
            let text = inner.as_str().ok_or_else(wrong)?;
            proto::Any::Bytes(STANDARD.decode(text).map_err(|_| wrong())?)
        }
        "arrayValue" => {
            let values = values().iter().map(any).collect::<Result<_, _>>()?;
            proto::Any::Array(proto::ArrayValue { values })
        }
        "kvlistValue" => {
            let read = |pair: Value| serde_json::from_value::<KeyValue>(pair).map_err(|error| error.to_string());
            let values = pairs(values().into_iter().map(read).collect::<Result<_, _>>()?)?;
            proto::Any::Map(proto::KeyValueList { values })
        }
        _ => return Err(wrong()),
    };
    Ok(proto::AnyValue { value: Some(found) })
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn double(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            plain => plain.parse().ok(),
        },
        other => other.as_f64(),
    }
}

fn nanoseconds(value: &Value) -> Result<u64, Wrong> {
    if value.is_null() {
        return Ok(0);
    }
    let found = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    found.ok_or_else(|| format!("{value} is not a time in nanoseconds"))
}

fn choice(value: &Value, names: &[&str]) -> Result<i32, Wrong> {
    let number = match value {
        Value::Null => Some(0),
        Value::String(name) => names.iter().position(|known| known == name),
        other => other.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|number| *number < names.len()),
    };
    number
        .and_then(|number| i32::try_from(number).ok())
        .ok_or_else(|| format!("{value} is none of {}", names.join(", ")))
}

fn id(text: &str) -> Result<Vec<u8>, Wrong> {
    let wrong = || format!("\"{text}\" is not an id in hexadecimal");
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(wrong());
    }
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong());
    (0..text.len()).step_by(2).map(byte).collect()
}
