//! What can go wrong between a request and its answer.

use kernel::error::{Classified, Kind};

/// An error of serving. `Display` is for the caller.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No deployment has this name.
    #[error("no deployment is named `{0}`")]
    NotFound(String),
    /// A deployment of this name exists.
    #[error("a deployment named `{0}` exists already")]
    Exists(String),
    /// The name cannot be used.
    #[error(
        "`{0}` cannot name a deployment: use 1 to 128 letters, digits, `.`, `_` or `-`, and begin with a letter or digit"
    )]
    Name(String),
    /// The deployment is there but no version is loaded.
    #[error("deployment `{deployment}` has no version to serve{}", because(.reason.as_deref()))]
    Empty {
        /// Its name.
        deployment: String,
        /// Why, if a version was tried and refused.
        reason: Option<String>,
    },
    /// Another version is asked for than the one that serves.
    #[error("version {version} of deployment `{deployment}` is not live; version {live} is")]
    NotLive {
        /// The deployment.
        deployment: String,
        /// What was asked for.
        version: String,
        /// What serves.
        live: String,
    },
    /// A value does not fit its column.
    #[error("row {row}, column `{column}`: expected {expected}, got {got}")]
    Value {
        /// Where in the request, as a path (`rows[3].carrier`).
        field: String,
        /// Row, from 0.
        row: usize,
        /// The column of the model.
        column: String,
        /// What the column takes.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// A required column was not given.
    #[error("row {row}: column `{column}` is missing; expected {expected}")]
    MissingColumn {
        /// Where in the request.
        field: String,
        /// Row, from 0.
        row: usize,
        /// The column of the model.
        column: String,
        /// What the column takes.
        expected: &'static str,
    },
    /// A column was given that the model does not have.
    #[error("{place}the model has no column `{column}`")]
    ExtraColumn {
        /// Where in the request.
        field: String,
        /// `row 3: ` or nothing.
        place: String,
        /// The name that came.
        column: String,
        /// The columns of the model, for the hint.
        known: String,
    },
    /// The request has another shape than it may have.
    #[error("{message}")]
    Request {
        /// Where in the request.
        field: String,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// More rows or bytes than are accepted at once.
    #[error("{what} exceed the limit of {limit}")]
    TooLarge {
        /// `12000 rows`, `20000000 bytes`.
        what: String,
        /// The limit with its unit left out.
        limit: usize,
    },
    /// The model refuses the rows or failed on them.
    #[error("the model cannot answer: {0}")]
    Predict(#[source] inference::PredictError),
    /// The answer could not be logged, and is withheld.
    #[error("the prediction was not given because it could not be logged: {0}")]
    Log(#[source] telemetry::Error),
    /// All workers are busy and the queue is full.
    #[error("too many predictions are waiting")]
    Overloaded,
    /// The package cannot be read.
    #[error("the model cannot be loaded: {0}")]
    Load(#[source] inference::LoadError),
    /// A version was loaded but does not answer as a model must.
    #[error("version {version} of `{model}` failed its check: {reason}")]
    Check {
        /// The model.
        model: String,
        /// The version.
        version: String,
        /// What it did.
        reason: String,
    },
    /// The database failed.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// A row of ours that cannot be read back.
    #[error("the stored deployment `{deployment}` cannot be read: {reason}")]
    Stored {
        /// Its name.
        deployment: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A defect of ours.
    #[error("the prediction died of a defect")]
    Defect,
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

impl Error {
    /// A request of the wrong shape.
    pub fn request(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Request { field: field.into(), message: message.into(), hint: None }
    }
}

impl Classified for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) | Self::NotLive { .. } => Kind::NotFound,
            Self::Exists(_) => Kind::AlreadyExists,
            Self::Name(_)
            | Self::Value { .. }
            | Self::MissingColumn { .. }
            | Self::ExtraColumn { .. }
            | Self::Request { .. } => Kind::Invalid,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Predict(error) => error.kind(),
            Self::Load(error) => error.kind(),
            Self::Check { .. } => Kind::Precondition,
            Self::Overloaded => Kind::Overloaded,
            Self::Empty { .. } | Self::Log(_) => Kind::Unavailable,
            Self::Db(error) => error.kind(),
            Self::Stored { .. } | Self::Defect => Kind::Internal,
        }
    }

    fn field(&self) -> Option<&str> {
        match self {
            Self::Value { field, .. }
            | Self::MissingColumn { field, .. }
            | Self::ExtraColumn { field, .. }
            | Self::Request { field, .. } => Some(field),
            Self::Name(_) => Some("name"),
            Self::Predict(error) => error.field(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::ExtraColumn { known, .. } => Some(format!("the columns are {known}")),
            Self::Request { hint, .. } => hint.clone(),
            Self::NotFound(_) => Some("`rondo deployment list` shows what is there".to_owned()),
            Self::Empty { .. } => Some("move a version to the stage or alias that the deployment follows".to_owned()),
            Self::TooLarge { .. } => Some("send several smaller requests".to_owned()),
            Self::Predict(error) => error.hint(),
            Self::Load(error) => error.hint(),
            Self::Overloaded => Some("wait a moment and send it again".to_owned()),
            Self::Log(_) => Some("free disk space on the server".to_owned()),
            Self::Db(error) => error.hint(),
            _ => None,
        }
    }
}
