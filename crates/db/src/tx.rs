//! A transaction as a unit of work sees it.

use crate::engine::Session;
use crate::{Engine, Error, Row, Sql, Value};

/// One open transaction. Statements use `$1` placeholders and the portable subset of SQL.
///
/// A statement that failed dooms the unit of work on both engines: later statements are refused, and it is rolled back even if
/// it returns `Ok`. Use `ON CONFLICT` where a refusal is an expected outcome.
pub struct Tx<'a> {
    session: &'a mut dyn Session,
    failed: Option<String>,
    pub(crate) emitted: Option<i64>,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(session: &'a mut dyn Session) -> Self {
        Self { session, failed: None, emitted: None }
    }

    /// Runs a statement and returns how many rows it changed.
    pub fn execute(&mut self, sql: &'static str, params: &[Value]) -> Result<u64, Error> {
        self.guarded(|session| session.execute(sql, params))
    }

    /// Runs a statement and returns its rows.
    pub fn query(&mut self, sql: &'static str, params: &[Value]) -> Result<Vec<Row>, Error> {
        self.guarded(|session| session.query(sql, params))
    }

    /// Runs a statement and returns its first row, if it has one.
    pub fn query_opt(&mut self, sql: &'static str, params: &[Value]) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    /// Like [`Tx::query`] for a statement that was put together.
    pub fn query_built(&mut self, sql: &Sql) -> Result<Vec<Row>, Error> {
        self.guarded(|session| session.query(&sql.text(), &sql.values()))
    }

    /// Like [`Tx::execute`] for a statement that was put together.
    pub fn execute_built(&mut self, sql: &Sql) -> Result<u64, Error> {
        self.guarded(|session| session.execute(&sql.text(), &sql.values()))
    }

    /// Has the database read a statement without running it: an error if it does not understand it. For tests of statements.
    pub fn prepare(&mut self, sql: &'static str) -> Result<(), Error> {
        self.guarded(|session| session.understand(sql))
    }

    /// Microseconds since the epoch by the database's clock, on which all who share it agree. Not the start of the transaction: now.
    pub fn now_us(&mut self) -> Result<i64, Error> {
        self.guarded(|session| session.now_us())
    }

    /// Which engine it is, for the few statements that only one of them knows.
    pub(crate) fn engine(&self) -> Engine {
        self.session.engine()
    }

    /// The next number of a counter: 0, 1, 2 ... without gaps, in the order of commits. The counter stays locked until the
    /// transaction ends, so take it late.
    pub fn next(&mut self, counter: &str) -> Result<i64, Error> {
        let row = self.query_opt(
            "INSERT INTO counters (name, value) VALUES ($1, 0)
             ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value",
            &[counter.into()],
        )?;
        row.ok_or_else(|| Error::corrupt("value", "the counter returned nothing"))?.i64("value")
    }

    /// An error if a statement has failed: such a transaction must not commit.
    pub(crate) fn check_sound(&self) -> Result<(), Error> {
        match &self.failed {
            Some(first) => Err(Error::Doomed { first: first.clone() }),
            None => Ok(()),
        }
    }

    fn guarded<T>(&mut self, run: impl FnOnce(&mut dyn Session) -> Result<T, Error>) -> Result<T, Error> {
        self.check_sound()?;
        run(self.session).inspect_err(|error| self.failed = Some(error.to_string()))
    }
}
