//! A fresh database for each test, on each engine.

use std::fmt;
use std::future::Future;

use anyhow::Context as _;
use db::{Db, Engine, Migration};
use tempfile::TempDir;

use crate::server;

/// A fresh, empty database; it goes with this handle.
#[derive(Debug)]
pub struct TestDb {
    url: String,
    engine: Engine,
    _directory: Option<TempDir>,
    _database: Option<server::Database>,
}

impl TestDb {
    /// A file in a directory of its own.
    pub fn sqlite() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir().context("cannot make a directory for a test database")?;
        let url = format!("sqlite:{}", directory.path().join("rondo.db").display());
        Ok(Self { url, engine: Engine::Sqlite, _directory: Some(directory), _database: None })
    }

    /// A database of its own on the PostgreSQL server of this test run, which is started if need be.
    pub fn postgres() -> anyhow::Result<Self> {
        let database = server::fresh_database()?;
        Ok(Self { url: database.url(), engine: Engine::Postgres, _directory: None, _database: Some(database) })
    }

    /// Its address, as `Db::open` takes it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its engine.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Opens it.
    pub async fn open(&self, migrations: &[&[Migration]]) -> Result<Db, db::Error> {
        Db::open(&self.url, migrations).await
    }
}

/// A fresh database on each engine.
pub fn engines() -> anyhow::Result<Vec<TestDb>> {
    Ok(vec![TestDb::sqlite()?, TestDb::postgres()?])
}

/// What a check may return: nothing, or a result that must be `Ok`.
pub trait Outcome {
    /// The failure, if it is one.
    fn failure(self) -> Option<String>;
}

impl Outcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Debug> Outcome for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| format!("{error:?}"))
    }
}

/// Runs a check on both engines, with the tables of one layer.
pub async fn on_both<F, Fut>(migrations: &[Migration], check: F)
where
    F: Fn(Db) -> Fut,
    Fut: Future<Output: Outcome>,
{
    on_both_with(&[migrations], check).await;
}

/// Runs a check on both engines, with the tables of several layers.
#[expect(clippy::panic, reason = "a failed check fails the test that called")]
pub async fn on_both_with<F, Fut>(migrations: &[&[Migration]], check: F)
where
    F: Fn(Db) -> Fut,
    Fut: Future<Output: Outcome>,
{
    let databases = match tokio::task::spawn_blocking(engines).await {
        Ok(Ok(databases)) => databases,
        Ok(Err(error)) => panic!("{error:?}"),
        Err(error) => panic!("{error}"),
    };
    for database in databases {
        let engine = database.engine();
        let db = match database.open(migrations).await {
            Ok(db) => db,
            Err(error) => panic!("on {engine:?}: {error}"),
        };
        announce(engine);
        if let Some(failure) = check(db).await.failure() {
            panic!("on {engine:?}: {failure}");
        }
    }
}

#[expect(clippy::print_stderr, reason = "tells beside a failure of an assertion on which engine it happened")]
fn announce(engine: Engine) {
    eprintln!("testkit: checking on {engine:?}");
}
