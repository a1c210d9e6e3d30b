//! OTLP over HTTP: `POST /v1/traces`, in protobuf or JSON, gzipped, deflated or plain. The header `x-mlflow-experiment-id` says where
//! the traces belong, `x-mlflow-run-id` in which run they were made. A request is taken whole or not at all.

mod convert;
mod json;
mod proto;

use std::io::Read as _;

use access::Permission::Edit;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use conductor::House;
use kernel::error::{Classified as _, Kind};
use prost::Message as _;
use serde_json::json;
use tracking::trace::span::{self, Span};

use crate::principal::Caller;
use crate::route::{Protocol, post};
use crate::visitor::Refusal;

/// Largest request, bytes, packed and unpacked.
const MAX_BODY: usize = 64 << 20;

/// This protocol, where it refuses callers.
pub(crate) struct Otlp;

impl Protocol for Otlp {
    fn refusal(refusal: &Refusal) -> Response {
        Json(json!({ "detail": format!("{}; {}", refusal.message(), refusal.hint()) })).into_response()
    }
}

/// Routes of this protocol.
type Routes = crate::route::Routes<Otlp>;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new().route("/v1/traces", post(Edit, export)).body_limit(MAX_BODY)
}

/// A refusal in the shape that MLflow's server gives it.
#[derive(Debug)]
struct Error {
    status: StatusCode,
    detail: String,
}

impl Error {
    fn bad(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }

    fn unfit(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail: detail.into() }
    }
}

impl From<tracking::Error> for Error {
    fn from(error: tracking::Error) -> Self {
        let status = match error.kind() {
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%error, "an export of spans failed of a defect");
        }
        Self { status, detail: error.to_string() }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "detail": self.detail }))).into_response()
    }
}

async fn export(
    State(house): State<House>,
    Caller(who): Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Error> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
    let media = header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let is_json = match media.split(';').next().unwrap_or_default().trim() {
        "application/x-protobuf" => false,
        "application/json" => true,
        _ => {
            let wants = "Expected: application/x-protobuf or application/json";
            return Err(Error::bad(format!("Invalid Content-Type: {media}. {wants}")));
        }
    };
    let missing = "the header x-mlflow-experiment-id is required: it says to which experiment the traces belong";
    let experiment_id = header("x-mlflow-experiment-id").ok_or_else(|| Error::unfit(missing))?.to_owned();
    let run_id = header("x-mlflow-run-id").map(str::to_owned);
    let encoding = header(CONTENT_ENCODING.as_str()).unwrap_or("identity").to_ascii_lowercase();
    let read = tokio::task::spawn_blocking(move || spans(&body, &encoding, is_json)).await;
    let spans =
        read.map_err(|error| Error::from(tracking::Error::from(db::Error::Panicked { reason: error.to_string() })))??;
    let ctx = house.ctx(who);
    house.db.write(move |tx| span::log(tx, &ctx, &experiment_id, run_id.as_deref(), spans)).await?;
    // An answer without fields: everything was taken.
    Ok(if is_json {
        Json(json!({})).into_response()
    } else {
        ([(CONTENT_TYPE, "application/x-protobuf")], Bytes::new()).into_response()
    })
}

fn spans(body: &[u8], encoding: &str, is_json: bool) -> Result<Vec<Span>, Error> {
    let body = unpacked(body, encoding)?;
    let unreadable = |why: String| Error::bad(format!("Invalid OpenTelemetry format: {why}"));
    let request = if is_json {
        json::read(&body).map_err(unreadable)?
    } else {
        proto::ExportRequest::decode(body.as_slice()).map_err(|error| unreadable(error.to_string()))?
    };
    if request.resource_spans.is_empty() {
        return Err(Error::bad("Invalid OpenTelemetry format - no spans found"));
    }
    convert::spans(request)
        .map_err(|why| Error::unfit(format!("Cannot convert OpenTelemetry span to MLflow span: {why}")))
}

fn unpacked(body: &[u8], encoding: &str) -> Result<Vec<u8>, Error> {
    let limit = MAX_BODY as u64 + 1;
    let mut plain = Vec::new();
    let read = match encoding {
        "identity" => return Ok(body.to_vec()),
        "gzip" => flate2::read::MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain),
        "deflate" => flate2::read::ZlibDecoder::new(body).take(limit).read_to_end(&mut plain),
        other => return Err(Error::bad(format!("Unsupported Content-Encoding: {other}. Expected: gzip or deflate"))),
    };
    read.map_err(|error| Error::bad(format!("the body is not {encoding}: {error}")))?;
    if plain.len() > MAX_BODY {
        let detail = format!("the body unpacks to more than {MAX_BODY} bytes: export smaller batches");
        return Err(Error { status: StatusCode::PAYLOAD_TOO_LARGE, detail });
    }
    Ok(plain)
}
