//! Leases: one holder at a time, a greater epoch each time, and no write of a holder whose time is over.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::mpsc;
use std::time::Duration;

use db::lease::{self, Term};
use db::{Db, Error};
use testkit::{TestDb, on_both};

use super::SCHEMA;

const LONG: Duration = Duration::from_mins(10);

async fn acquire(db: &Db, holder: &'static str, ttl: Duration) -> Option<Term> {
    db.write(move |tx| lease::acquire(tx, "loop", holder, ttl)).await.unwrap()
}

async fn renew(db: &Db, term: &Term) -> bool {
    let term = term.clone();
    db.write(move |tx| lease::renew(tx, &term, LONG)).await.unwrap()
}

/// Lets the time of whoever holds the lease run out.
async fn run_out(db: &Db) {
    db.write(|tx| tx.execute("UPDATE leases SET until_us = 1", &[]).map(drop)).await.unwrap();
}

fn insert(id: &'static str) -> impl FnOnce(&mut db::Tx<'_>) -> Result<(), Error> + Send + 'static {
    move |tx| tx.execute("INSERT INTO rows (id) VALUES ($1)", &[id.into()]).map(drop)
}

async fn rows(db: &Db) -> Vec<String> {
    let read = db.read(|tx| {
        let rows = tx.query("SELECT id FROM rows ORDER BY id", &[])?;
        rows.iter().map(|row| row.text("id")).collect::<Result<Vec<_>, Error>>()
    });
    read.await.unwrap()
}

#[tokio::test]
async fn one_holds_it_until_it_runs_out_is_given_back_or_comes_again() {
    on_both(&[], |db| async move {
        let first = acquire(&db, "a", LONG).await.unwrap();
        assert_eq!((first.holder.as_str(), first.epoch), ("a", 1));
        assert_eq!(acquire(&db, "b", LONG).await, None);
        assert!(!db.read(|tx| lease::is_free(tx, "loop", "b")).await.unwrap());
        assert!(renew(&db, &first).await);

        run_out(&db).await;
        assert!(db.read(|tx| lease::is_free(tx, "loop", "b")).await.unwrap());
        assert!(!renew(&db, &first).await, "a term that ran out is not prolonged, taken or not");
        let second = acquire(&db, "b", LONG).await.unwrap();
        assert_eq!((second.holder.as_str(), second.epoch), ("b", 2));
        assert!(!renew(&db, &first).await);

        let again = acquire(&db, "b", LONG).await.unwrap();
        assert_eq!(again.epoch, 3, "who comes again after a crash need not wait, and its earlier life is over");
        assert!(!renew(&db, &second).await);

        let late = second.clone();
        db.write(move |tx| lease::release(tx, &late)).await.unwrap();
        assert_eq!(acquire(&db, "a", LONG).await, None, "a term that is over gives nothing back");
        db.write(move |tx| lease::release(tx, &again)).await.unwrap();
        assert_eq!(acquire(&db, "a", LONG).await.unwrap().epoch, 4);
    })
    .await;
}

#[tokio::test]
async fn a_seized_lease_is_nobody_elses() {
    on_both(SCHEMA, |db| async move {
        let old = db.fenced(acquire(&db, "a", LONG).await.unwrap());
        let term = db.write(|tx| lease::seize(tx, "loop", "b")).await.unwrap();
        assert_eq!((term.holder.as_str(), term.epoch), ("b", 2));
        assert!(old.write(insert("late")).await.unwrap_err().is_fenced());
        assert_eq!(acquire(&db, "a", LONG).await, None);
        db.fenced(term).write(insert("in time")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn many_at_once_are_one_holder() {
    on_both(&[], |db| async move {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let all = futures_util::future::join_all(names.map(|name| acquire(&db, name, LONG))).await;
        assert_eq!(all.iter().flatten().count(), 1, "{all:?}");
    })
    .await;
}

#[tokio::test]
async fn who_was_away_too_long_commits_nothing() {
    on_both(SCHEMA, |db| async move {
        let old = db.fenced(acquire(&db, "a", LONG).await.unwrap());
        old.write(insert("while it holds")).await.unwrap();
        run_out(&db).await;
        old.write(insert("nobody else has come")).await.unwrap();
        let new = db.fenced(acquire(&db, "b", LONG).await.unwrap());
        let refused = old.write(insert("too late")).await.unwrap_err();
        assert!(refused.is_fenced(), "{refused}");
        assert_eq!(refused.to_string(), "the term 1 of the lease `loop` is over");
        new.write(insert("by the new holder")).await.unwrap();
        db.write(insert("by anybody")).await.unwrap();
        assert_eq!(rows(&db).await, ["by anybody", "by the new holder", "nobody else has come", "while it holds"]);
    })
    .await;
}

/// The holder stops in the middle of a fenced transaction, and its time runs out. Whoever takes the lease waits for it; what it
/// wrote under its own term counts, and nothing after.
#[tokio::test]
async fn a_transaction_under_way_ends_before_the_next_term_begins() {
    // Only PostgreSQL runs two transactions side by side.
    let database = tokio::task::spawn_blocking(TestDb::postgres).await.unwrap().unwrap();
    let (here, there) = (database.open(&[SCHEMA]).await.unwrap(), database.open(&[SCHEMA]).await.unwrap());
    let old = here.fenced(acquire(&here, "a", Duration::from_millis(1)).await.unwrap());
    let (inside, is_inside) = tokio::sync::oneshot::channel();
    let (go_on, paused) = mpsc::channel::<()>();
    let work = move |tx: &mut db::Tx<'_>| {
        insert("one")(tx)?;
        inside.send(()).unwrap();
        paused.recv().unwrap();
        insert("two")(tx)
    };
    let meanwhile = async {
        is_inside.await.unwrap();
        while !there.read(|tx| lease::is_free(tx, "loop", "b")).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut taking = std::pin::pin!(acquire(&there, "b", LONG));
        let waited = tokio::time::timeout(Duration::from_millis(100), &mut taking).await;
        assert!(waited.is_err(), "the next term began beside a transaction of the one before: {waited:?}");
        go_on.send(()).unwrap();
        taking.await.unwrap()
    };
    let (written, taken) = tokio::join!(old.write(work), meanwhile);
    written.unwrap();
    assert_eq!(taken.epoch, 2);
    assert!(old.write(insert("three")).await.unwrap_err().is_fenced());
    assert_eq!(rows(&here).await, ["one", "two"]);
}

#[tokio::test]
async fn a_renewal_does_not_wait_for_the_work_it_is_for() {
    let database = tokio::task::spawn_blocking(TestDb::postgres).await.unwrap().unwrap();
    let db = database.open(&[SCHEMA]).await.unwrap();
    let term = acquire(&db, "a", LONG).await.unwrap();
    let (inside, is_inside) = tokio::sync::oneshot::channel();
    let (go_on, paused) = mpsc::channel::<()>();
    let work = move |tx: &mut db::Tx<'_>| {
        insert("long")(tx)?;
        inside.send(()).unwrap();
        paused.recv().map_err(|_| Error::Closed)
    };
    let meanwhile = async {
        is_inside.await.unwrap();
        assert!(renew(&db, &term).await);
        go_on.send(()).unwrap();
    };
    let fenced = db.fenced(term.clone());
    let (written, ()) = tokio::join!(fenced.write(work), meanwhile);
    written.unwrap();
}

#[tokio::test]
async fn the_time_is_the_databases_and_goes_on_inside_a_transaction() {
    on_both(&[], |db| async move {
        let (first, second) = db
            .write(|tx| {
                let first = tx.now_us()?;
                std::thread::sleep(Duration::from_millis(2));
                Ok::<_, Error>((first, tx.now_us()?))
            })
            .await
            .unwrap();
        assert!(second > first && first > 1_700_000_000_000_000, "{first} {second}");
    })
    .await;
}
