//! The edge: one directory for each wire protocol, all on one port.
//!
//! A protocol has its own routes, wire shapes, conversion and error format; nothing else may name its wire types. What they share is
//! on this floor only: who calls ([`principal`]), and the guard in front of everything that changes state ([`guard`]).

pub mod guard;
pub mod principal;

use axum::Router;
use conductor::House;

/// Every protocol on one router.
pub fn router(house: House) -> Router {
    Router::new().with_state(house)
}
