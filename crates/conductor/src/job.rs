//! The job queue: work that a reaction decided on and that takes longer than a transaction.
//!
//! A job's key is derived from the event that caused it, so the same event never makes two; what a person asks for has a key of its
//! own each time. Each kind has its own lane, worked
//! through in order by one worker at a time.

use db::{Migration, Row, Tx, Value};
use kernel::ctx::Ctx;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// The job table.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "conductor/0001-jobs",
    sql: "
        CREATE TABLE jobs (
            workspace TEXT NOT NULL,
            key TEXT NOT NULL PRIMARY KEY,
            seq BIGINT NOT NULL,
            kind TEXT NOT NULL,
            payload TEXT NOT NULL,
            state TEXT NOT NULL,
            attempts BIGINT NOT NULL,
            run_at_us BIGINT NOT NULL,
            created_us BIGINT NOT NULL,
            ended_us BIGINT,
            error TEXT
        );
        CREATE INDEX jobs_by_state ON jobs (state, kind, seq);
    ",
}];

/// The lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Compute the reference profile of a new version.
    Admit,
    /// Evaluate a candidate against the champion.
    Evaluate,
    /// Bring a deployment to what its pointer says.
    Roll,
    /// Call the webhook of a monitor.
    Webhook,
    /// Call a webhook of the registry.
    Announce,
}

impl Kind {
    /// All lanes.
    pub const ALL: [Self; 5] = [Self::Admit, Self::Evaluate, Self::Roll, Self::Webhook, Self::Announce];

    fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Evaluate => "evaluate",
            Self::Roll => "roll",
            Self::Webhook => "webhook",
            Self::Announce => "announce",
        }
    }
}

/// A job that is due.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its unique key.
    pub key: String,
    /// The workspace that it belongs to.
    pub workspace: String,
    /// How often it was tried before.
    pub attempts: i64,
    payload: String,
}

impl Job {
    /// What it is about.
    pub fn payload<P: DeserializeOwned>(&self) -> Result<P, Error> {
        serde_json::from_str(&self.payload).map_err(|source| Error::Job { key: self.key.clone(), source })
    }
}

/// Puts a job into its lane; a key that is known already changes nothing.
pub fn enqueue<P: Serialize>(tx: &mut Tx<'_>, ctx: &Ctx, kind: Kind, key: &str, payload: &P) -> Result<(), Error> {
    let seq = tx.next("jobs")?;
    let payload = serde_json::to_string(payload).map_err(|source| Error::Job { key: key.to_owned(), source })?;
    tx.execute(
        "INSERT INTO jobs (workspace, key, seq, kind, payload, state, attempts, run_at_us, created_us)
         VALUES ($1, $2, $3, $4, $5, 'queued', 0, $6, $6)
         ON CONFLICT (key) DO NOTHING",
        &[
            ctx.workspace.as_str().into(),
            format!("{}/{key}", kind.as_str()).into(),
            seq.into(),
            kind.as_str().into(),
            payload.into(),
            ctx.now_us.into(),
        ],
    )?;
    Ok(())
}

/// The next job of a lane that is due.
pub fn next(tx: &mut Tx<'_>, kind: Kind, now_us: i64) -> Result<Option<Job>, Error> {
    let row = tx.query_opt(
        "SELECT key, workspace, attempts, payload FROM jobs
         WHERE state = 'queued' AND kind = $1 AND run_at_us <= $2 ORDER BY seq LIMIT 1",
        &[kind.as_str().into(), now_us.into()],
    )?;
    row.as_ref().map(read).transpose()
}

/// Marks a job as done; called in the transaction that publishes its result.
pub fn finish(tx: &mut Tx<'_>, ctx: &Ctx, key: &str) -> Result<(), Error> {
    end(tx, ctx, key, "done", None)
}

/// Marks a job as failed for good.
pub fn fail(tx: &mut Tx<'_>, ctx: &Ctx, key: &str, reason: &str) -> Result<(), Error> {
    end(tx, ctx, key, "failed", Some(reason.to_owned()))
}

/// Puts a job back to be tried again later.
pub fn postpone(tx: &mut Tx<'_>, key: &str, run_at_us: i64, reason: &str) -> Result<(), Error> {
    tx.execute(
        "UPDATE jobs SET attempts = attempts + 1, run_at_us = $1, error = $2 WHERE key = $3",
        &[run_at_us.into(), reason.into(), key.into()],
    )?;
    Ok(())
}

/// The keys of jobs of this workspace that wait, without those of the lanes that only talk to the outside.
pub fn waiting(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<String>, Error> {
    let rows = tx.query(
        "SELECT key FROM jobs WHERE state = 'queued' AND kind NOT IN ('webhook', 'announce') AND workspace = $1
         ORDER BY seq LIMIT 100",
        &[ctx.workspace.as_str().into()],
    )?;
    Ok(rows.iter().map(|row| row.text("key")).collect::<Result<_, _>>()?)
}

fn end(tx: &mut Tx<'_>, ctx: &Ctx, key: &str, state: &'static str, error: Option<String>) -> Result<(), Error> {
    tx.execute(
        "UPDATE jobs SET state = $1, ended_us = $2, error = $3, attempts = attempts + 1 WHERE key = $4",
        &[state.into(), ctx.now_us.into(), Value::from(error), key.into()],
    )?;
    Ok(())
}

fn read(row: &Row) -> Result<Job, Error> {
    Ok(Job {
        key: row.text("key")?,
        workspace: row.text("workspace")?,
        attempts: row.i64("attempts")?,
        payload: row.text("payload")?,
    })
}
