//! Somebody who is known, and what somebody proves it with.

use std::fmt;

use kernel::ctx::{DEFAULT_WORKSPACE, Principal};

use crate::permission::{Grants, Permission, Role};

/// Somebody who is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As the audit trail names it.
    pub principal: Principal,
    /// The workspace that it belongs to.
    pub workspace: String,
    /// Where else it may go.
    pub reach: Reach,
    /// Its role.
    pub role: Role,
    /// What it may do: what the role may, as far as the token's scopes go.
    pub grants: Grants,
    /// The token that it came with, if any.
    pub token: Option<String>,
    /// When the token expires, microseconds since the epoch.
    pub expires_us: Option<i64>,
}

/// Where else than to its own workspace somebody may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nowhere: a token is bound to its workspace.
    Bound,
    /// Where it is a member, as what.
    Member(Vec<(String, Role)>),
    /// Everywhere: an admin of the server.
    Everywhere,
}

impl Identity {
    /// What its bearer is in its own workspace: there, an admin of the default workspace is one of the server.
    pub(crate) fn at_home(
        principal: Principal,
        workspace: String,
        role: Role,
        scopes: Option<&[Permission]>,
        reach: Reach,
    ) -> Self {
        let rules = role == Role::Admin && scopes.is_none() && workspace == DEFAULT_WORKSPACE;
        let grants = scopes.map_or(role.grants(), |scopes| role.grants().and(Grants::of(scopes)));
        let (grants, reach) =
            if rules { (grants.with(Permission::Server), Reach::Everywhere) } else { (grants, reach) };
        Self { principal, workspace, reach, role, grants, token: None, expires_us: None }
    }

    /// What it is in another workspace; `None` if nothing.
    pub fn within(&self, workspace: &str) -> Option<Self> {
        let role = match &self.reach {
            _ if workspace == self.workspace => return Some(self.clone()),
            Reach::Bound => return None,
            Reach::Everywhere => return Some(Self { workspace: workspace.to_owned(), ..self.clone() }),
            Reach::Member(of) => of.iter().find(|(name, _)| name == workspace)?.1,
        };
        Some(Self { workspace: workspace.to_owned(), role, grants: role.grants(), ..self.clone() })
    }

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
    /// The secret of a session.
    Session(String),
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
            Self::Session(_) => f.write_str("Session(..)"),
            Self::Password { user, .. } => f.debug_struct("Password").field("user", user).finish_non_exhaustive(),
        }
    }
}
