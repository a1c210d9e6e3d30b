//! The edge: one directory for each wire protocol, all on one port.
//!
//! A protocol has its own routes, wire shapes, conversion and error format; nothing else may name its wire types. What they share is
//! on this floor only: who calls ([`principal`]), the guard in front of everything that changes state ([`guard`]), and what every
//! protocol that asks for predictions does ([`scoring`]).

pub mod guard;
pub mod health;
pub mod invocations;
pub mod metrics;
pub mod mlflow;
pub mod predict;
pub mod principal;
mod scoring;
pub mod v1;
pub mod v2;

use axum::routing::IntoMakeService;
use axum::{Router, ServiceExt as _};
use conductor::House;

/// Every protocol behind one guard, ready for `axum::serve`.
pub fn service(house: House) -> IntoMakeService<guard::Guard> {
    let routes = Router::new()
        .merge(health::routes())
        .merge(invocations::routes())
        .merge(metrics::routes())
        .merge(mlflow::routes())
        .merge(predict::routes())
        .merge(v1::routes())
        .merge(v2::routes())
        .merge(web::routes())
        .with_state(house.clone());
    guard::Guard { routes, house }.into_make_service()
}
