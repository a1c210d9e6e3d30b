//! Several servers on one database: one turns the loop, another takes over, and who was away does nothing any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use db::{Db, lease};
use kernel::event::{NewEvent, kind};
use kernel::task::{Stopper, spawn};
use rondo_conductor::leadership::{self, LEASE, Options, Until};
use rondo_conductor::{Error, House, TABLES, job, reaction, worker};
use serde_json::json;
use testkit::TestDb;
use tokio::task::JoinHandle;

const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_mins(10);

/// A server on a database that it may share.
struct Server {
    house: House,
    stopper: Stopper,
    /// How often its turn has come.
    turns: Arc<AtomicUsize>,
    running: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Server {
    fn start(db: Db, name: &str, failover: Duration) -> Self {
        let (house, dir) = super::house(db);
        let (stopper, shutdown) = kernel::task::shutdown();
        let turns = Arc::new(AtomicUsize::new(0));
        let (own, counted) = (house.clone(), turns.clone());
        let options = Options { replica: name.to_owned(), failover };
        let running = spawn("test-loop", async move {
            let turn = move |house: &House, until: &Until| {
                counted.fetch_add(1, Ordering::SeqCst);
                worker::start(house, &until.stop)
            };
            leadership::run(&own, &options, shutdown, turn).await;
        });
        Self { house, stopper, turns, running, _dir: dir }
    }

    fn leads(&self) -> bool {
        self.house.term().is_some()
    }

    async fn stop(self) {
        self.stopper.stop();
        self.running.await.unwrap();
    }
}

async fn two() -> (TestDb, Db, Db) {
    let database = tokio::task::spawn_blocking(TestDb::postgres).await.unwrap().unwrap();
    let (one, other) = tokio::join!(database.open(&TABLES), database.open(&TABLES));
    (database, one.unwrap(), other.unwrap())
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn emit(house: &House, kind: &'static str, version: &str) {
    let ctx = house.conductor_ctx();
    let payload = json!({ "version": version });
    let event = NewEvent { kind, subject: "model/m".to_owned(), model: Some("m".to_owned()), payload };
    house.db.write(move |tx| db::events::emit(tx, &ctx, event)).await.unwrap();
}

/// Waits until every reaction has seen every event.
async fn caught_up(house: &House) {
    loop {
        let behind = house.db.read(|tx| {
            let head = db::events::head(tx)?;
            let cursors = reaction::TABLE.iter().map(|one| db::events::cursor(tx, one.name));
            Ok::<_, Error>(cursors.collect::<Result<Vec<_>, _>>()?.iter().any(|seen| *seen < head))
        });
        if !behind.await.unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn the_first_turns_the_loop_and_the_second_when_it_goes() {
    let (_database, one, other) = two().await;
    let first = Server::start(one, "a", LONG);
    until(|| first.leads()).await;
    let second = Server::start(other, "b", LONG);
    emit(&second.house, kind::VERSION_REGISTERED, "1").await;
    caught_up(&first.house).await;
    assert!(!second.leads());
    first.stop().await;
    until(|| second.leads()).await;
    assert_eq!(second.house.term(), Some(2));
    emit(&second.house, kind::VERSION_REGISTERED, "2").await;
    caught_up(&second.house).await;
    assert_eq!(second.turns.load(Ordering::SeqCst), 1);
    let jobs = second.house.db.read(|tx| tx.query("SELECT key FROM jobs WHERE kind = 'admit'", &[])).await.unwrap();
    assert_eq!(jobs.len(), 2, "each event has its consequence once");
    second.stop().await;
}

#[tokio::test]
async fn one_that_dies_is_followed_and_one_that_comes_back_after_its_own_death_need_not_wait() {
    let (_database, one, other) = two().await;
    let first = Server::start(one.clone(), "a", LONG);
    until(|| first.leads()).await;
    // it dies: nothing is given back
    first.running.abort();
    let again = Server::start(one, "a", SHORT);
    until(|| again.leads()).await;
    assert_eq!(again.house.term(), Some(2), "its lease had ten minutes to run");
    again.running.abort();
    let second = Server::start(other, "b", SHORT);
    until(|| second.leads()).await;
    assert_eq!(second.house.term(), Some(3));
    second.stop().await;
}

#[tokio::test]
async fn one_whose_lease_was_taken_stops_and_waits_for_its_turn() {
    let (_database, one, other) = two().await;
    let first = Server::start(one, "a", SHORT);
    until(|| first.leads()).await;
    // As if it had stood still: the lease is another's when it looks again.
    let taken = other.write(|tx| lease::seize(tx, LEASE, "b")).await.unwrap();
    until(|| !first.leads()).await;
    other.write(move |tx| lease::release(tx, &taken)).await.unwrap();
    until(|| first.leads()).await;
    assert_eq!((first.house.term(), first.turns.load(Ordering::SeqCst)), (Some(3), 2));
    first.stop().await;
}

/// Whatever the loop does, it does under its term: reactions, jobs and schedules of a house whose term is over write nothing.
#[tokio::test]
async fn a_house_whose_term_is_over_writes_nothing() {
    testkit::on_both_with(&TABLES, |db| async move {
        let (house, _dir) = super::house(db);
        let term = house.db.write(|tx| lease::seize(tx, LEASE, "a")).await.unwrap();
        let old = house.under(&term);
        emit(&house, kind::VERSION_REGISTERED, "1").await;
        let admit = reaction::TABLE.iter().find(|reaction| reaction.name == "admit-version").unwrap();
        assert_eq!(reaction::catch_up(&old, admit).await.unwrap(), 1);
        emit(&house, kind::VERSION_REGISTERED, "2").await;
        house.db.write(|tx| lease::seize(tx, LEASE, "b")).await.unwrap();
        let refused = reaction::catch_up(&old, admit).await.unwrap_err();
        assert!(matches!(&refused, Error::Db(error) if error.is_fenced()), "{refused}");
        let ctx = house.conductor_ctx();
        assert_eq!(house.db.read(move |tx| job::waiting(tx, &ctx)).await.unwrap(), ["admit/0"]);

        let ctx = house.conductor_ctx();
        house.db.write(move |tx| access::workspace::create(tx, &ctx, "team", None)).await.unwrap();
        let team = old.within("team").await.unwrap();
        let refused = team.db.write(|tx| tx.next("x")).await.unwrap_err();
        assert!(refused.is_fenced(), "in no workspace: {refused}");
        assert!(house.within("team").await.unwrap().db.write(|tx| tx.next("x")).await.is_ok());
    })
    .await;
}
