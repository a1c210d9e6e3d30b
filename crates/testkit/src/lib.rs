//! What tests share: databases of both engines.
//!
//! A test that runs on one engine only must say why; the rule is [`on_both`].

mod database;
mod server;

pub use database::{Outcome, TestDb, engines, on_both, on_both_with};
