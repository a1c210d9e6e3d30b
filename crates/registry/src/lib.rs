//! Registered models, versions, aliases, stages, policies, verdicts and promotions.
//!
//! The registry is the source of truth for what is in production: a [`pointer::Pointer`] (a stage or an alias) names the version
//! that a deployment serves. Whatever moves a pointer goes through [`gate`], in the transaction of the move, and leaves an event
//! with its evidence. Runs, artifacts and deployments are not known here: a version names them by id.

mod error;
pub mod gate;
pub mod import;
pub mod model;
mod moves;
mod name;
pub mod pointer;
pub mod policy;
mod schema;
pub mod stage;
pub mod tag;
pub mod verdict;
pub mod version;
pub mod webhook;

pub use error::Error;
pub use schema::MIGRATIONS;

/// The tables whose rows are the things of a workspace: one that has any is not empty.
pub const ROOT_TABLES: &[&str] = &["registered_models", "registry_webhooks"];

type Result<T, E = Error> = std::result::Result<T, E>;
