//! Errors of `/api/v1`, and the one place where a class of failure becomes a status.
//!
//! `{"error": {"kind", "message", "field"?, "hint"?}}`. A 5xx is a defect of ours; what the caller can mend is a 4xx.

use axum::Json;
use axum::extract::OriginalUri;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use kernel::error::{Classified, Kind};
use serde_json::json;

use crate::route::Protocol;
use crate::visitor::Refusal;

/// A failure, ready to be told.
#[derive(Debug)]
pub(crate) struct Error {
    kind: Kind,
    message: String,
    field: Option<String>,
    hint: Option<String>,
}

impl Error {
    /// Something in the request is wrong.
    pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { kind: Kind::Invalid, message: message.into(), field: Some(field.to_owned()), hint: None }
    }

    /// The request is larger than is taken.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self { kind: Kind::TooLarge, message: message.into(), field: Some("body".to_owned()), hint: None }
    }

    /// Something named is not there.
    pub(crate) fn missing(what: &str, name: &str, hint: &str) -> Self {
        let message = format!("{what} `{name}` does not exist");
        Self { kind: Kind::NotFound, message, field: None, hint: Some(hint.to_owned()) }
    }

    /// The same, about this field if it names none.
    pub(crate) fn about(mut self, field: &str) -> Self {
        self.field.get_or_insert_with(|| field.to_owned());
        self
    }

    fn of(error: &dyn Classified) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self { kind: error.kind(), message, field: error.field().map(str::to_owned), hint: error.hint() }
    }
}

/// Errors of the layers come through the conductor's, which classes them.
impl<E: Into<conductor::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::of(&error.into())
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
    match kind {
        Kind::Invalid => "invalid",
        Kind::NotFound => "not_found",
        Kind::AlreadyExists => "already_exists",
        Kind::Precondition => "precondition",
        Kind::PermissionDenied => "permission_denied",
        Kind::TooLarge => "too_large",
        Kind::Overloaded => "overloaded",
        Kind::Unavailable => "unavailable",
        Kind::NotImplemented => "not_implemented",
        Kind::Internal => "internal",
    }
}

/// This protocol, where it refuses callers.
pub(crate) struct V1;

impl Protocol for V1 {
    fn refusal(refusal: &Refusal) -> Response {
        let (kind, message, hint) = (refusal.kind(), refusal.message(), refusal.hint());
        Json(json!({ "error": { "kind": kind, "message": message, "hint": hint } })).into_response()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if self.kind == Kind::Internal {
            tracing::error!(error = self.message, "a request failed through no fault of its own");
        }
        let mut body = json!({ "kind": name(self.kind), "message": self.message });
        if let Some(field) = self.field {
            body["field"] = field.into();
        }
        if let Some(hint) = self.hint {
            body["hint"] = hint.into();
        }
        let mut response = (status(self.kind), Json(json!({ "error": body }))).into_response();
        if matches!(self.kind, Kind::Overloaded | Kind::Unavailable) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A path of ours, asked in a way that it does not answer.
pub(super) async fn no_such_method(method: Method, OriginalUri(uri): OriginalUri) -> Response {
    let message = format!("{} does not answer {method}", uri.path());
    let hint = "the methods of each path are listed in docs/API.md";
    let body = json!({ "error": { "kind": "method_not_allowed", "message": message, "hint": hint } });
    (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}

/// A path that is none of ours.
pub(super) async fn no_such_route(OriginalUri(uri): OriginalUri) -> Error {
    Error::missing("the path", uri.path(), "the paths of this protocol are listed in docs/API.md")
}
