//! The edge: one directory for each wire protocol, all on one port.
//!
//! A protocol has its own routes, wire shapes, conversion and error format; nothing else may name its wire types. What they share is
//! on this floor only: routes that say what they need ([`route`]), who calls ([`principal`]), the guard in front of everything that changes state ([`guard`]), and what every
//! protocol that asks for predictions does ([`scoring`]).

mod coding;
pub mod guard;
pub mod health;
pub mod invocations;
pub mod metrics;
pub mod mlflow;
mod models_v1;
pub mod otlp;
pub mod predict;
pub mod principal;
pub mod route;
mod scoring;
mod sign_in;
pub mod v1;
pub mod v2;
mod visitor;
mod workspace;

use axum::routing::IntoMakeService;
use axum::{Router, ServiceExt as _};
use conductor::House;

pub use guard::Edge;

/// Every protocol behind one guard that asks nobody who calls, ready for `axum::serve`. For loopback only.
pub fn service(house: House) -> IntoMakeService<guard::Guard> {
    service_with(house, Edge::default())
}

/// Every protocol behind one guard, ready for `axum::serve`.
pub fn service_with(house: House, edge: Edge) -> IntoMakeService<guard::Guard> {
    let routes = protocols().into_iter().fold(web::routes(), |all, (router, _)| all.merge(router));
    let edge = std::sync::Arc::new(edge);
    guard::Guard { routes: routes.with_state(house.clone()), house, edge }.into_make_service()
}

/// What every route of every protocol needs. The page and the files of the browser app are not in it; they are public.
pub fn declared() -> Vec<route::Declared> {
    protocols().into_iter().flat_map(|(_, table)| table).collect()
}

fn protocols() -> Vec<(Router<House>, Vec<route::Declared>)> {
    vec![
        health::routes().finish(),
        invocations::routes().finish(),
        metrics::routes().finish(),
        mlflow::routes().finish(),
        models_v1::routes().finish(),
        otlp::routes().finish(),
        predict::routes().finish(),
        sign_in::routes().finish(),
        v1::routes().finish(),
        v2::routes().finish(),
        v2::grpc_routes().finish(),
    ]
}
