//! The log from its public face: what goes in comes out, whatever happens in between.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod flushing;
mod kit;
mod limits;
mod outcomes;
mod recovery;
mod repeats;
mod tables;
