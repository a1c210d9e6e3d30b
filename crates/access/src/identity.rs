//! Somebody who is known, and what somebody proves it with.

use std::fmt;

use kernel::ctx::Principal;

use crate::permission::{Grants, Permission, Role};

/// Somebody who is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As the audit trail names it.
    pub principal: Principal,
    /// The workspace that it belongs to.
    pub workspace: String,
    /// Its role.
    pub role: Role,
    /// What it may do: what the role may, as far as the token's scopes go.
    pub grants: Grants,
    /// The token that it came with, if any.
    pub token: Option<String>,
    /// When the token expires, microseconds since the epoch.
    pub expires_us: Option<i64>,
}

impl Identity {
    /// Whether it may do this.
    pub fn may(&self, permission: Permission) -> bool {
        self.grants.allow(permission)
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self, now_us: i64) -> bool {
        self.expires_us.is_some_and(|end| end <= now_us)
    }
}

/// What somebody proves it with.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token.
    Token(String),
    /// A user's name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
}

impl Credential {
    /// A name and a password; a token in the password's place is a token, whatever the name.
    pub fn basic(user: &str, password: &str) -> Self {
        if crate::secret::is_token(password) {
            return Self::Token(password.to_owned());
        }
        Self::Password { user: user.to_owned(), password: password.to_owned() }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(..)"),
            Self::Password { user, .. } => f.debug_struct("Password").field("user", user).finish_non_exhaustive(),
        }
    }
}
