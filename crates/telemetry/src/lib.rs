//! The event log of predictions and outcomes: write-ahead segments first, Parquet in the object store later.
//!
//! What is appended is in the operating system's hands when the call returns (it survives `kill -9`) and on the disk within
//! [`Options::sync_interval`]; outcomes and watermarks are on the disk when their call returns. A crash at any moment loses and
//! doubles nothing that was acknowledged. The decisions are in `docs/adr/0006-telemetry-log.md`.
//!
//! Not here: statistics (`monitoring`), HTTP (`api`), SQL. Arrow and Parquet do not leave this crate.
//!
//! A segment's life: [`wal`] bytes with a [`memory`] beside them, closed by size or by a flush, [`convert`]ed to [`objects`],
//! entered in the [`manifest`], removed. A [`scan`] reads both sides.

mod chunk;
mod codec;
mod convert;
mod error;
mod framing;
mod key;
mod log;
mod manifest;
mod memory;
mod objects;
mod options;
mod outcomes;
mod record;
mod recover;
mod remembered;
mod scan;
mod seen;
mod shared;
mod state;
mod sync;
pub mod table;
mod wal;

pub use error::Error;
pub use log::Log;
pub use options::Options;
pub use record::{Counts, Found, Outcome, PredictionBatch, Rows, Scan, Schema, Watermark};
