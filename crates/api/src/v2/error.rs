//! Refusals of this protocol: `{"error": ".."}` with the status codes of Triton.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use kernel::error::{Classified as _, Kind};
use serde_json::json;

use crate::route::Protocol;
use crate::scoring;
use crate::visitor::Refusal;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Error(pub(crate) serving::Error);

impl From<serving::Error> for Error {
    fn from(error: serving::Error) -> Self {
        Self(error)
    }
}

/// This protocol, where it refuses callers.
pub(crate) struct V2;

impl Protocol for V2 {
    const CHALLENGE: &'static str = "Bearer realm=\"rondo\", Basic realm=\"rondo\"";

    fn refusal(refusal: &Refusal) -> Response {
        Json(json!({ "error": format!("{} ({})", refusal.message(), refusal.hint()) })).into_response()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let kind = self.0.kind();
        if kind == Kind::Internal {
            tracing::error!(error = %self.0, "an inference failed");
        }
        let hint = self.0.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let mut response = (status(kind), Json(json!({ "error": format!("{}{hint}", self.0) }))).into_response();
        if matches!(kind, Kind::Overloaded | Kind::Unavailable) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(scoring::RETRY_AFTER));
        }
        response
    }
}

fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid | Kind::AlreadyExists | Kind::Precondition => StatusCode::BAD_REQUEST,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::PermissionDenied => StatusCode::FORBIDDEN,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
