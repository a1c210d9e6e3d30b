//! The chain of the trail: each event's hash binds the hash of the one before, so that whoever changes or removes a row must
//! change every later hash, and the head that somebody noted elsewhere tells.
//!
//! The hash of an event is the BLAKE3 digest of, each length-prefixed: the hash before it (empty for the first), `seq`, `at_us`, workspace,
//! actor, kind, subject, `1` and the model or `0` and nothing, and the payload as it is stored. Hashes stand in a table of their
//! own, so that events from before the chain could be chained without touching them.

use kernel::digest;
use serde::Serialize;
use serde_json::value::RawValue;

use super::COUNTER;
use crate::engine::Session;
use crate::{Error, Migration, Row, Tx};

/// The table of hashes; run together with [`chain_existing`].
pub(crate) const MIGRATION: Migration =
    Migration { id: "db/0003-chain", sql: "CREATE TABLE event_hashes (seq BIGINT PRIMARY KEY, hash TEXT NOT NULL)" };

/// Events that are read at a time.
const CHUNK: i64 = 1_000;

/// A place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The number of the event; -1 before the first.
    pub seq: i64,
    /// Its hash; empty before the first.
    pub hash: String,
}

impl Link {
    /// Before the first event.
    pub fn start() -> Self {
        Self { seq: -1, hash: String::new() }
    }
}

/// An event with its hash, as exported: one line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Chained {
    /// Position in the trail.
    pub seq: i64,
    /// Microseconds since the epoch.
    pub at_us: i64,
    /// The workspace.
    pub workspace: String,
    /// Who did it.
    pub actor: String,
    /// What happened.
    pub kind: String,
    /// The thing it happened to.
    pub subject: String,
    /// The registered model whose story it belongs to.
    pub model: Option<String>,
    /// The evidence, as stored.
    pub payload: Box<RawValue>,
    /// The hash; none if somebody removed it.
    pub hash: Option<String>,
}

/// How far a check has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Sound up to here, and there may be more.
    Sound(Link),
    /// Sound to the end.
    Whole(Link),
    /// Broken, first at this event.
    Broken {
        /// The first event that is not as it was.
        seq: i64,
        /// What is wrong with it.
        reason: String,
    },
}

/// Checks the next thousand events after a place up to which the chain is sound. `noted` is a link that was seen before, which
/// must still be there.
pub fn verify(tx: &mut Tx<'_>, from: &Link, noted: Option<&Link>) -> Result<Progress, Error> {
    let rows = tx.query(
        "SELECT e.seq, e.at_us, e.workspace, e.actor, e.kind, e.subject, e.model, e.payload, h.hash
         FROM events e LEFT JOIN event_hashes h ON h.seq = e.seq WHERE e.seq > $1 ORDER BY e.seq LIMIT $2",
        &[from.seq.into(), CHUNK.into()],
    )?;
    let mut link = from.clone();
    for row in &rows {
        let seq = row.i64("seq")?;
        if seq != link.seq + 1 {
            return Ok(broken(link.seq + 1, "the event is missing"));
        }
        let hash = hash(&link.hash, row)?;
        match row.opt_text("hash")? {
            None => return Ok(broken(seq, "the event has no hash")),
            Some(stored) if stored != hash => return Ok(broken(seq, "the event does not match its hash")),
            Some(_) => link = Link { seq, hash },
        }
        if noted.is_some_and(|noted| noted.seq == seq && noted.hash != link.hash) {
            return Ok(broken(seq, "the hash is not the one that was noted: history up to here was rewritten"));
        }
    }
    if !rows.is_empty() {
        return Ok(Progress::Sound(link));
    }
    let later = noted.is_some_and(|noted| noted.seq > link.seq);
    Ok(if ends_at(tx, link.seq)? && !later {
        Progress::Whole(link)
    } else {
        broken(link.seq + 1, "the event is missing")
    })
}

/// Events after a number with their hashes, oldest first.
pub fn export(tx: &mut Tx<'_>, after: i64) -> Result<Vec<Chained>, Error> {
    let rows = tx.query(
        "SELECT e.seq, e.at_us, e.workspace, e.actor, e.kind, e.subject, e.model, e.payload, h.hash
         FROM events e LEFT JOIN event_hashes h ON h.seq = e.seq WHERE e.seq > $1 ORDER BY e.seq LIMIT $2",
        &[after.into(), CHUNK.into()],
    )?;
    rows.iter().map(chained).collect()
}

/// Binds a new event to the one before. Its number is taken, so no other transaction emits until this one ends.
pub(super) fn append(tx: &mut Tx<'_>, seq: i64) -> Result<(), Error> {
    let before = tx.query_opt("SELECT hash FROM event_hashes WHERE seq = $1", &[(seq - 1).into()])?;
    // Without one the chain is broken already; the check says so, and work goes on.
    let before = before.map(|row| row.text("hash")).transpose()?.unwrap_or_default();
    let row = tx.query_opt(
        "SELECT seq, at_us, workspace, actor, kind, subject, model, payload FROM events WHERE seq = $1",
        &[seq.into()],
    )?;
    let row = row.ok_or_else(|| Error::corrupt("seq", "the event that was just written is not there"))?;
    let hash = hash(&before, &row)?;
    tx.execute("INSERT INTO event_hashes (seq, hash) VALUES ($1, $2)", &[seq.into(), hash.into()])?;
    Ok(())
}

/// Chains the events from before there was a chain: once, in the transaction that makes the table.
pub(crate) fn chain_existing(session: &mut dyn Session) -> Result<(), Error> {
    let mut link = Link::start();
    loop {
        let rows = session.query(
            "SELECT seq, at_us, workspace, actor, kind, subject, model, payload FROM events
             WHERE seq > $1 ORDER BY seq LIMIT $2",
            &[link.seq.into(), CHUNK.into()],
        )?;
        for row in &rows {
            link = Link { seq: row.i64("seq")?, hash: hash(&link.hash, row)? };
            let values = [link.seq.into(), link.hash.as_str().into()];
            session.execute("INSERT INTO event_hashes (seq, hash) VALUES ($1, $2)", &values)?;
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

/// Whether neither a hash nor the counter knows of a later event.
fn ends_at(tx: &mut Tx<'_>, seq: i64) -> Result<bool, Error> {
    let hashes = tx.query_opt("SELECT max(seq) AS seq FROM event_hashes", &[])?;
    let hashes = hashes.map(|row| row.opt_i64("seq")).transpose()?.flatten().unwrap_or(-1);
    let counter = tx.query_opt("SELECT value FROM counters WHERE name = $1", &[COUNTER.into()])?;
    let counter = counter.map(|row| row.i64("value")).transpose()?.unwrap_or(-1);
    Ok(hashes <= seq && counter <= seq)
}

fn broken(seq: i64, reason: &str) -> Progress {
    Progress::Broken { seq, reason: reason.to_owned() }
}

fn hash(before: &str, row: &Row) -> Result<String, Error> {
    let model = row.opt_text("model")?;
    let mut digest = digest::Builder::default();
    digest.piece(before.as_bytes());
    digest.piece(row.i64("seq")?.to_string().as_bytes());
    digest.piece(row.i64("at_us")?.to_string().as_bytes());
    for column in ["workspace", "actor", "kind", "subject"] {
        digest.piece(row.str(column)?.as_bytes());
    }
    digest.piece(if model.is_some() { b"1" } else { b"0" }).piece(model.unwrap_or_default().as_bytes());
    digest.piece(row.str("payload")?.as_bytes());
    Ok(digest.finish())
}

fn chained(row: &Row) -> Result<Chained, Error> {
    let text = row.text("payload")?;
    // What somebody made unreadable is shown as the text that it is.
    let payload = RawValue::from_string(text.clone()).or_else(|_| serde_json::value::to_raw_value(&text));
    Ok(Chained {
        seq: row.i64("seq")?,
        at_us: row.i64("at_us")?,
        workspace: row.text("workspace")?,
        actor: row.text("actor")?,
        kind: row.text("kind")?,
        subject: row.text("subject")?,
        model: row.opt_text("model")?,
        payload: payload.map_err(|error| Error::corrupt("payload", error))?,
        hash: row.opt_text("hash")?,
    })
}
