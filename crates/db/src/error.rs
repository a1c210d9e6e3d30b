//! What can go wrong between a unit of work and the database, and how it is classed.

use std::sync::Arc;

use kernel::error::{Classified, Kind};

type Source = Arc<dyn std::error::Error + Send + Sync + 'static>;

/// Why the database refused a statement, by the same names on both engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A unique index or a primary key has that value already.
    Unique,
    /// A row that is referred to is missing, or a row that is referred to would go.
    ForeignKey,
    /// NOT NULL or CHECK.
    Constraint,
    /// The disk is full or fails, or the server is out of resources.
    Storage,
    /// Another transaction was in the way; sending the same again may succeed.
    Conflict,
    /// The connection is lost or cannot be made.
    Connection,
    /// A write in `Db::read`.
    ReadOnly,
    /// Anything else, mostly a defect in the statement.
    Other,
}

/// An error of the database.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The database could not be opened.
    #[error("cannot open the database {url}: {reason}")]
    Open {
        /// The address without its password.
        url: String,
        /// What was wrong.
        reason: String,
    },
    /// The schema comes from a newer program.
    #[error(
        "the database {url} was written by rondo {writer} and is too new for rondo {reader}: it has the migrations {unknown}"
    )]
    Newer {
        /// The address without its password.
        url: String,
        /// The version that wrote it last.
        writer: String,
        /// The version of this program.
        reader: &'static str,
        /// The migrations that this program does not know.
        unknown: String,
    },
    /// Servers of another version work on the database.
    #[error("the server at {address} runs rondo {theirs} on this database, and this is {ours}")]
    Mixed {
        /// Where that server answers.
        address: String,
        /// Its version.
        theirs: String,
        /// The version of this program.
        ours: String,
    },
    /// Servers with another object store work on the database.
    #[error("the server at {address} keeps the artifacts of this database in another store than this one would")]
    OtherStore {
        /// Where that server answers.
        address: String,
    },
    /// The term under which this was written is over: somebody else holds the lease. Nothing was written.
    #[error("the term {epoch} of the lease `{name}` is over")]
    Fenced {
        /// The lease.
        name: String,
        /// The term's number.
        epoch: i64,
    },
    /// One database cannot become a copy of another; nothing of it was kept.
    #[error("the database cannot be copied: {reason}")]
    Copy {
        /// What is in the way.
        reason: String,
    },
    /// A migration failed; nothing of it remains.
    #[error("migration {id} failed: {reason}")]
    Migration {
        /// The migration.
        id: String,
        /// What the database said.
        reason: String,
    },
    /// The database refused a statement.
    #[error("the database refused `{statement}`: {reason}")]
    Statement {
        /// The beginning of its text.
        statement: String,
        /// Why.
        failure: Failure,
        /// What the database said.
        reason: String,
        /// The driver's own error.
        driver: Option<Source>,
    },
    /// The commit failed: nothing of the unit of work was kept, unless the connection broke at that moment.
    #[error("the database could not commit: {reason}")]
    Commit {
        /// Why.
        failure: Failure,
        /// What the database said.
        reason: String,
    },
    /// The unit of work went on after a statement had failed, and returned `Ok`.
    #[error("a statement of this unit of work had failed, so it was rolled back: {first}")]
    Doomed {
        /// The first failure.
        first: String,
    },
    /// A column that the row does not have.
    #[error("the row has no column {column} (it has {present})")]
    NoColumn {
        /// The name asked for.
        column: String,
        /// The names there are.
        present: String,
    },
    /// A column of another type than was asked for.
    #[error("column {column} is {found}, expected {expected}")]
    WrongType {
        /// The column.
        column: String,
        /// The type asked for.
        expected: &'static str,
        /// The type there is.
        found: &'static str,
    },
    /// A stored value that cannot be read back, for instance broken JSON.
    #[error("column {column} holds a value that cannot be read: {reason}")]
    Corrupt {
        /// The column.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text with a NUL, which PostgreSQL cannot store.
    #[error("text must not contain the character NUL")]
    NulInText,
    /// The bounded queue of the database is full.
    #[error("the database has {queued} units of work waiting, more are not accepted")]
    Overloaded {
        /// The length of the queue.
        queued: usize,
    },
    /// The unit of work panicked and was rolled back.
    #[error("a unit of work died of a defect: {reason}")]
    Panicked {
        /// The text of the panic.
        reason: String,
    },
    /// The database's threads have stopped.
    #[error("the database is closed")]
    Closed,
}

impl Error {
    /// True if a unique index or a primary key refused a value.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Statement { failure: Failure::Unique, .. })
    }

    /// True if a foreign key refused a row.
    pub fn is_foreign_key_violation(&self) -> bool {
        matches!(self, Self::Statement { failure: Failure::ForeignKey, .. })
    }

    /// True if it was refused because the lease it acted under is somebody else's now.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. })
    }

    /// For a stored value that its reader cannot make sense of.
    pub fn corrupt(column: &str, reason: impl std::fmt::Display) -> Self {
        Self::Corrupt { column: column.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn wrong_type(column: &str, expected: &'static str, found: &'static str) -> Self {
        Self::WrongType { column: column.to_owned(), expected, found }
    }

    pub(crate) fn statement(
        sql: &str,
        failure: Failure,
        reason: String,
        driver: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Statement { statement: excerpt(sql), failure, reason, driver: Some(Arc::new(driver)) }
    }

    pub(crate) fn refused(sql: &str, failure: Failure, reason: impl Into<String>) -> Self {
        Self::Statement { statement: excerpt(sql), failure, reason: reason.into(), driver: None }
    }

    /// The same failure told of a commit.
    pub(crate) fn into_commit(self) -> Self {
        match self {
            Self::Statement { failure, reason, .. } => Self::Commit { failure, reason },
            other => other,
        }
    }

    fn failure(&self) -> Option<Failure> {
        match self {
            Self::Statement { failure, .. } | Self::Commit { failure, .. } => Some(*failure),
            _ => None,
        }
    }
}

impl Classified for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Open { .. } | Self::Closed | Self::Fenced { .. } => Kind::Unavailable,
            Self::Newer { .. } | Self::Mixed { .. } | Self::OtherStore { .. } | Self::Copy { .. } => Kind::Precondition,
            Self::NulInText => Kind::Invalid,
            Self::Overloaded { .. } => Kind::Overloaded,
            Self::Statement { failure, .. } | Self::Commit { failure, .. } => match failure {
                Failure::Unique => Kind::AlreadyExists,
                Failure::Storage | Failure::Connection => Kind::Unavailable,
                Failure::Conflict => Kind::Overloaded,
                Failure::ForeignKey | Failure::Constraint | Failure::ReadOnly | Failure::Other => Kind::Internal,
            },
            Self::Migration { .. }
            | Self::Doomed { .. }
            | Self::NoColumn { .. }
            | Self::WrongType { .. }
            | Self::Corrupt { .. }
            | Self::Panicked { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Newer { .. } => "start the version of rondo that wrote it, or a newer one",
            Self::Mixed { .. } => "stop the servers of the other version first, or start this one with theirs",
            Self::OtherStore { .. } => {
                "give every server of a database the same --artifacts, for instance s3://BUCKET/PREFIX or a shared folder"
            }
            Self::Overloaded { .. } => "send the request again in a moment",
            _ => match self.failure()? {
                Failure::Storage => "check the free space and the health of the disk that holds the database",
                Failure::Conflict => "send the request again in a moment",
                Failure::Connection => "check that the database server runs and accepts connections",
                _ => return None,
            },
        };
        Some(hint.to_owned())
    }
}

fn excerpt(sql: &str) -> String {
    let mut text = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = text.char_indices().nth(160) {
        text.truncate(end);
        text.push('…');
    }
    text
}
