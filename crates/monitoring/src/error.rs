//! What can go wrong in monitoring, and how it is classed.

use kernel::error::{Classified, Kind};

/// An error of this layer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no monitor of that name.
    #[error("monitor `{name}` does not exist")]
    UnknownMonitor {
        /// The name asked for.
        name: String,
    },
    /// There is no reference for that version.
    #[error("version {version} of model `{model}` has no reference profile")]
    UnknownReference {
        /// The model.
        model: String,
        /// The version.
        version: String,
    },
    /// A definition breaks a rule.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field at fault, as a path (`rules[2].threshold`).
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two profiles cannot be added because they do not count in the same bins.
    #[error("cannot add the counts of feature `{feature}`: {problem}")]
    Unlike {
        /// The feature.
        feature: String,
        /// Why not.
        problem: &'static str,
    },
    /// A metric has no value on these rows.
    #[error("{metric} cannot be computed: {reason}")]
    Undefined {
        /// The metric.
        metric: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// Something stored cannot be read back.
    #[error("reading back {what}")]
    Stored {
        /// What was read.
        what: String,
        /// Why it could not be.
        source: serde_json::Error,
    },
    /// The database refused.
    #[error("monitoring tables")]
    Db(#[from] db::Error),
}

impl Error {
    pub(crate) fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), problem: problem.into() }
    }
}

impl Classified for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownMonitor { .. } | Self::UnknownReference { .. } => Kind::NotFound,
            Self::Invalid { .. } | Self::Unlike { .. } => Kind::Invalid,
            Self::Undefined { .. } => Kind::Precondition,
            Self::Stored { .. } => Kind::Internal,
            Self::Db(error) => error.kind(),
        }
    }

    fn field(&self) -> Option<&str> {
        match self {
            Self::Invalid { field, .. } => Some(field),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownMonitor { .. } => Some("`rondo monitor list` shows the monitors there are".to_owned()),
            Self::UnknownReference { model, version } => Some(format!(
                "log the training data of the run as a dataset before registering, or evaluate the version: \
                 `rondo model evaluate {model} {version}`"
            )),
            _ => None,
        }
    }
}
