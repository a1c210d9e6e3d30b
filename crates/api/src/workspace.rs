//! Which workspace a request is about: the header says so, else the one that the caller belongs to.
//!
//! The header is MLflow's. A caller that may not enter a workspace is not told whether it exists.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use kernel::ctx::DEFAULT_WORKSPACE;
use kernel::error::{Classified as _, Kind};

use crate::visitor::{Closed, Visitor};

/// The header.
const HEADER: HeaderName = HeaderName::from_static("x-mlflow-workspace");

/// Where a request goes.
pub(crate) enum Chosen {
    /// To the default workspace, as who the visitor is.
    Default,
    /// To another one, as who the visitor is there.
    Other(Visitor, String),
    /// Nowhere.
    Closed(Closed),
}

/// The workspace that a visitor chose.
pub(crate) fn chosen(visitor: &Visitor, request: &Request) -> Chosen {
    let named = match named(request.headers()) {
        // What the server says of itself can be asked whatever the header says, as MLflow has it.
        _ if request.uri().path().trim_end_matches('/').ends_with("/mlflow/server-info") => None,
        Ok(named) => named,
        Err(why) => return Chosen::Closed(why),
    };
    let Visitor::Known(identity) = visitor else {
        return match named {
            None | Some(DEFAULT_WORKSPACE) => Chosen::Default,
            Some(name) => Chosen::Other(visitor.clone(), name.to_owned()),
        };
    };
    let name = named.unwrap_or(&identity.workspace);
    if name == identity.workspace {
        return match name {
            DEFAULT_WORKSPACE => Chosen::Default,
            name => Chosen::Other(visitor.clone(), name.to_owned()),
        };
    }
    match identity.within(name) {
        Some(there) => Chosen::Other(Visitor::Known(Arc::new(there)), name.to_owned()),
        None => Chosen::Closed(Closed::NotAMember {
            who: identity.principal.to_string(),
            workspace: name.chars().take(63).collect(),
        }),
    }
}

/// What the header says, if there is one.
fn named(headers: &HeaderMap) -> Result<Option<&str>, Closed> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let unreadable = || Closed::Failed {
        status: StatusCode::BAD_REQUEST,
        message: "the header x-mlflow-workspace must be there once, with the name of a workspace".to_owned(),
    };
    let name = text.ok_or_else(unreadable)?.trim();
    Ok((!name.is_empty()).then_some(name))
}

/// Why a workspace cannot be entered.
pub(crate) fn closed(error: &conductor::Error) -> Closed {
    let status = match error.kind() {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        tracing::error!(%error, "a workspace cannot be opened");
    }
    Closed::Failed { status, message: error.to_string() }
}
