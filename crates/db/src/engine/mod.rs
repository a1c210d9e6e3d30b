//! The two engines behind one face.

pub(crate) mod postgres;
mod postgres_types;
pub(crate) mod sqlite;

use crate::{Engine, Error, Row, Value};

/// A connection, as transactions and migrations use it.
pub(crate) trait Session {
    /// Which engine it is.
    fn engine(&self) -> Engine;
    /// Microseconds since the epoch by the clock of the database.
    fn now_us(&mut self) -> Result<i64, Error>;
    /// Reads one statement and does not run it.
    fn understand(&mut self, sql: &str) -> Result<(), Error>;
    /// Runs one statement; the number of changed rows.
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, Error>;
    /// Runs one statement; its rows.
    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Error>;
    /// Runs several statements without parameters.
    fn batch(&mut self, sql: &str) -> Result<(), Error>;
}

/// Refuses what one of the engines could not store.
pub(crate) fn check_params(params: &[Value]) -> Result<(), Error> {
    let has_nul = |value: &Value| matches!(value, Value::Text(Some(text)) if text.as_bytes().contains(&0));
    if params.iter().any(has_nul) { Err(Error::NulInText) } else { Ok(()) }
}
