//! Who may do what: users, tokens, roles and permissions.
//!
//! A route of the edge names the one [`Permission`] that it needs; a [`Role`] is a set of permissions, and a token may narrow its
//! role's set. [`Access`] turns what a request proves itself with into an [`Identity`], and remembers it for a short while so that
//! a prediction pays neither for a lock nor for the database. Secrets are never stored: of a password its argon2id hash, of a
//! token (256 random bits) its digest. Nothing here knows a protocol.

mod door;
mod error;
mod identity;
pub mod jws;
pub mod member;
mod migrations;
pub mod oidc;
pub mod permission;
mod secret;
pub mod session;
pub mod token;
pub mod user;
pub mod workspace;

pub use door::Access;
pub use error::{Denied, Error};
pub use identity::{Credential, Identity, Reach};
pub use migrations::MIGRATIONS;
pub use permission::{Grants, Permission, Role};
pub use secret::Secret;
