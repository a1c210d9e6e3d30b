//! What can go wrong between the layers.

use kernel::error::{Classified, Kind};

/// An error of the conductor; those of the layers pass through as they are.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// The object store.
    #[error(transparent)]
    Blob(#[from] blob::Error),
    /// A path of an artifact.
    #[error(transparent)]
    Path(#[from] blob::PathError),
    /// The prediction log.
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    /// Users and tokens.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// Runs.
    #[error(transparent)]
    Tracking(#[from] tracking::Error),
    /// Models.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// Deployments.
    #[error(transparent)]
    Serving(#[from] serving::Error),
    /// Monitors.
    #[error(transparent)]
    Monitoring(#[from] monitoring::Error),
    /// Pipelines.
    #[error(transparent)]
    Pipelines(#[from] pipelines::Error),
    /// A model that cannot be read.
    #[error(transparent)]
    Load(#[from] inference::LoadError),
    /// A model that cannot answer.
    #[error(transparent)]
    Predict(#[from] inference::PredictError),
    /// The artifacts of a version are not where the registry says.
    #[error("version {version} of `{model}` has no files at {source_uri}")]
    NoFiles {
        /// Model.
        model: String,
        /// Version.
        version: String,
        /// Where we looked.
        source_uri: String,
    },
    /// Something asked for does not exist.
    #[error("{what} `{name}` does not exist")]
    Missing {
        /// The noun.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The files of a version are not those that its verdict was about.
    #[error("the files of version {version} of `{model}` have changed since its verdict")]
    Tampered {
        /// Model.
        model: String,
        /// Version.
        version: String,
    },
    /// An evaluation that cannot be done.
    #[error("{0}")]
    Unproven(String),
    /// A webhook that was not taken.
    #[error("webhook {url} answered {answer}")]
    Webhook {
        /// Where to.
        url: String,
        /// What came back.
        answer: String,
    },
    /// A webhook that refused for good.
    #[error("webhook {url} answered {answer}")]
    Undeliverable {
        /// Where to.
        url: String,
        /// What came back.
        answer: String,
    },
    /// A place that must not be called.
    #[error("Invalid webhook URL '{url}': {reason}")]
    Target {
        /// Where to.
        url: String,
        /// Why not.
        reason: String,
    },
    /// A job row that cannot be read back.
    #[error("job `{key}` cannot be read")]
    Job {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The object store belongs to another installation.
    #[error("the object store belongs to installation {owner}, and this database is installation {id}")]
    ForeignStore {
        /// Whose it is.
        owner: String,
        /// Who wanted it.
        id: String,
    },
    /// A worker thread that died.
    #[error("a worker thread died")]
    Worker(#[from] tokio::task::JoinError),
}

impl Error {
    fn inner(&self) -> Option<&dyn Classified> {
        Some(match self {
            Self::Db(error) => error,
            Self::Blob(error) => error,
            Self::Telemetry(error) => error,
            Self::Access(error) => error,
            Self::Tracking(error) => error,
            Self::Registry(error) => error,
            Self::Serving(error) => error,
            Self::Monitoring(error) => error,
            Self::Pipelines(error) => error,
            Self::Load(error) => error,
            Self::Predict(error) => error,
            _ => return None,
        })
    }
}

impl Classified for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } | Self::NoFiles { .. } => Kind::NotFound,
            Self::Path(_) | Self::Target { .. } => Kind::Invalid,
            Self::Unproven(_) | Self::Tampered { .. } | Self::Undeliverable { .. } | Self::ForeignStore { .. } => {
                Kind::Precondition
            }
            Self::Webhook { .. } => Kind::Unavailable,
            _ => self.inner().map_or(Kind::Internal, Classified::kind),
        }
    }

    fn field(&self) -> Option<&str> {
        if matches!(self, Self::Target { .. }) {
            return Some("url");
        }
        self.inner().and_then(Classified::field)
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Target { .. } => {
                Some("name a public https address, or set `webhook_private` in the configuration".to_owned())
            }
            Self::ForeignStore { .. } => Some(
                "use a folder or prefix of its own; if the files do belong to this database, delete the file `rondo-owner` there"
                    .to_owned(),
            ),
            _ => self.inner().and_then(Classified::hint),
        }
    }
}
