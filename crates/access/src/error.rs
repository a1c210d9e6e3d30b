//! What can go wrong with users and tokens, and why somebody is not let in.

use kernel::error::{Classified, Kind};

/// An error of this layer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// A name that cannot be one.
    #[error("`{name}` cannot be a name: it must have 1 to 64 letters, digits, dots, hyphens, underscores or @")]
    Name {
        /// What was given.
        name: String,
    },
    /// A password that is easy to guess.
    #[error("the password is too short: it must have at least {least} characters")]
    ShortPassword {
        /// Characters that it must have.
        least: usize,
    },
    /// An end that is over.
    #[error("the token would have expired already")]
    ExpiresBefore,
    /// The name is in use.
    #[error("{what} `{name}` exists already")]
    Exists {
        /// The noun.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It does not exist.
    #[error("{what} `{name}` does not exist")]
    Missing {
        /// The noun.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A name that no workspace can have.
    #[error("Workspace name '{name}' {why}")]
    WorkspaceName {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The default workspace is always there.
    #[error("The 'default' workspace is reserved and cannot be {done}")]
    Reserved {
        /// What was to be done.
        done: &'static str,
    },
    /// The name is in use.
    #[error("Workspace '{name}' already exists.")]
    WorkspaceExists {
        /// The name.
        name: String,
    },
    /// The name was in use.
    #[error(
        "Workspace '{name}' already exists: it was deleted, and its name stays with what it left in the audit trail."
    )]
    WorkspaceGone {
        /// The name.
        name: String,
    },
    /// There is none of this name.
    #[error("Workspace '{name}' not found")]
    NoWorkspace {
        /// The name.
        name: String,
    },
    /// There is something in it.
    #[error(
        "Cannot delete workspace '{name}': table '{table}' still contains {rows} resource(s). Remove or reassign them before \
         deleting the workspace."
    )]
    WorkspaceInUse {
        /// The name.
        name: String,
        /// Where.
        table: String,
        /// How much.
        rows: i64,
    },
    /// The provider's claims give no role.
    #[error("`{name}` has no role here")]
    NoRole {
        /// Who.
        name: String,
    },
    /// Somebody who cannot have one.
    #[error("only people and bearers of tokens can sign in")]
    NoSession,
    /// Too many sign-ins are under way.
    #[error("too many sign-ins are under way")]
    TooManySignIns,
    /// A user of the workspace itself.
    #[error("`{name}` is a user of this workspace itself")]
    Own {
        /// The user.
        name: String,
    },
    /// The password could not be hashed.
    #[error("the password cannot be hashed: {reason}")]
    Hash {
        /// Why.
        reason: String,
    },
}

impl Classified for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Db(error) => error.kind(),
            Self::Name { .. } | Self::ShortPassword { .. } | Self::ExpiresBefore | Self::Own { .. } => Kind::Invalid,
            Self::WorkspaceName { .. } | Self::Reserved { .. } => Kind::Invalid,
            Self::Exists { .. } | Self::WorkspaceExists { .. } | Self::WorkspaceGone { .. } => Kind::AlreadyExists,
            Self::Missing { .. } | Self::NoWorkspace { .. } => Kind::NotFound,
            Self::WorkspaceInUse { .. } => Kind::Precondition,
            Self::NoRole { .. } | Self::NoSession => Kind::PermissionDenied,
            Self::TooManySignIns => Kind::Overloaded,
            Self::Hash { .. } => Kind::Internal,
        }
    }

    fn field(&self) -> Option<&str> {
        match self {
            Self::Name { .. } | Self::WorkspaceName { .. } | Self::Reserved { .. } => Some("name"),
            Self::Own { .. } => Some("user"),
            Self::ShortPassword { .. } => Some("password"),
            Self::ExpiresBefore => Some("expires"),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Db(error) => error.hint(),
            Self::Exists { what: "token", name } => {
                Some(format!("choose another name, or end that one with `rondo token revoke {name}`"))
            }
            Self::Own { .. } => Some("change its role with `rondo user change`".to_owned()),
            Self::NoRole { .. } => {
                Some("an admin maps a value of the role claim with the setting `oidc_roles`".to_owned())
            }
            Self::NoWorkspace { .. } => Some("`rondo workspace list` shows those that are there".to_owned()),
            Self::WorkspaceGone { .. } => Some("choose another name".to_owned()),
            Self::Exists { .. } => Some("choose another name".to_owned()),
            Self::Missing { what: "token", .. } => Some("`rondo token list` shows those that are there".to_owned()),
            Self::Missing { .. } => Some("`rondo user list` shows those that are there".to_owned()),
            _ => None,
        }
    }
}

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No token like this, or no user with this password.
    #[error("the {what} is not known here")]
    Unknown {
        /// What was tried: `token`, or `user or password`.
        what: &'static str,
    },
    /// The token has expired.
    #[error("the token `{name}` has expired")]
    Expired {
        /// The token's name.
        name: String,
    },
    /// The token was revoked.
    #[error("the token `{name}` was revoked")]
    Revoked {
        /// The token's name.
        name: String,
    },
    /// Too many passwords are being checked.
    #[error("too many passwords are being checked at once")]
    Busy,
    /// The database does not answer.
    #[error("who calls cannot be checked now: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
}
