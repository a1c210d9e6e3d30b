//! The event log of predictions and outcomes: write-ahead segments first, Parquet in the object store later.
//!
//! What is appended is in the operating system's hands when the call returns (it survives `kill -9`) and on the disk within
//! [`Options::sync_interval`]; outcomes and watermarks are on the disk when their call returns. A crash at any moment loses and
//! doubles nothing that was acknowledged. The decisions are in `docs/adr/0006-telemetry-log.md`.
//!
//! Not here: statistics (`monitoring`), HTTP (`api`), SQL. Arrow and Parquet do not leave this crate.

mod error;
mod log;
mod options;
mod record;
pub mod table;

pub use error::Error;
pub use log::Log;
pub use options::Options;
pub use record::{Counts, Found, Outcome, PredictionBatch, Rows, Scan, Schema, Watermark};
