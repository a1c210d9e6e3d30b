//! Refusals of this protocol, and their status codes.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use kernel::error::{Classified as _, Kind};
use serde_json::json;

use crate::route::Protocol;
use crate::scoring;
use crate::visitor::Refusal as NotAllowed;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Error {
    /// The body is not JSON, says its header.
    MediaType(String),
    /// Everything that serving refuses.
    Serving(serving::Error),
}

impl From<serving::Error> for Error {
    fn from(error: serving::Error) -> Self {
        Self::Serving(error)
    }
}

/// An error on its way out.
pub(super) struct Refusal {
    pub(super) error: Error,
    pub(super) request_id: HeaderValue,
}

/// This protocol, where it refuses callers.
pub(crate) struct Predictions;

impl Protocol for Predictions {
    fn refusal(refusal: &NotAllowed) -> Response {
        let (kind, message, hint) = (refusal.kind(), refusal.message(), refusal.hint());
        Json(json!({ "error": { "kind": kind, "message": message, "hint": hint } })).into_response()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, body) = match &self.error {
            Error::MediaType(got) => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                json!({
                    "kind": "invalid",
                    "message": format!("the body must be JSON in UTF-8, its content type says `{got}`"),
                    "field": "content-type",
                    "hint": "send the header content-type: application/json",
                }),
            ),
            Error::Serving(error) => {
                if error.kind() == Kind::Internal {
                    tracing::error!(%error, "a prediction failed");
                }
                (
                    status(error.kind()),
                    json!({
                        "kind": name(error.kind()),
                        "message": error.to_string(),
                        "field": error.field(),
                        "hint": error.hint(),
                    }),
                )
            }
        };
        let mut response = (status, Json(json!({ "error": body }))).into_response();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(scoring::RETRY_AFTER));
        }
        response.headers_mut().insert(scoring::REQUEST_ID, self.request_id);
        response
    }
}

fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::AlreadyExists | Kind::Precondition => StatusCode::CONFLICT,
        Kind::PermissionDenied => StatusCode::FORBIDDEN,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn name(kind: Kind) -> &'static str {
    serving::stats::CODES.iter().find(|(each, _)| *each == kind).map_or("internal", |(_, name)| name)
}
