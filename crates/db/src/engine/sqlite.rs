//! SQLite: one writer thread with group commit, several readers on snapshots.
//!
//! The writer opens one transaction for all units of work that wait, gives each its own savepoint, commits once and answers
//! afterwards. A unit that fails takes only its savepoint with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kernel::clock::Clock;
use regex::Regex;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags};

use super::{Session, check_params};
use crate::database::{Engine, Lanes};
use crate::row::Cell;
use crate::unit::Work;
use crate::{Error, Failure, Migration, Row, Tx, Value, migrate};

/// Reader threads.
const READERS: usize = 4;
/// Units of work in one commit at most, and how long one commit collects them.
const GROUP_LIMIT: usize = 512;
const GROUP_TIME: Duration = Duration::from_millis(20);
/// How long a commit waits for callers that are likely to come, at most: this, and this part of what the commit before took.
const LINGER: Duration = Duration::from_millis(2);
const LINGER_PART: u32 = 4;
/// Prepared statements that one connection keeps.
const STATEMENTS: usize = 512;

/// Opens the file, migrates it and starts the threads. Returns the directory of a temporary database.
pub(crate) fn open(path: &str, layers: &[Vec<Migration>], lanes: &Lanes) -> Result<Option<tempfile::TempDir>, Error> {
    let path = path.strip_prefix("//").unwrap_or(path);
    let refused = |reason: String| Error::Open { url: format!("sqlite:{path}"), reason };
    let (file, temporary) = if path == ":memory:" {
        let directory = tempfile::tempdir().map_err(|error| refused(error.to_string()))?;
        (directory.path().join("memory.db"), Some(directory))
    } else {
        (PathBuf::from(path), None)
    };
    if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)
            .map_err(|error| refused(format!("cannot create {}: {error}", parent.display())))?;
    }
    let writer = connect(&file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
        .map_err(|error| refused(error.to_string()))?;
    let mut session = SqliteSession { connection: &writer };
    // A file has one server, which the lock on its data folder sees to.
    migrate::run(&mut session, &format!("sqlite:{path}"), layers, None)?;
    let head = session.query("SELECT max(seq) AS seq FROM events", &[])?;
    lanes.announce(head.first().map(|row| row.opt_i64("seq")).transpose()?.flatten());

    let mut readers = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        readers.push(connect(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| refused(error.to_string()))?);
    }
    let started = |name: &str, run: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(name.to_owned()).spawn(run).map(drop).map_err(|error| refused(error.to_string()))
    };
    let own = lanes.clone();
    started("db-writer", Box::new(move || write_loop(&writer, &own)))?;
    for reader in readers {
        let reads = Arc::clone(&lanes.reads);
        started(
            "db-reader",
            Box::new(move || {
                while let Some(unit) = reads.pop() {
                    read_unit(&reader, unit);
                }
            }),
        )?;
    }
    Ok(temporary)
}

fn connect(file: &Path, flags: OpenFlags) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    if flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // FULL: the write-ahead log is on disk before a commit is answered.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        // Pages, 32 MB: a checkpoint costs two fsyncs; a third more points a second than with 1,000.
        connection.pragma_update(None, "wal_autocheckpoint", 8_000)?;
    }
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "case_sensitive_like", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    add_regexp_like(&connection)?;
    Ok(connection)
}

/// `regexp_like(text, pattern)`, which PostgreSQL has by itself: whether the expression is found in the text. It is compiled once a
/// statement and takes time in proportion to the text, whatever it is.
fn add_regexp_like(connection: &Connection) -> Result<(), rusqlite::Error> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("regexp_like", 2, flags, |context| {
        let compile =
            |pattern: ValueRef<'_>| Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Regex::new(pattern.as_str()?)?);
        let pattern: Arc<Regex> = context.get_or_create_aux(1, compile)?;
        let text = context.get_raw(0).as_str_or_null()?;
        Ok(text.map(|text| pattern.is_match(text)))
    })
}

/// Opens a file of another program for reading alone.
pub(crate) fn read_only(file: &Path) -> Result<Connection, Error> {
    let refused =
        |error: rusqlite::Error| Error::Open { url: format!("sqlite:{}", file.display()), reason: error.to_string() };
    connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(refused)
}

/// Runs one statement that reads.
pub(crate) fn query(connection: &Connection, sql: &str, params: &[Value]) -> Result<Vec<Row>, Error> {
    SqliteSession { connection }.query(sql, params)
}

fn write_loop(connection: &Connection, lanes: &Lanes) {
    let mut crowd = Crowd::default();
    while let Some(first) = lanes.writes.pop() {
        let mut group = Group { connection, members: Vec::new(), emitted: None };
        if let Err(error) = group.command("BEGIN IMMEDIATE") {
            first.finish(Err(error));
            continue;
        }
        let since = Instant::now();
        let mut next = Some(first);
        while let Some(unit) = next {
            if !group.run(unit) {
                break;
            }
            let full = group.members.len() >= GROUP_LIMIT || since.elapsed() >= GROUP_TIME;
            next = if full { None } else { lanes.writes.try_pop().or_else(|| crowd.wait(lanes, group.members.len())) };
        }
        let (members, committing) = (group.members.len(), Instant::now());
        let waiting = group.commit(lanes);
        crowd = Crowd { expected: members + waiting, left: (committing.elapsed() / LINGER_PART).min(LINGER) };
    }
}

/// Who is likely to come: callers that write one thing after the other come back when they are answered. Those who were in the
/// last commit and those who came during it make two groups that would share no commit for ever, each waiting for the other's
/// fsync; to wait for the first to return costs a part of an fsync and saves every second one.
#[derive(Default)]
struct Crowd {
    expected: usize,
    left: Duration,
}

impl Crowd {
    /// The next unit of work, if more are likely to come than are there and one comes soon.
    fn wait(&mut self, lanes: &Lanes, there: usize) -> Option<Box<dyn Work>> {
        if there >= self.expected || self.left.is_zero() {
            return None;
        }
        let since = Instant::now();
        let unit = lanes.writes.pop_within(self.left);
        self.left = self.left.saturating_sub(since.elapsed());
        unit
    }
}

/// The units of work of one commit.
struct Group<'a> {
    connection: &'a Connection,
    members: Vec<(Box<dyn Work>, Result<(), Error>)>,
    emitted: Option<i64>,
}

impl Group<'_> {
    /// Runs one unit in a savepoint. False when the engine has rolled back the whole transaction, as it does when a disk is full.
    fn run(&mut self, mut unit: Box<dyn Work>) -> bool {
        if let Err(error) = self.command("SAVEPOINT unit") {
            self.members.push((unit, Err(error)));
            return !self.connection.is_autocommit();
        }
        let mut session = SqliteSession { connection: self.connection };
        let mut tx = Tx::new(&mut session);
        let ran = unit.run(&mut tx);
        let emitted = tx.emitted;
        if self.connection.is_autocommit() {
            let lost = ran.err().unwrap_or_else(|| lost("the transaction was rolled back by the engine"));
            self.members.push((unit, Err(lost)));
            return false;
        }
        let kept = matches!(ran, Ok(true));
        let ended = self.command(if kept { "RELEASE unit" } else { "ROLLBACK TO unit" });
        let ended = if kept { ended } else { ended.and_then(|()| self.command("RELEASE unit")) };
        if kept && ended.is_ok() {
            self.emitted = emitted.or(self.emitted);
        }
        self.members.push((unit, ran.and(ended)));
        !self.connection.is_autocommit()
    }

    /// Commits and answers every member; how many waited when the answers went out.
    fn commit(mut self, lanes: &Lanes) -> usize {
        let committed = if self.connection.is_autocommit() {
            Err(lost("the transaction was rolled back by the engine, most likely because the disk is full"))
        } else {
            self.command("COMMIT").map_err(Error::into_commit)
        };
        let waiting = lanes.writes.len();
        match committed {
            Ok(()) => {
                lanes.announce(self.emitted);
                for (unit, outcome) in self.members.drain(..) {
                    unit.finish(outcome);
                }
            }
            Err(error) => {
                if !self.connection.is_autocommit() && self.command("ROLLBACK").is_err() {
                    tracing::error!("a transaction could neither be committed nor rolled back");
                }
                for (unit, outcome) in self.members.drain(..) {
                    unit.finish(outcome.and(Err(error.clone())));
                }
            }
        }
        waiting
    }

    fn command(&self, sql: &'static str) -> Result<(), Error> {
        SqliteSession { connection: self.connection }.execute(sql, &[]).map(drop)
    }
}

fn lost(reason: &str) -> Error {
    Error::Commit { failure: Failure::Storage, reason: reason.to_owned() }
}

fn read_unit(connection: &Connection, mut unit: Box<dyn Work>) {
    let mut session = SqliteSession { connection };
    if let Err(error) = session.execute("BEGIN", &[]) {
        return unit.finish(Err(error));
    }
    let mut tx = Tx::new(&mut session);
    let outcome = unit.run(&mut tx).map(drop);
    if session.execute("ROLLBACK", &[]).is_err() && !connection.is_autocommit() {
        tracing::error!("a snapshot could not be closed");
    }
    unit.finish(outcome);
}

struct SqliteSession<'a> {
    connection: &'a Connection,
}

impl SqliteSession<'_> {
    fn prepare(&self, sql: &str, params: &[Value]) -> Result<CachedStatement<'_>, Error> {
        check_params(params)?;
        let mut statement = self.connection.prepare_cached(sql).map_err(|error| failed(sql, error))?;
        let numbers = placeholders(sql, statement.parameter_count());
        for index in 1..=statement.parameter_count() {
            // `$2` is a named parameter here, numbered by first appearance: bind by the number in its name.
            let number = match &numbers {
                Some(numbers) => numbers.get(index - 1).copied(),
                None => statement.parameter_name(index).and_then(|name| name.strip_prefix('$')?.parse().ok()),
            };
            let value = number.and_then(|number: usize| params.get(number.checked_sub(1)?)).ok_or_else(|| {
                let reason = format!("placeholder {index} has no value ({} are given)", params.len());
                Error::refused(sql, Failure::Other, reason)
            })?;
            statement.raw_bind_parameter(index, Param(value)).map_err(|error| failed(sql, error))?;
        }
        if params.len() > statement.parameter_count() {
            let reason = format!("{} values are given for {} placeholders", params.len(), statement.parameter_count());
            return Err(Error::refused(sql, Failure::Other, reason));
        }
        Ok(statement)
    }
}

/// The numbers of the placeholders by first appearance, read from the text if that is certain: to ask SQLite for the name of each
/// takes it a walk through all names, which for a statement of 2,000 values is most of its time.
fn placeholders(sql: &str, count: usize) -> Option<Vec<usize>> {
    let mut numbers: Vec<usize> = Vec::with_capacity(count);
    let mut highest = 0;
    for rest in sql.split('$').skip(1) {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = rest.get(..digits)?.parse().ok()?;
        if number > highest || !numbers.contains(&number) {
            numbers.push(number);
            highest = highest.max(number);
        }
    }
    (numbers.len() == count).then_some(numbers)
}

impl Session for SqliteSession<'_> {
    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn understand(&mut self, sql: &str) -> Result<(), Error> {
        self.connection.prepare_cached(sql).map(drop).map_err(|error| failed(sql, error))
    }

    /// The file is this machine's, and so is its clock.
    fn now_us(&mut self) -> Result<i64, Error> {
        Ok(Clock::system().now_us())
    }

    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, Error> {
        let mut statement = self.prepare(sql, params)?;
        let mut rows = statement.raw_query();
        while rows.next().map_err(|error| failed(sql, error))?.is_some() {}
        Ok(self.connection.changes())
    }

    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Error> {
        let mut statement = self.prepare(sql, params)?;
        let columns: Arc<[String]> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| failed(sql, error))? {
            let mut cells = Vec::with_capacity(columns.len());
            for index in 0..columns.len() {
                cells.push(cell(row.get_ref(index).map_err(|error| failed(sql, error))?, sql)?);
            }
            found.push(Row { columns: Arc::clone(&columns), cells });
        }
        Ok(found)
    }

    fn batch(&mut self, sql: &str) -> Result<(), Error> {
        self.connection.execute_batch(sql).map_err(|error| failed(sql, error))
    }
}

struct Param<'a>(&'a Value);

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        let value = match self.0 {
            Value::I64(Some(value)) => ValueRef::Integer(*value),
            Value::F64(Some(value)) => ValueRef::Real(*value),
            Value::Text(Some(value)) => ValueRef::Text(value.as_bytes()),
            Value::Bool(Some(value)) => ValueRef::Integer(i64::from(*value)),
            Value::Bytes(Some(value)) => ValueRef::Blob(value),
            _ => ValueRef::Null,
        };
        Ok(rusqlite::types::ToSqlOutput::Borrowed(value))
    }
}

fn cell(value: ValueRef<'_>, sql: &str) -> Result<Cell, Error> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::I64(value),
        ValueRef::Real(value) => Cell::F64(value),
        ValueRef::Text(value) => match std::str::from_utf8(value) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(error) => return Err(Error::statement(sql, Failure::Other, error.to_string(), error)),
        },
        ValueRef::Blob(value) => Cell::Bytes(value.to_vec()),
    })
}

fn failed(sql: &str, error: rusqlite::Error) -> Error {
    /// Extended result codes of constraints, from sqlite3.h.
    const UNIQUE: [i32; 3] = [2067, 1555, 2579];
    const FOREIGN_KEY: i32 = 787;
    let failure = match error.sqlite_error() {
        Some(code) => match code.code {
            ErrorCode::ConstraintViolation if UNIQUE.contains(&code.extended_code) => Failure::Unique,
            ErrorCode::ConstraintViolation if code.extended_code == FOREIGN_KEY => Failure::ForeignKey,
            ErrorCode::ConstraintViolation => Failure::Constraint,
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::CannotOpen => Failure::Storage,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Failure::Conflict,
            ErrorCode::ReadOnly => Failure::ReadOnly,
            _ => Failure::Other,
        },
        None => Failure::Other,
    };
    Error::statement(sql, failure, error.to_string(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_by_first_appearance() {
        let check = |sql: &str, count: usize, expect: Option<&[usize]>| {
            assert_eq!(placeholders(sql, count).as_deref(), expect, "{sql}");
        };
        check("SELECT $2, $1, $2, $10", 3, Some(&[2, 1, 10]));
        check("SELECT 1", 0, Some(&[]));
        check("SELECT '$' || $1", 1, None);
        check("SELECT '$5' || $1", 1, None);
    }
}
