//! Who may do what: permissions, roles, users and tokens.
//!
//! A route of the edge names the one [`Permission`] that it needs; a [`Role`] is a set of permissions, and a token may narrow its
//! role's set. Nothing here knows a protocol.

pub mod permission;

pub use permission::{Grants, Permission, Role};
