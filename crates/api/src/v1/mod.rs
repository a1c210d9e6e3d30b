//! Rondo's own protocol, `/api/v1`: what the command line and the browser app use. The reference is `docs/API.md`.

mod audit;
mod body;
mod deployment;
mod error;
mod event;
mod import;
mod model;
mod monitor;
mod outcome;
mod overview;
mod pipeline;
mod replica;
mod run;
mod session;
mod sweep;
mod token;
mod user;
mod version;
mod workspace;

pub(crate) use body::{Body, Query, RawBody};
pub(crate) use error::{Error, V1};

/// Largest body of a request, bytes: rows of a reference are the largest thing that is sent here.
const MAX_BODY: usize = 256 << 20;

/// What every handler returns.
pub(crate) type Answer = Result<axum::Json<serde_json::Value>, Error>;

/// Routes of this protocol.
pub(crate) type Routes = crate::route::Routes<error::V1>;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new().nest("/api/v1", all()).body_limit(MAX_BODY)
}

fn all() -> Routes {
    Routes::new()
        .merge(audit::routes())
        .merge(deployment::routes())
        .merge(event::routes())
        .merge(import::routes())
        .merge(model::routes())
        .merge(monitor::routes())
        .merge(outcome::routes())
        .merge(overview::routes())
        .merge(pipeline::routes())
        .merge(replica::routes())
        .merge(run::routes())
        .merge(session::routes())
        .merge(sweep::routes())
        .merge(token::routes())
        .merge(user::routes())
        .merge(version::routes())
        .merge(workspace::routes())
        .otherwise(error::no_such_route, error::no_such_method)
}
