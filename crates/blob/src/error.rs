//! What can go wrong with a file.

use std::io;

use kernel::error::{Classified, Kind};

use crate::PathError;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is not one a file may have.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The URL of a store that this build cannot open.
    #[error("no store for the scheme \"{0}://\" is built in")]
    Scheme(String),
    /// The URL of a store is not one.
    #[error("\"{url}\" does not name an object store: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No file of that name.
    #[error("no such file: \"{0}\"")]
    NotFound(String),
    /// A file is where a directory would have to be, or the other way round.
    #[error("\"{0}\" collides with a file or directory that exists")]
    Collision(String),
    /// The path leaves the store through a symbolic link.
    #[error("\"{0}\" leads out of the store")]
    Outside(String),
    /// It belongs to a part of the store that this caller does not reach: for it, there is none.
    #[error("no such file: \"{0}\"")]
    Apart(String),
    /// Nothing of the range exists.
    #[error("bytes {start}..{end} of \"{path}\" do not exist, it has {size}")]
    Range {
        /// The file.
        path: String,
        /// First byte asked for.
        start: u64,
        /// One past the last.
        end: u64,
        /// Its length.
        size: u64,
    },
    /// The upload is longer than is accepted.
    #[error("the upload of \"{path}\" is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The caller's bytes stopped coming.
    #[error("the upload of \"{path}\" broke off, nothing of it was kept")]
    Upload {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A part of an upload is not what it should be.
    #[error("part {number} of the upload: {reason}")]
    Part {
        /// Its number, from 1.
        number: u32,
        /// What is wrong.
        reason: String,
    },
    /// The object store does not put these parts together.
    #[error("the object store refuses the parts of \"{path}\"")]
    Refused {
        /// The file.
        path: String,
        /// What it said.
        source: object_store::Error,
    },
    /// No space or quota left.
    #[error("no space left to write \"{path}\"")]
    Full {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system failed us.
    #[error("cannot {doing} \"{path}\"")]
    Io {
        /// A verb.
        doing: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The object store failed us.
    #[error("cannot {doing} \"{path}\" in the object store")]
    Store {
        /// A verb.
        doing: &'static str,
        /// The object.
        path: String,
        /// What it said.
        source: object_store::Error,
    },
}

impl Error {
    /// An error of the operating system in our words.
    pub(crate) fn io(doing: &'static str, path: impl Into<String>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { path, source }
            }
            io::ErrorKind::InvalidFilename => Self::Path(PathError::TooLong),
            io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::DirectoryNotEmpty => {
                Self::Collision(path)
            }
            _ => Self::Io { doing, path, source },
        }
    }

    /// An error of the object store in our words.
    pub(crate) fn store(doing: &'static str, path: impl Into<String>, source: object_store::Error) -> Self {
        let path = path.into();
        match source {
            object_store::Error::NotFound { .. } => Self::NotFound(path),
            source => Self::Store { doing, path, source },
        }
    }
}

impl Classified for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Path(_) | Self::Scheme(_) | Self::Url { .. } | Self::Collision(_) | Self::Outside(_) => Kind::Invalid,
            Self::Range { .. } | Self::Upload { .. } | Self::Part { .. } | Self::Refused { .. } => Kind::Invalid,
            Self::NotFound(_) | Self::Apart(_) => Kind::NotFound,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Full { .. } | Self::Store { .. } => Kind::Unavailable,
            Self::Io { .. } => Kind::Internal,
        }
    }

    fn field(&self) -> Option<&str> {
        if matches!(self, Self::Part { .. } | Self::Refused { .. }) {
            return Some("parts");
        }
        matches!(self, Self::Path(_) | Self::Collision(_) | Self::Outside(_)).then_some("path")
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Full { .. } => Some("free some space in the data directory and try again".to_owned()),
            Self::Refused { .. } => Some(
                "name every part with the etag that the store answered for it; all but the last must have 5 MiB"
                    .to_owned(),
            ),
            Self::Scheme(_) => Some("use a directory or s3://BUCKET/PREFIX".to_owned()),
            Self::Url { .. } => {
                Some("write s3://BUCKET/PREFIX; AWS_ENDPOINT_URL, AWS_REGION and the AWS_* keys say where".to_owned())
            }
            Self::Store { .. } => Some(
                "see that the bucket exists and that AWS_ENDPOINT_URL and the AWS_* keys are right, then try again"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_unavailable_and_not_a_defect() {
        let check = |code: i32, expect: Kind| {
            let error = Error::io("write", "a", io::Error::from_raw_os_error(code));
            assert_eq!(error.kind(), expect, "{code}: {error}");
        };
        check(28, Kind::Unavailable); // ENOSPC
        check(122, Kind::Unavailable); // EDQUOT
        check(36, Kind::Invalid); // ENAMETOOLONG
        check(20, Kind::Invalid); // ENOTDIR
        check(21, Kind::Invalid); // EISDIR
        check(2, Kind::NotFound); // ENOENT
        check(5, Kind::Internal); // EIO
    }
}
