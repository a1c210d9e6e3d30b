//! What can be wrong with files that somebody else wrote.

use std::path::{Path, PathBuf};

/// An error of a reader; each names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder or file is not what it was said to be.
    #[error("{} is no {what}", path.display())]
    NotOne {
        /// Which.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// The database of another program.
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl Error {
    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }
}

/// For `map_err`: names the file of an input or output error.
pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |source| Error::Read { path: path.to_owned(), source }
}
