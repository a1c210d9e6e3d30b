//! What can go wrong here, each with its class and what to do next.

use std::path::PathBuf;

use kernel::error::{Classified, Kind};

/// An error of this layer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text of a definition breaks a rule.
    #[error("{place}: {problem}")]
    Definition {
        /// The dotted path in the file, such as `step.train.retries`.
        place: String,
        /// What is wrong there.
        problem: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The text is not TOML.
    #[error("the definition is not valid TOML: {0}")]
    Syntax(String),
    /// A definition was stored under a name that is not its own.
    #[error("the definition is of pipeline `{found}`, not of `{wanted}`")]
    NameDiffers {
        /// The name asked for.
        wanted: String,
        /// The name in the definition.
        found: String,
    },
    /// The folder of a pipeline is not usable.
    #[error("the pipeline's folder {dir:?} {problem}")]
    Folder {
        /// The folder as given.
        dir: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is no such pipeline.
    #[error("there is no pipeline `{0}`")]
    NoPipeline(String),
    /// There is no such run.
    #[error("there is no pipeline run `{0}`")]
    NoRun(String),
    /// There is no such step in the run.
    #[error("pipeline run `{run_id}` has no step `{step}`")]
    NoStep {
        /// The run.
        run_id: String,
        /// The step asked for.
        step: String,
    },
    /// A parameter was given that no step declares.
    #[error("no step of pipeline `{pipeline}` declares the parameter `{param}`")]
    NoParam {
        /// The pipeline.
        pipeline: String,
        /// The parameter given.
        param: String,
        /// The parameters there are.
        known: Vec<String>,
    },
    /// An environment variable was given that we set ourselves, or that is not a variable's name.
    #[error("`{0}` cannot be given as an environment variable of a run")]
    EnvName(String),
    /// A run that has ended cannot be cancelled.
    #[error("pipeline run `{run_id}` has ended already: it {state}")]
    Ended {
        /// The run.
        run_id: String,
        /// How it ended.
        state: String,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {path}")]
    File {
        /// `read`, `write`, `remove` ...
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A stored value is not what we wrote.
    #[error("a stored {what} of the pipelines cannot be read back")]
    Stored {
        /// Which.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl Error {
    pub(crate) fn definition(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Definition { place: place.into(), problem: problem.into(), hint: None }
    }

    pub(crate) fn hinted(place: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Definition { place: place.into(), problem: problem.into(), hint: Some(hint.into()) }
    }
}

impl Classified for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Definition { .. }
            | Self::Syntax(_)
            | Self::NameDiffers { .. }
            | Self::Folder { .. }
            | Self::NoParam { .. }
            | Self::EnvName(_) => Kind::Invalid,
            Self::NoPipeline(_) | Self::NoRun(_) | Self::NoStep { .. } => Kind::NotFound,
            Self::Ended { .. } => Kind::Precondition,
            Self::File { .. } | Self::Stored { .. } => Kind::Internal,
            Self::Db(error) => error.kind(),
        }
    }

    fn field(&self) -> Option<&str> {
        match self {
            Self::Definition { place, .. } => Some(place),
            Self::Syntax(_) | Self::NameDiffers { .. } => Some("definition"),
            Self::Folder { .. } => Some("dir"),
            Self::NoParam { .. } => Some("params"),
            Self::EnvName(_) => Some("env"),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Definition { hint, .. } => hint.clone(),
            Self::NoPipeline(_) => Some("`rondo pipeline list` shows the pipelines there are".to_owned()),
            Self::NoParam { known, .. } if known.is_empty() => Some("its steps declare no parameters".to_owned()),
            Self::NoParam { known, .. } => Some(format!("its steps declare: {}", known.join(", "))),
            Self::EnvName(_) => Some("use letters, digits and `_`; names that begin with RONDO_ are ours".to_owned()),
            _ => None,
        }
    }
}
