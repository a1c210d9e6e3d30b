//! Pipelines: steps as supervised subprocesses, triggers, skipping and resuming.
//!
//! A pipeline is a `pipeline.toml` ([`definition`]) stored under its name together with the folder it works in ([`pipeline`]). A
//! trigger ([`trigger`]) starts a run ([`run`]) under a key that makes the same cause start it once. The [`Executor`] works off
//! what is pending, one process group for each attempt of a step ([`process`]), and publishes a step's result in one
//! transaction that is fenced by the number of the attempt ([`step`]): execution is at least once, publication exactly once.
//!
//! No HTTP here, and nothing of models or monitors: whoever knows that an alert fired calls [`trigger::on_alert`].

use db::Migration;

pub mod definition;
mod error;
mod executor;
pub mod log;
pub mod pipeline;
pub mod process;
pub mod run;
pub mod step;
mod step_key;
pub mod trigger;

pub use error::Error;
pub use executor::{Executor, Options, WorkspaceEnv};

/// The tables whose rows are the things of a workspace: one that has any is not empty.
pub const ROOT_TABLES: &[&str] = &["pipelines"];

/// The tables of this layer.
pub const MIGRATIONS: &[Migration] =
    &[Migration { id: "pipelines/0001-pipelines", sql: include_str!("0001-pipelines.sql") }];
