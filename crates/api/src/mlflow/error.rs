//! The one place that decides status and `error_code` of this protocol.
//!
//! Clients send a request again up to seven times, over minutes, when they see 408, 429 or 5xx. So a request that cannot succeed is
//! never answered with one of these, even where MLflow's own server does.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kernel::error::{Classified, Kind};
use serde_json::json;

use crate::route::Protocol;
use crate::visitor::{Closed, Refusal};

/// An error as the client sees it.
#[derive(Debug)]
pub(crate) struct Error {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// The end of many of MLflow's texts.
pub(super) const API_DOCS: &str = "See the API docs for more information about request parameters.";

impl Error {
    /// A request that breaks a rule.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::of_kind(Kind::Invalid, message.into())
    }

    /// What is named does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::of_kind(Kind::NotFound, message.into())
    }

    /// What a rule of the house forbids.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::of_kind(Kind::PermissionDenied, message.into())
    }

    /// A feature that is not there; clients fall back to another way.
    pub(crate) fn not_implemented(message: impl Into<String>) -> Self {
        Self::of_kind(Kind::NotImplemented, message.into())
    }

    /// A required parameter that is not there.
    pub(crate) fn missing(path: &str) -> Self {
        Self::invalid(format!("Missing value for required parameter '{path}'. {API_DOCS}"))
    }

    /// A parameter of the wrong type; `found` is what Python calls the type.
    pub(crate) fn wrong_type(path: &str, value: &serde_json::Value, found: &str) -> Self {
        let hint = format!("Hint: Value was of type '{found}'.");
        Self::invalid(format!("Invalid value {value} for parameter '{path}' supplied:  {hint} {API_DOCS}"))
    }

    /// A body that says it is something else than JSON.
    pub(crate) fn content_type() -> Self {
        let message = "Bad Request. Content-Type must be one of ['application/json'].".to_owned();
        Self::invalid(message)
    }

    /// A body larger than is read.
    pub(crate) fn too_large(message: String) -> Self {
        Self::of_kind(Kind::TooLarge, message)
    }

    /// What is told.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    fn of_kind(kind: Kind, message: String) -> Self {
        let (status, code) = match kind {
            Kind::Invalid => (StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST"),
            Kind::AlreadyExists => (StatusCode::BAD_REQUEST, "RESOURCE_ALREADY_EXISTS"),
            Kind::Precondition | Kind::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "INVALID_PARAMETER_VALUE"),
            Kind::Overloaded => (StatusCode::TOO_MANY_REQUESTS, "REQUEST_LIMIT_EXCEEDED"),
            Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "TEMPORARILY_UNAVAILABLE"),
            Kind::NotImplemented => (StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
        };
        Self { status, code, message }
    }

    fn of(error: &impl Classified) -> Self {
        let message = match error.hint() {
            Some(hint) if error.kind() != Kind::Invalid => format!("{error}: {hint}"),
            _ => error.to_string(),
        };
        Self::of_kind(error.kind(), message)
    }
}

impl From<tracking::Error> for Error {
    fn from(error: tracking::Error) -> Self {
        let invalid = |code| Self { status: StatusCode::BAD_REQUEST, code, message: error.to_string() };
        match &error {
            // MLflow calls both a bad request; the second one it answers with 500.
            tracking::Error::Deleted { .. } => invalid("INVALID_PARAMETER_VALUE"),
            tracking::Error::RenameDeleted { .. } => invalid("INVALID_STATE"),
            other => Self::of(other),
        }
    }
}

impl From<access::Error> for Error {
    fn from(error: access::Error) -> Self {
        let kind = error.kind();
        match error {
            // MLflow answers 500, which clients would send again.
            access::Error::WorkspaceInUse { .. } => {
                Self { status: StatusCode::BAD_REQUEST, code: "INVALID_STATE", message: error.to_string() }
            }
            other => Self::of_kind(kind, other.to_string()),
        }
    }
}

impl From<registry::Error> for Error {
    fn from(error: registry::Error) -> Self {
        Self::of(&error)
    }
}

impl From<conductor::Error> for Error {
    fn from(error: conductor::Error) -> Self {
        if let conductor::Error::Access(error) = error {
            return error.into();
        }
        Self::of(&error)
    }
}

impl From<blob::Error> for Error {
    fn from(error: blob::Error) -> Self {
        Self::of(&error)
    }
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        Self::of(&error)
    }
}

/// This protocol, where it refuses callers.
pub(crate) struct Mlflow;

impl Protocol for Mlflow {
    const CHALLENGE: &'static str = "Bearer realm=\"rondo\", Basic realm=\"rondo\"";

    fn refusal(refusal: &Refusal) -> Response {
        let message = match refusal {
            // The text is MLflow's own.
            Refusal::Outside(Closed::Failed { message, .. }) => message.clone(),
            other => format!("{}; {}", other.message(), other.hint()),
        };
        Json(json!({ "error_code": refusal.code(), "message": message })).into_response()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self.message, "a request of the mlflow protocol failed of a defect");
        }
        (self.status, Json(json!({ "error_code": self.code, "message": self.message }))).into_response()
    }
}
