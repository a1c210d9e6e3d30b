//! What tests share: databases of both engines, and an S3 server.
//!
//! A test that runs on one engine only must say why; the rule is [`on_both`].

mod database;
mod s3;
mod server;

pub use database::{Outcome, TestDb, engines, on_both, on_both_with};
pub use s3::{Conditions, S3};
