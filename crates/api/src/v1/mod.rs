//! Rondo's own protocol, `/api/v1`: what the command line and the browser app use. The reference is `docs/API.md`.

mod body;
mod deployment;
mod error;
mod event;
mod model;
mod monitor;
mod outcome;
mod overview;
mod pipeline;
mod run;
mod version;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use conductor::House;

pub(crate) use body::{Body, Query, RawBody};
pub(crate) use error::Error;

/// Largest body of a request, bytes: rows of a reference are the largest thing that is sent here.
const MAX_BODY: usize = 256 << 20;

/// What every handler returns.
pub(crate) type Answer = Result<axum::Json<serde_json::Value>, Error>;

/// The routes.
pub fn routes() -> Router<House> {
    Router::new().nest("/api/v1", all()).layer(DefaultBodyLimit::max(MAX_BODY))
}

fn all() -> Router<House> {
    Router::new()
        .merge(deployment::routes())
        .merge(event::routes())
        .merge(model::routes())
        .merge(monitor::routes())
        .merge(outcome::routes())
        .merge(overview::routes())
        .merge(pipeline::routes())
        .merge(run::routes())
        .merge(version::routes())
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
}
