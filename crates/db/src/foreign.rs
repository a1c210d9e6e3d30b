//! SQLite files of other programs, opened for reading alone: nothing is migrated, nothing is written.

use std::fmt;
use std::path::Path;

use crate::engine::{check_params, sqlite};
use crate::{Error, Row, Value};

/// A file of another program.
pub struct Foreign {
    connection: rusqlite::Connection,
}

impl Foreign {
    /// Opens it.
    pub fn open(file: &Path) -> Result<Self, Error> {
        Ok(Self { connection: sqlite::read_only(file)? })
    }

    /// The rows of a statement, on the calling thread.
    pub fn query(&self, sql: &'static str, params: &[Value]) -> Result<Vec<Row>, Error> {
        check_params(params)?;
        sqlite::query(&self.connection, sql, params)
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Foreign").finish_non_exhaustive()
    }
}
