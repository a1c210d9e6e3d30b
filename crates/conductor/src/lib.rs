//! The loop itself: events become reactions.
//!
//! [`reaction::TABLE`] is the one page that says what Rondo does on its own. A reaction runs in one transaction with the advance of
//! its cursor, so it happens exactly once; work that takes long (loading a model, evaluating a candidate, calling a webhook) is a
//! row in the job queue, written by the reaction in that same transaction and done by [`worker`] at least once, its result published
//! once. The layers below know nothing of each other; they meet here.

pub mod admission;
mod annex;
pub mod announce;
pub mod error;
pub mod evaluation;
pub mod follow;
pub mod gc;
pub mod house;
pub mod installation;
pub mod job;
pub mod leadership;
pub mod oidc;
pub mod outbound;
pub mod reaction;
pub mod rollout;
pub mod schedule;
mod settle;
pub mod status;
pub mod version_files;
pub mod watch;
pub mod webhook;
pub mod worker;
pub mod workspace;

pub use error::Error;
pub use house::{House, Parts};

/// The tables of every layer, in the order in which they are made.
pub const TABLES: [&[db::Migration]; 8] = [
    access::MIGRATIONS,
    tracking::MIGRATIONS,
    registry::MIGRATIONS,
    serving::deployment::MIGRATIONS,
    monitoring::MIGRATIONS,
    pipelines::MIGRATIONS,
    job::MIGRATIONS,
    installation::MIGRATIONS,
];
