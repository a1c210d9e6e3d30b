//! Monitoring from its public face: numbers against the tools that users trust, levels by simulation, tables on both engines.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod golden;
mod level;
mod paired;
mod rules;
mod support;
mod tables;
mod window;
