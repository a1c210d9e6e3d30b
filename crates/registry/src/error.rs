//! What can go wrong in the registry. Where MLflow's clients know a message by heart, it is worded as they know it.

use kernel::error::{Classified, Kind};
use kernel::filter::ParseError;

/// An error of the registry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// No model of that name.
    #[error("Registered Model with name={0} not found")]
    ModelNotFound(String),
    /// A model of that name exists.
    #[error("Registered Model (name={0}) already exists.")]
    ModelExists(String),
    /// No such version, or it was deleted.
    #[error("Model Version (name={name}, version={version}) not found")]
    VersionNotFound {
        /// The model.
        name: String,
        /// The version asked for.
        version: String,
    },
    /// No such alias.
    #[error("Registered model alias {0} not found.")]
    AliasNotFound(String),
    /// No such webhook.
    #[error("Webhook with ID {0} not found.")]
    WebhookNotFound(String),
    /// No such verdict.
    #[error("verdict {0} does not exist")]
    VerdictNotFound(String),
    /// The verdict has been decided, or never was up for a decision.
    #[error("verdict {id} is {state}: only a passed verdict that nobody has decided yet can be approved or rejected")]
    VerdictDecided {
        /// The verdict.
        id: String,
        /// Its state.
        state: &'static str,
    },
    /// The policy wants another pair of eyes.
    #[error("{who} registered version {version} of `{model}`, and its policy wants somebody else to approve it")]
    SamePerson {
        /// Who registered it and would approve it.
        who: String,
        /// Model.
        model: String,
        /// Version.
        version: String,
    },
    /// A value that breaks a rule.
    #[error("{message}")]
    Invalid {
        /// The field at fault.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A filter or an order that is not of the language.
    #[error("Invalid filter: {0}")]
    Filter(#[from] ParseError),
    /// The gate does not let a pointer move; the hint says what to do.
    #[error("the policy of model `{model}` refuses this: {reason}")]
    GateRefused {
        /// The model.
        model: String,
        /// The pointer that was to move.
        pointer: String,
        /// Why it may not.
        reason: String,
        /// What to do.
        hint: String,
    },
}

impl Error {
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }
}

impl Classified for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Db(error) => error.kind(),
            Self::ModelNotFound(_)
            | Self::VersionNotFound { .. }
            | Self::WebhookNotFound(_)
            | Self::VerdictNotFound(_) => Kind::NotFound,
            Self::ModelExists(_) => Kind::AlreadyExists,
            Self::AliasNotFound(_) | Self::Invalid { .. } | Self::Filter(_) => Kind::Invalid,
            Self::SamePerson { .. } => Kind::PermissionDenied,
            Self::VerdictDecided { .. } | Self::GateRefused { .. } => Kind::Precondition,
        }
    }

    fn field(&self) -> Option<&str> {
        match self {
            Self::Db(error) => error.field(),
            Self::Invalid { field, .. } => Some(field),
            Self::Filter(_) => Some("filter"),
            Self::AliasNotFound(_) => Some("alias"),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Db(error) => error.hint(),
            Self::GateRefused { hint, .. } => Some(hint.clone()),
            _ => None,
        }
    }
}
