//! Back from a manifest: the code in a clean folder, the data where it was, the environment built anew.
//!
//! Whatever is not there is [`crate::Error::Missing`], which names it: that is the answer to a person who wants to repeat a run.

mod code;
mod data;
mod environment;

pub use code::restore as code;
pub use data::restore as data;
pub use environment::{Built, Kind, command, restore as environment};
