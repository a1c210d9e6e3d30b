//! What tracking does, on both engines. One noun, one file.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

extern crate rondo_tracking as tracking;

mod batch;
mod dataset;
mod evaluation_dataset;
mod experiment;
mod logged_model;
mod metric;
mod run;
mod search;
mod sweep;
mod trace;

use db::{Db, Tx};
use kernel::ctx::{Ctx, Principal};
use tracking::run::{NewRun, Run};
use tracking::{Error, Pair};

/// The instant of everything that happens in these tests, unless a test says otherwise.
const NOW_US: i64 = 1_700_000_000_000_000;

fn ctx() -> Ctx {
    Ctx::new(Principal::Person("ada".to_owned()), NOW_US)
}

/// One unit of work that writes.
async fn write<T, F>(db: &Db, work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce(&mut Tx<'_>, &Ctx) -> Result<T, Error> + Send + 'static,
{
    db.write(move |tx| work(tx, &ctx())).await
}

/// One unit of work that reads.
async fn read<T, F>(db: &Db, work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce(&mut Tx<'_>, &Ctx) -> Result<T, Error> + Send + 'static,
{
    db.read(move |tx| work(tx, &ctx())).await
}

/// A run in the default experiment.
async fn a_run(db: &Db) -> String {
    let new = NewRun { experiment_id: "0".to_owned(), run_name: "first".to_owned(), start_ms: 1, ..NewRun::default() };
    write(db, move |tx, ctx| tracking::run::create(tx, ctx, new)).await.unwrap().info.run_id
}

async fn get(db: &Db, run_id: &str) -> Run {
    let run_id = run_id.to_owned();
    read(db, move |tx, ctx| tracking::run::get(tx, ctx, &run_id)).await.unwrap()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<Pair> {
    pairs.iter().map(|(key, value)| Pair::new(*key, *value)).collect()
}

#[track_caller]
fn assert_error<T: std::fmt::Debug>(result: Result<T, Error>, expect: &str) {
    let error = result.expect_err(expect).to_string();
    assert!(error.contains(expect), "expected {expect:?} in {error:?}");
}
