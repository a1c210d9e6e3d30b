//! What a run needs to be repeated, and how it is kept until a server has it.
//!
//! [`capture`] looks at the machine before the run: code, environment, data, seeds, hardware; the answer is a [`manifest`]. The
//! [`spool`] holds on disk what a server has not acknowledged. [`sample`] measures a tree of processes. [`restore`] turns a
//! manifest back into code, data and an environment, and [`compare`] says how close two runs are.
//!
//! No HTTP and no knowledge of how a server is spoken to; everything here blocks.

pub mod capture;
pub mod compare;
mod error;
pub mod manifest;
pub mod program;
pub mod restore;
pub mod sample;
pub mod spool;

pub use error::Error;

type Result<T, E = Error> = std::result::Result<T, E>;
