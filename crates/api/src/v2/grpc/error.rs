//! Refusals of this protocol: the status codes of gRPC.

use axum::response::Response;
use kernel::error::{Classified as _, Kind};
use tonic::{Code, Status};

use crate::route::Protocol;
use crate::visitor::Refusal;

/// This protocol, where it refuses callers. The HTTP status is that of other protocols; clients go by the status of gRPC beside it.
pub(crate) struct Grpc;

impl Protocol for Grpc {
    const CHALLENGE: &'static str = "Bearer realm=\"rondo\", Basic realm=\"rondo\"";

    fn refusal(refusal: &Refusal) -> Response {
        let code = if refusal.asks_for_proof() { Code::Unauthenticated } else { Code::PermissionDenied };
        Status::new(code, format!("{} ({})", refusal.message(), refusal.hint())).into_http()
    }
}

/// Why there is no answer.
pub(super) fn status(error: &serving::Error) -> Status {
    let kind = error.kind();
    if kind == Kind::Internal {
        tracing::error!(%error, "an inference failed");
    }
    let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    Status::new(code(kind), format!("{error}{hint}"))
}

fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::Precondition => Code::FailedPrecondition,
        Kind::NotFound => Code::NotFound,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::TooLarge => Code::ResourceExhausted,
        // A client may try these again.
        Kind::Overloaded | Kind::Unavailable => Code::Unavailable,
        Kind::NotImplemented => Code::Unimplemented,
        Kind::Internal => Code::Internal,
    }
}
