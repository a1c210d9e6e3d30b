//! The loop itself: events become reactions.

pub mod house;

pub use house::{House, Parts};
