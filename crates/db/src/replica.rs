//! The servers that share a database: who is there, at which address, and whether they fit together.
//!
//! Each says every few seconds that it is alive, by the database's clock. Servers of different versions, or with different object
//! stores, must not work on one database at a time: the second is refused.

use std::time::Duration;

use crate::lease::after;
use crate::{Error, Row, Tx};

/// A row of a server that was not heard of for this long goes.
const FORGOTTEN: Duration = Duration::from_hours(24);

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Who it is; kept in its data folder, so the same after a restart.
    pub id: String,
    /// The program and the schema that it knows: [`crate::version`].
    pub version: String,
    /// The object store, by an id that the store itself holds.
    pub store: String,
    /// Where it answers, as a URL.
    pub address: String,
    /// When it came, microseconds since the epoch by the database's clock.
    pub started_us: i64,
    /// Until when it counts as alive, by the same clock.
    pub until_us: i64,
}

/// Who comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// See [`Replica::id`].
    pub id: String,
    /// See [`Replica::version`].
    pub version: String,
    /// See [`Replica::store`].
    pub store: String,
    /// See [`Replica::address`].
    pub address: String,
}

impl Newcomer {
    /// The only server of its database, which needs no row there.
    pub fn alone(&self) -> Replica {
        let Self { id, version, store, address } = self.clone();
        Replica { id, version, store, address, started_us: 0, until_us: i64::MAX }
    }
}

/// Says that a server is alive for some time to come. Refused while servers are alive that it does not fit: then nothing is written.
///
/// Called every few seconds by the same server. One that was away long enough to be forgotten is judged like a new one.
pub fn attend(tx: &mut Tx<'_>, who: &Newcomer, ttl: Duration) -> Result<(), Error> {
    let now_us = tx.now_us()?;
    let beaten = tx.execute(
        "UPDATE replicas SET until_us = $2 WHERE id = $1 AND until_us >= $3 AND version = $4 AND store = $5 AND address = $6",
        &[
            who.id.as_str().into(),
            after(now_us, ttl).into(),
            now_us.into(),
            who.version.as_str().into(),
            who.store.as_str().into(),
            who.address.as_str().into(),
        ],
    )?;
    if beaten > 0 {
        return Ok(());
    }
    // One at a time: of two that come at once, the second sees the first.
    tx.next("replicas")?;
    let others = alive_beside(tx, &who.id)?;
    if let Some(other) = others.iter().find(|other| other.version != who.version) {
        return Err(mixed(other, &who.version));
    }
    if let Some(other) = others.iter().find(|other| other.store != who.store) {
        return Err(Error::OtherStore { address: other.address.clone() });
    }
    tx.execute("DELETE FROM replicas WHERE until_us < $1", &[(now_us - after(0, FORGOTTEN)).into()])?;
    tx.execute(
        "INSERT INTO replicas (id, version, store, address, started_us, until_us) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET version = excluded.version, store = excluded.store, address = excluded.address,
         started_us = excluded.started_us, until_us = excluded.until_us",
        &[
            who.id.as_str().into(),
            who.version.as_str().into(),
            who.store.as_str().into(),
            who.address.as_str().into(),
            now_us.into(),
            after(now_us, ttl).into(),
        ],
    )?;
    Ok(())
}

/// Says that a server goes.
pub fn leave(tx: &mut Tx<'_>, id: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM replicas WHERE id = $1", &[id.into()])?;
    Ok(())
}

/// The servers that are alive, the oldest first.
pub fn alive(tx: &mut Tx<'_>) -> Result<Vec<Replica>, Error> {
    alive_beside(tx, "")
}

/// Refuses a program of another version than the servers that are alive. `own` is the server that asks, if it is one.
pub(crate) fn refuse_other_version(tx: &mut Tx<'_>, own: &str, version: &str) -> Result<(), Error> {
    let others = alive_beside(tx, own)?;
    others.iter().find(|other| other.version != version).map_or(Ok(()), |other| Err(mixed(other, version)))
}

fn alive_beside(tx: &mut Tx<'_>, id: &str) -> Result<Vec<Replica>, Error> {
    let now_us = tx.now_us()?;
    let rows = tx.query(
        "SELECT id, version, store, address, started_us, until_us FROM replicas
         WHERE id <> $1 AND until_us >= $2 ORDER BY started_us, id",
        &[id.into(), now_us.into()],
    )?;
    rows.iter().map(read).collect()
}

fn mixed(other: &Replica, version: &str) -> Error {
    Error::Mixed { address: other.address.clone(), theirs: other.version.clone(), ours: version.to_owned() }
}

fn read(row: &Row) -> Result<Replica, Error> {
    Ok(Replica {
        id: row.text("id")?,
        version: row.text("version")?,
        store: row.text("store")?,
        address: row.text("address")?,
        started_us: row.i64("started_us")?,
        until_us: row.i64("until_us")?,
    })
}
