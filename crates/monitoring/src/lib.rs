//! Monitors: windows over the event log, references, drift, quality with intervals, rules and alerts.
//!
//! Two halves. The statistics ([`twosample`], [`profile`], [`quality`], [`compare`]) are pure: the same rows give the same
//! numbers to the bit, and no `NaN` leaves them. The bookkeeping ([`monitor`], [`reference`](mod@reference),
//! [`window`], [`alert`]) keeps definitions and results in tables and tells the rest of the house through events. Nothing here
//! reads the log, calls a model or sends a message: the conductor brings the rows and delivers the alerts.

pub mod alert;
pub mod compare;
pub mod effect;
pub mod error;
mod evaluate;
pub mod monitor;
pub mod profile;
pub mod quality;
pub mod reference;
pub mod report;
pub mod rule;
mod schema;
mod seed;
pub mod special;
pub mod task;
pub mod twosample;
pub mod window;

pub use error::Error;
pub use schema::MIGRATIONS;

/// The tables whose rows are the things of a workspace: one that has any is not empty.
pub const ROOT_TABLES: &[&str] = &["monitors"];
