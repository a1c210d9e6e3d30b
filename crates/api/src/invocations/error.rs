//! Refusals of this protocol: `{"error_code", "message"}` as mlflow writes them, plain text for 415.

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
pub(super) enum Error {
    /// Another character set than UTF-8.
    Charset,
    /// A parameter of the content type that the contract does not know.
    Parameter(String),
    /// A content type that is not read.
    MediaType(String),
    /// `/invocations` without a name, and not exactly one deployment.
    WhichDeployment(Vec<String>),
    /// Everything that serving refuses.
    Serving(serving::Error),
}

impl From<serving::Error> for Error {
    fn from(error: serving::Error) -> Self {
        Self::Serving(error)
    }
}

/// This protocol, where it refuses callers.
pub(crate) struct Invocations;

impl Protocol for Invocations {
    const CHALLENGE: &'static str = "Bearer realm=\"rondo\", Basic realm=\"rondo\"";

    fn refusal(refusal: &Refusal) -> Response {
        let message = format!("{} ({})", refusal.message(), refusal.hint());
        coded(refusal.status(), refusal.code(), message)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let unsupported = |text: String| (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
        match self {
            Self::Charset => unsupported("The scoring server only supports UTF-8".to_owned()),
            Self::Parameter(name) => unsupported(format!("Unrecognized content type parameters: {name}.")),
            Self::MediaType(got) => unsupported(format!(
                "This predictor only supports the following content types: application/json, text/csv. Got '{got}'."
            )),
            Self::WhichDeployment(names) => coded(StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST", which(&names)),
            Self::Serving(error) => {
                if error.kind() == Kind::Internal {
                    tracing::error!(%error, "an invocation failed");
                }
                let (status, code) = status(error.kind());
                let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
                coded(status, code, format!("{error}{hint}"))
            }
        }
    }
}

fn which(names: &[String]) -> String {
    if names.is_empty() {
        return "there is no deployment; create one with `rondo deployment create`".to_owned();
    }
    let names = names.join(", ");
    format!(
        "there are several deployments ({names}): post to /deployments/NAME/invocations or send x-rondo-deployment: NAME"
    )
}

fn coded(status: StatusCode, code: &str, message: String) -> Response {
    let mut response = (status, Json(json!({ "error_code": code, "message": message }))).into_response();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(scoring::RETRY_AFTER));
    }
    response
}

fn status(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::Invalid => (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST"),
        Kind::AlreadyExists => (StatusCode::CONFLICT, "RESOURCE_ALREADY_EXISTS"),
        Kind::Precondition => (StatusCode::CONFLICT, "INVALID_STATE"),
        Kind::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "RESOURCE_LIMIT_EXCEEDED"),
        Kind::Overloaded => (StatusCode::TOO_MANY_REQUESTS, "REQUEST_LIMIT_EXCEEDED"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "TEMPORARILY_UNAVAILABLE"),
        Kind::NotImplemented => (StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
    }
}
