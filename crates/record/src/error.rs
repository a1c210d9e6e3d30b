//! What goes wrong while a run is recorded or repeated.

use std::path::PathBuf;

/// An error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be used.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was tried, as a verb.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A program cannot be started.
    #[error("`{program}` cannot be started")]
    Start {
        /// Its name.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A program said no.
    #[error("`{command}` failed: {said}")]
    Failed {
        /// The program and its first arguments.
        command: String,
        /// The last lines it wrote to standard error.
        said: String,
    },
    /// Something that was written earlier cannot be read.
    #[error("{what} cannot be read: {reason}")]
    Corrupt {
        /// What it is.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else holds the spool of a run.
    #[error("run {run_id} is being recorded or sent by another process")]
    Busy {
        /// Whose.
        run_id: String,
    },
    /// A run cannot be repeated because this is not there.
    #[error("{0}")]
    Missing(String),
}

impl Error {
    /// Binds the path and what was tried to an error of the file system.
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
