//! PostgreSQL: a bounded set of connections, each on its own thread, one unit of work at a time.
//!
//! Units of work run at READ COMMITTED and may run side by side; what must be serial takes a row lock, as [`Tx::next`] does.
//! Reads see one snapshot. Nothing is retried here: a closure runs once, and a conflict is answered as such.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ::postgres::error::SqlState;
use ::postgres::{Client, Config, NoTls, Statement};

use super::postgres_types::{Param, cell};
use super::{Session, check_params};
use crate::database::{Engine, Lanes, WorkQueue, shown};
use crate::unit::Work;
use crate::{Error, Failure, Migration, Row, Tx, Value, migrate};

/// Connections that write, and connections that read. They are made when first needed.
const WRITERS: usize = 6;
const READERS: usize = 4;
/// Prepared statements that one connection keeps.
const STATEMENTS: usize = 512;
/// The key of the advisory lock that lets one process migrate at a time.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_lock(7236837551)";
/// A writer that stops in the middle of a transaction, with the process or the machine it is on, must not keep its locks: everybody
/// else waits for them. The time runs only while the server waits for the next statement.
const DEAD_WRITER: &str = "SET idle_in_transaction_session_timeout = '10s'";
const NOW: &str = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS now_us";
const MIGRATION_UNLOCK: &str = "SELECT pg_advisory_unlock(7236837551)";

/// Migrates the database and starts the threads.
pub(crate) fn open(url: &str, layers: &[Vec<Migration>], replica: &str, lanes: &Lanes) -> Result<(), Error> {
    let refused = |reason: String| Error::Open { url: shown(url), reason };
    let mut config = Config::from_str(url).map_err(|error| refused(told(&error)))?;
    config.application_name("rondo").connect_timeout(Duration::from_secs(10));
    notice_death(&mut config);

    let mut session = PgSession::new(config.clone(), Access::Read);
    session.batch("SET client_min_messages = warning").map_err(|error| refused(reason(&error)))?;
    session.query(MIGRATION_LOCK, &[])?;
    migrate::run(&mut session, &shown(url), layers, Some(replica))?;
    session.query(MIGRATION_UNLOCK, &[])?;
    warn_of_collation(&mut session)?;
    let head = session.query("SELECT max(seq) AS seq FROM events", &[])?;
    lanes.announce(head.first().map(|row| row.opt_i64("seq")).transpose()?.flatten());

    for (count, name, queue, access) in
        [(WRITERS, "db-writer", &lanes.writes, Access::Write), (READERS, "db-reader", &lanes.reads, Access::Read)]
    {
        for _ in 0..count {
            let (config, queue, lanes) = (config.clone(), Arc::clone(queue), lanes.clone());
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || serve(PgSession::new(config, access), &queue, access, &lanes))
                .map_err(|error| refused(error.to_string()))?;
        }
    }
    Ok(())
}

fn warn_of_collation(session: &mut PgSession) -> Result<(), Error> {
    let rows = session.query("SELECT datcollate FROM pg_database WHERE datname = current_database()", &[])?;
    let collation = rows.first().map(|row| row.text("datcollate")).transpose()?.unwrap_or_default();
    if !matches!(collation.as_str(), "C" | "POSIX" | "C.UTF-8" | "C.utf8") {
        tracing::warn!(
            db.collation = collation,
            "texts sort by the rules of a language; create the database with LC_COLLATE 'C'"
        );
    }
    Ok(())
}

/// A server that is gone without a word is noticed within seconds, unless the address says otherwise.
fn notice_death(config: &mut Config) {
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(10));
    }
    if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
        config
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3);
    }
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

fn serve(mut session: PgSession, queue: &WorkQueue, access: Access, lanes: &Lanes) {
    while let Some(unit) = queue.pop() {
        run_unit(&mut session, unit, access, lanes);
    }
}

fn run_unit(session: &mut PgSession, mut unit: Box<dyn Work>, access: Access, lanes: &Lanes) {
    let begin = match access {
        Access::Write => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    // The server may have closed an idle connection: a second BEGIN on a new one is safe, nothing has run yet.
    let begun = session.batch(begin).or_else(|_| {
        session.connection = None;
        session.batch(begin)
    });
    if let Err(error) = begun {
        return unit.finish(Err(error));
    }
    let mut tx = Tx::new(session);
    let ran = unit.run(&mut tx);
    let emitted = if matches!(ran, Ok(true)) { tx.emitted } else { None };
    let outcome = match ran {
        Ok(true) => session.batch("COMMIT").map_err(Error::into_commit),
        other => {
            if session.batch("ROLLBACK").is_err() {
                session.connection = None;
            }
            other.map(drop)
        }
    };
    if outcome.is_ok() {
        lanes.announce(emitted);
    }
    unit.finish(outcome);
}

struct Connection {
    client: Client,
    statements: HashMap<String, Statement>,
}

struct PgSession {
    config: Config,
    access: Access,
    connection: Option<Connection>,
}

impl PgSession {
    fn new(config: Config, access: Access) -> Self {
        Self { config, access, connection: None }
    }

    /// Runs something on the connection, which is made if there is none, and forgotten if it broke.
    fn with<T>(
        &mut self,
        sql: &str,
        run: impl FnOnce(&mut Connection) -> Result<T, ::postgres::Error>,
    ) -> Result<T, Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let mut client = self.config.connect(NoTls).map_err(|error| failed(sql, error))?;
                if matches!(self.access, Access::Write) {
                    client.batch_execute(DEAD_WRITER).map_err(|error| failed(sql, error))?;
                }
                none.insert(Connection { client, statements: HashMap::new() })
            }
        };
        let result = run(connection);
        if connection.client.is_closed() {
            self.connection = None;
        }
        result.map_err(|error| failed(sql, error))
    }
}

impl Connection {
    fn prepare(&mut self, sql: &str) -> Result<Statement, ::postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql)?;
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Session for PgSession {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn understand(&mut self, sql: &str) -> Result<(), Error> {
        self.with(sql, |connection| connection.prepare(sql).map(drop))
    }

    fn now_us(&mut self) -> Result<i64, Error> {
        let rows = self.query(NOW, &[])?;
        rows.first().ok_or_else(|| Error::corrupt("now_us", "the clock returned nothing"))?.i64("now_us")
    }

    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, Error> {
        check_params(params)?;
        let statement = self.with(sql, |connection| connection.prepare(sql))?;
        check_count(sql, &statement, params)?;
        let params: Vec<Param<'_>> = params.iter().map(Param).collect();
        self.with(sql, |connection| connection.client.execute(&statement, &borrowed(&params)))
    }

    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Error> {
        check_params(params)?;
        let statement = self.with(sql, |connection| connection.prepare(sql))?;
        check_count(sql, &statement, params)?;
        let params: Vec<Param<'_>> = params.iter().map(Param).collect();
        let rows = self.with(sql, |connection| connection.client.query(&statement, &borrowed(&params)))?;
        let columns: Arc<[String]> = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let cells = (0..columns.len()).map(|index| cell(row, index)).collect::<Result<Vec<_>, _>>();
            found.push(Row { columns: Arc::clone(&columns), cells: cells.map_err(|error| failed(sql, error))? });
        }
        Ok(found)
    }

    fn batch(&mut self, sql: &str) -> Result<(), Error> {
        self.with(sql, |connection| connection.client.batch_execute(sql))
    }
}

fn borrowed<'a>(params: &'a [Param<'a>]) -> Vec<&'a (dyn ::postgres::types::ToSql + Sync)> {
    params.iter().map(|param| param as _).collect()
}

/// The driver panics on a wrong number of values; SQLite's half refuses with the same words.
fn check_count(sql: &str, statement: &Statement, params: &[Value]) -> Result<(), Error> {
    let placeholders = statement.params().len();
    if params.len() == placeholders {
        return Ok(());
    }
    let reason = format!("{} values are given for {placeholders} placeholders", params.len());
    Err(Error::refused(sql, Failure::Other, reason))
}

fn failed(sql: &str, error: ::postgres::Error) -> Error {
    let failure = match error.code() {
        Some(state) => classify(state),
        None if error.is_closed() || is_io(&error) => Failure::Connection,
        None => Failure::Other,
    };
    let reason = told(&error);
    Error::statement(sql, failure, reason, error)
}

fn classify(state: &SqlState) -> Failure {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html
    match state.code() {
        "23505" => Failure::Unique,
        "23503" => Failure::ForeignKey,
        "40001" | "40P01" | "55P03" => Failure::Conflict,
        "25006" => Failure::ReadOnly,
        "53300" | "57P01" | "57P02" | "57P03" => Failure::Connection,
        // P0001: a trigger of ours said no
        "P0001" => Failure::Constraint,
        code if code.starts_with("23") => Failure::Constraint,
        code if code.starts_with("53") || code.starts_with("58") => Failure::Storage,
        code if code.starts_with("08") => Failure::Connection,
        _ => Failure::Other,
    }
}

fn is_io(error: &::postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

fn told(error: &::postgres::Error) -> String {
    if let Some(answer) = error.as_db_error() {
        return answer.message().to_owned();
    }
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn reason(error: &Error) -> String {
    match error {
        Error::Statement { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}
