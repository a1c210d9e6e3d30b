//! What can be wrong with a request to this layer.

use kernel::error::{Classified, Kind};

/// An error of tracking. The texts are MLflow's, because clients and their tests read them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field that has to be there is not.
    #[error("Missing value for required parameter '{path}'.")]
    Missing {
        /// The field, as in `metrics[3].name`.
        path: String,
    },
    /// A field with a value that cannot be.
    #[error("Invalid value {value} for parameter '{path}' supplied: {reason}")]
    Value {
        /// The field, as in `metrics[3].name`.
        path: String,
        /// The value as JSON.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text longer than is kept.
    #[error("'{path}' exceeds the maximum length of {limit} characters")]
    TooLong {
        /// What is too long.
        path: String,
        /// Characters.
        limit: usize,
    },
    /// More in one batch than is taken.
    #[error(
        "A batch logging request can contain at most {limit} {what}. Got {got} {what}. Please split up {what} across multiple requests and try again."
    )]
    BatchTooLarge {
        /// `metrics`, `params` ...
        what: &'static str,
        /// The most that is taken.
        limit: usize,
        /// How many came.
        got: usize,
    },
    /// Any other rule that the request breaks.
    #[error("{message}")]
    Invalid {
        /// The field at fault, if it is one.
        field: Option<&'static str>,
        /// MLflow's text.
        message: String,
    },
    /// A filter or an ordering that is not of the search language, or asks for what is not searchable.
    #[error("{message}")]
    Search {
        /// What is wrong where.
        message: String,
    },
    /// What is named is not there.
    #[error("{message}")]
    NotFound {
        /// Names it.
        message: String,
    },
    /// An experiment of that name is there, perhaps deleted.
    #[error("Experiment(name={name}) already exists.")]
    ExperimentExists {
        /// The name.
        name: String,
    },
    /// What is deleted takes no changes.
    #[error("The {what} {id} must be in the 'active' state. Current state is deleted.")]
    Deleted {
        /// `run` or `experiment`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A deleted experiment keeps its name.
    #[error("Cannot rename a non-active experiment.")]
    RenameDeleted {
        /// The experiment.
        experiment_id: String,
    },
    /// Params are written once.
    #[error(
        "Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' for run ID='{run_id}'. Attempted logging new value '{new}'."
    )]
    ParamChanged {
        /// The run.
        run_id: String,
        /// The param.
        key: String,
        /// What it is.
        old: String,
        /// What it was to be.
        new: String,
    },
    /// Params are written once; several would change.
    #[error("Changing param values is not allowed. Params were already logged='{changes}' for run ID='{run_id}'.")]
    ParamsChanged {
        /// The run.
        run_id: String,
        /// As Python prints a list of dictionaries.
        changes: String,
    },
    /// Metrics wait to be settled; a unit of work that writes can do it (`search::settled_runs`).
    #[error("metrics of these experiments are not settled yet")]
    Unsettled,
    /// A sweep of that name is there, with another definition.
    #[error("there is another sweep `{name}`")]
    SweepExists {
        /// The name.
        name: String,
    },
    /// The state of a sweep forbids it.
    #[error("sweep `{name}` is {state} and cannot be {doing}")]
    SweepState {
        /// The sweep.
        name: String,
        /// Its state.
        state: &'static str,
        /// What was to be done.
        doing: &'static str,
    },
    /// A worker speaks of a trial that is not its own any more.
    #[error("the lease on trial {number} of sweep `{sweep}` is lost; the trial is {state}")]
    LeaseLost {
        /// The sweep.
        sweep: String,
        /// The trial.
        number: i64,
        /// How the trial goes.
        state: &'static str,
    },
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl Error {
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field: Some(field), message: message.into() }
    }

    pub(crate) fn search(message: impl Into<String>) -> Self {
        Self::Search { message: message.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound { message: message.into() }
    }
}

impl Classified for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. }
            | Self::Value { .. }
            | Self::TooLong { .. }
            | Self::BatchTooLarge { .. }
            | Self::Invalid { .. }
            | Self::Search { .. }
            | Self::ParamChanged { .. }
            | Self::ParamsChanged { .. } => Kind::Invalid,
            Self::NotFound { .. } => Kind::NotFound,
            Self::ExperimentExists { .. } | Self::SweepExists { .. } => Kind::AlreadyExists,
            Self::Deleted { .. } | Self::RenameDeleted { .. } | Self::SweepState { .. } | Self::LeaseLost { .. } => {
                Kind::Precondition
            }
            Self::Unsettled => Kind::Unavailable,
            Self::Db(error) => error.kind(),
        }
    }

    fn field(&self) -> Option<&str> {
        match self {
            Self::Missing { path } | Self::Value { path, .. } | Self::TooLong { path, .. } => Some(path),
            Self::Invalid { field, .. } => *field,
            Self::SweepExists { .. } => Some("name"),
            Self::LeaseLost { .. } => Some("lease"),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::ExperimentExists { .. } => {
                Some("use it, restore it if it is deleted, or take another name".to_owned())
            }
            Self::SweepExists { .. } => Some("take another name, or delete the sweep when it is over".to_owned()),
            Self::SweepState { doing: "deleted", .. } => Some("stop or cancel it first".to_owned()),
            Self::SweepState { state: "finished", doing: "resumed", .. } => {
                Some("everything was tried; name more `trials`".to_owned())
            }
            Self::LeaseLost { .. } => Some("leave this trial and claim another".to_owned()),
            Self::Deleted { what, .. } => Some(format!("restore the {what} first")),
            Self::Db(error) => error.hint(),
            _ => None,
        }
    }
}
