//! Leases: what one of several processes on one database may do alone, for a limited time.
//!
//! All times are the database's own, so no process has to trust another's clock. Each time a lease is taken its *epoch* grows by one:
//! the epoch is the fencing token. A write that is [fenced](crate::Db::fenced) looks in its own transaction whether its term is still
//! the present one, and holds that until it commits: whoever takes the lease waits for such a transaction to end, and a holder that
//! was away and comes back cannot commit any more. Safety does not depend on anybody noticing in time that a lease has run out.

use std::time::Duration;

use crate::{Engine, Error, Migration, Row, Tx};

/// The tables of leases and of the processes that may hold them; see [`crate::replica`].
pub(crate) const MIGRATION: Migration = Migration {
    id: "db/0005-leases",
    sql: "
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    until_us BIGINT NOT NULL,
    UNIQUE (name, epoch)
);
CREATE TABLE replicas (
    id TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    store TEXT NOT NULL,
    address TEXT NOT NULL,
    started_us BIGINT NOT NULL,
    until_us BIGINT NOT NULL
);
",
};

/// One holder's time with a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is held.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// The fencing token: greater than that of every term before.
    pub epoch: i64,
}

/// A lease as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The last term.
    pub term: Term,
    /// When it ends unless it is renewed: microseconds since the epoch, by the database's clock. 0 when it was given back.
    pub until_us: i64,
}

/// Takes a lease that is free, has run out, or is the holder's own from an earlier life; `None` while somebody else holds it.
pub fn acquire(tx: &mut Tx<'_>, name: &str, holder: &str, ttl: Duration) -> Result<Option<Term>, Error> {
    // Read before anything is waited for, so it can only be too early: a lease is taken late rather than soon, and ends soon
    // rather than late.
    let now_us = tx.now_us()?;
    let row = tx.query_opt(
        "INSERT INTO leases (name, holder, epoch, until_us) VALUES ($1, $2, 1, $3)
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, epoch = leases.epoch + 1, until_us = excluded.until_us
         WHERE leases.until_us < $4 OR leases.holder = excluded.holder RETURNING epoch",
        &[name.into(), holder.into(), after(now_us, ttl).into(), now_us.into()],
    )?;
    let term = |row: Row| Ok(Term { name: name.to_owned(), holder: holder.to_owned(), epoch: row.i64("epoch")? });
    row.map(term).transpose()
}

/// Takes a lease from whoever holds it, for as long as nobody else does the same. For a database that only one process can have.
pub fn seize(tx: &mut Tx<'_>, name: &str, holder: &str) -> Result<Term, Error> {
    let row = tx.query_opt(
        "INSERT INTO leases (name, holder, epoch, until_us) VALUES ($1, $2, 1, $3)
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, epoch = leases.epoch + 1, until_us = excluded.until_us
         RETURNING epoch",
        &[name.into(), holder.into(), i64::MAX.into()],
    )?;
    let row = row.ok_or_else(|| Error::corrupt("epoch", "the lease returned nothing"))?;
    Ok(Term { name: name.to_owned(), holder: holder.to_owned(), epoch: row.i64("epoch")? })
}

/// Prolongs a term from now on. False when it is over: taken by somebody else, or run out.
pub fn renew(tx: &mut Tx<'_>, term: &Term, ttl: Duration) -> Result<bool, Error> {
    let now_us = tx.now_us()?;
    // The epoch, a column of a key, is not touched: on PostgreSQL this does not wait for the fenced transactions of the term.
    let renewed = tx.execute(
        "UPDATE leases SET until_us = $4 WHERE name = $1 AND holder = $2 AND epoch = $3 AND until_us >= $5",
        &[
            term.name.as_str().into(),
            term.holder.as_str().into(),
            term.epoch.into(),
            after(now_us, ttl).into(),
            now_us.into(),
        ],
    )?;
    Ok(renewed > 0)
}

/// Gives a lease back, so that the next holder need not wait. A term that is over already stays over.
pub fn release(tx: &mut Tx<'_>, term: &Term) -> Result<(), Error> {
    tx.execute(
        "UPDATE leases SET until_us = 0 WHERE name = $1 AND holder = $2 AND epoch = $3",
        &[term.name.as_str().into(), term.holder.as_str().into(), term.epoch.into()],
    )?;
    Ok(())
}

/// Refuses a transaction of a term that is not the present one; from here to its end nobody else can take the lease.
///
/// A term that has run out and was taken by nobody is still good: nobody else acts.
pub fn fence(tx: &mut Tx<'_>, term: &Term) -> Result<(), Error> {
    // KEY SHARE lets renewals pass and holds up whoever changes the epoch. SQLite has one writer, and nothing to lock.
    let sql = match tx.engine() {
        Engine::Sqlite => "SELECT epoch FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3",
        Engine::Postgres => "SELECT epoch FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3 FOR KEY SHARE",
    };
    let held = tx.query_opt(sql, &[term.name.as_str().into(), term.holder.as_str().into(), term.epoch.into()])?;
    match held {
        Some(_) => Ok(()),
        None => Err(Error::Fenced { name: term.name.clone(), epoch: term.epoch }),
    }
}

/// A lease as it is now, if it was ever taken.
pub fn find(tx: &mut Tx<'_>, name: &str) -> Result<Option<Lease>, Error> {
    let row = tx.query_opt("SELECT name, holder, epoch, until_us FROM leases WHERE name = $1", &[name.into()])?;
    row.as_ref().map(read).transpose()
}

/// Whether somebody could take it now.
pub fn is_free(tx: &mut Tx<'_>, name: &str, holder: &str) -> Result<bool, Error> {
    let now_us = tx.now_us()?;
    Ok(find(tx, name)?.is_none_or(|lease| lease.until_us < now_us || lease.term.holder == holder))
}

fn read(row: &Row) -> Result<Lease, Error> {
    let term = Term { name: row.text("name")?, holder: row.text("holder")?, epoch: row.i64("epoch")? };
    Ok(Lease { term, until_us: row.i64("until_us")? })
}

/// A point in time that much later.
pub(crate) fn after(now_us: i64, ttl: Duration) -> i64 {
    now_us.saturating_add(i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX))
}
