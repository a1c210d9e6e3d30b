//! Deployments: a named endpoint serves what a pointer of the registry points at, and nothing else.
//!
//! [`deployment`] is the durable half: which endpoints exist and what they follow. [`Fleet`] is the live half: the model that each
//! endpoint answers with right now, exchanged in one atomic step. [`decode`] turns rows on a wire into the frame that a model takes
//! and says precisely what is wrong with them. Who moves a pointer, and when a deployment is rolled, is not decided here; no wire
//! format is named here either.

pub mod decode;
pub mod deployment;
mod error;
mod fleet;
mod live;
mod pool;
mod smoke;
pub mod stats;

pub use error::Error;
pub use fleet::{Fleet, Loaded, Options, Rolled, State, Status, load};
pub use live::{Answer, Batch, Call, Live};
