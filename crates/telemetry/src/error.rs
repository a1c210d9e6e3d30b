//! What can go wrong in the log.

use std::io;
use std::path::PathBuf;

use kernel::error::{Classified, Kind};

/// An error of the telemetry log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was handed in breaks a rule; nothing of it was taken.
    #[error("{0}")]
    Invalid(String),
    /// Another process (or another `Log` of this one) holds the directory.
    #[error("the telemetry directory {} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// The write-ahead log cannot take more: disk full, or a write or sync failed.
    #[error("the telemetry log cannot write: {0}")]
    Unwritable(String),
    /// Closed segments wait for the object store and the bound is reached.
    #[error("{0} closed telemetry segments wait for the object store")]
    Behind(usize),
    /// Reading or writing a file of the log.
    #[error("while {doing} {}", path.display())]
    File {
        /// What we were doing.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The object store.
    #[error("while {doing} {path}")]
    Blob {
        /// What we were doing.
        doing: &'static str,
        /// The object.
        path: String,
        /// Why.
        source: Box<blob::Error>,
    },
    /// A Parquet object or another file of ours does not read as it should.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The object or file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A table handed in as CSV or Parquet cannot be read.
    #[error("this is not readable {format}: {reason}")]
    Table {
        /// CSV or Parquet.
        format: &'static str,
        /// Why.
        reason: String,
    },
    /// A defect of ours.
    #[error("telemetry: {0}")]
    Internal(String),
}

impl Classified for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) | Self::Table { .. } => Kind::Invalid,
            Self::Locked(_) => Kind::Precondition,
            Self::Unwritable(_) | Self::Behind(_) | Self::File { .. } | Self::Blob { .. } => Kind::Unavailable,
            Self::Damaged { .. } | Self::Internal(_) => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unwritable(_) => Some("free space in the data directory; reading goes on meanwhile".to_owned()),
            Self::Behind(_) => {
                Some("make the object store reachable; the segments are written by themselves".to_owned())
            }
            Self::Locked(_) => Some("stop the other server or choose another data directory".to_owned()),
            _ => None,
        }
    }
}
