//! The ground floor: what every layer of Rondo shares, and nothing that belongs to one of them.
//!
//! No SQL, no HTTP and no files are found here. A type moves down to this floor only when two sibling layers must speak of it
//! to each other: ids, time, who acts, what happened, how an error is classed, a page of a listing, a table of values.

pub mod clock;
pub mod ctx;
pub mod digest;
pub mod error;
pub mod event;
pub mod filter;
pub mod frame;
pub mod id;
pub mod page;
pub mod seed;
pub mod task;
