//! The steps of runs. An attempt claims its step, and publishes its result only while the claim is still its own: every
//! statement that ends an attempt carries the attempt's number.

use std::collections::BTreeMap;

use db::{Row, Tx};
use kernel::ctx::Ctx;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Error;
use crate::definition::Pipeline;
use crate::process::Identity;
use crate::run::{self, Run};

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// Waits for other steps, for its turn or for its next attempt.
    Pending,
    /// An attempt is under way.
    Running,
    /// It ran, and made what it promised.
    Succeeded,
    /// Nothing it depends on had changed.
    Skipped,
    /// Its last attempt failed.
    Failed,
    /// It never began, as another step failed.
    Blocked,
    /// It was stopped, or never began, as somebody cancelled the run.
    Cancelled,
}

impl StepState {
    /// The word for it in stored rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Cancelled => "cancelled",
        }
    }

    /// True when nothing will change any more.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// True when steps that wait for it may begin.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped)
    }

    fn read(text: &str) -> Self {
        match text {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "succeeded" => Self::Succeeded,
            "skipped" => Self::Skipped,
            "blocked" => Self::Blocked,
            "cancelled" => Self::Cancelled,
            _ => Self::Failed,
        }
    }
}

/// A step of a run as stored.
#[derive(Clone, Debug, Serialize)]
pub struct StepRun {
    /// The run.
    pub run_id: String,
    /// The step's name.
    pub step: String,
    /// How far it is.
    pub state: StepState,
    /// The number of the last attempt; 0 before the first. It counts attempts that a crash of the server cut off, too.
    pub attempt: i64,
    /// How many attempts failed.
    pub failures: i64,
    /// The digest of everything it depends on.
    pub step_key: Option<String>,
    /// What those that wait for it depend on: the digest of what it made, or the name of the attempt if it makes nothing.
    #[serde(skip)]
    pub result: Option<String>,
    /// The leader of its process group.
    #[serde(skip)]
    pub identity: Option<Identity>,
    /// The exit code of the last attempt.
    pub exit_code: Option<i64>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When the last attempt began.
    pub started_us: Option<i64>,
    /// When it ended.
    pub ended_us: Option<i64>,
}

/// What a step made the last time it ran well.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) step_key: String,
    pub(crate) result: String,
    pub(crate) outs: BTreeMap<String, String>,
}

pub(crate) fn create(tx: &mut Tx<'_>, run_id: &str, pipeline: &Pipeline) -> Result<(), Error> {
    for (position, step) in (0_i64..).zip(&pipeline.steps) {
        tx.execute(
            "INSERT INTO step_runs (run_id, step, position, state, attempt, failures) VALUES ($1, $2, $3, 'pending', 0, 0)",
            &[run_id.into(), step.name.as_str().into(), position.into()],
        )?;
    }
    Ok(())
}

pub(crate) fn of_run(tx: &mut Tx<'_>, run_id: &str) -> Result<Vec<StepRun>, Error> {
    let rows = tx.query("SELECT * FROM step_runs WHERE run_id = $1 ORDER BY position", &[run_id.into()])?;
    rows.iter().map(from_row).collect()
}

/// Begins an attempt and returns its number; `None` when the step is not waiting any more.
pub(crate) fn claim(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    run_id: &str,
    step: &str,
    step_key: &str,
    identity: &Identity,
) -> Result<Option<i64>, Error> {
    let row = tx.query_opt(
        "UPDATE step_runs SET state = 'running', attempt = attempt + 1, step_key = $3, pgid = $4, pg_started = $5, \
         started_us = $6, ended_us = NULL, exit_code = NULL, error = NULL \
         WHERE run_id = $1 AND step = $2 AND state = 'pending' RETURNING attempt",
        &[
            run_id.into(),
            step.into(),
            step_key.into(),
            identity.pgid.into(),
            identity.started.as_str().into(),
            ctx.now_us.into(),
        ],
    )?;
    Ok(row.map(|row| row.i64("attempt")).transpose()?)
}

/// Publishes what an attempt made. False when the attempt had lost its claim: then nothing is published.
pub(crate) fn succeed(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    run: &Run,
    step: &str,
    attempt: i64,
    outs: &BTreeMap<String, String>,
) -> Result<bool, Error> {
    let result = result_of(run, step, attempt, outs);
    let row = tx.query_opt(
        "UPDATE step_runs SET state = 'succeeded', result = $4, exit_code = 0, ended_us = $5, pgid = NULL, pg_started = NULL \
         WHERE run_id = $1 AND step = $2 AND attempt = $3 AND state = 'running' RETURNING step_key",
        &[run.run_id.as_str().into(), step.into(), attempt.into(), result.as_str().into(), ctx.now_us.into()],
    )?;
    let Some(row) = row else { return Ok(false) };
    tx.execute(
        "INSERT INTO step_cache (workspace, pipeline, step, step_key, result, outs, run_id, attempt, at_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (workspace, pipeline, step) DO UPDATE SET \
         step_key = excluded.step_key, result = excluded.result, outs = excluded.outs, run_id = excluded.run_id, \
         attempt = excluded.attempt, at_us = excluded.at_us",
        &[
            run.workspace.as_str().into(),
            run.pipeline.as_str().into(),
            step.into(),
            row.text("step_key")?.into(),
            result.into(),
            json!(outs).to_string().into(),
            run.run_id.as_str().into(),
            attempt.into(),
            ctx.now_us.into(),
        ],
    )?;
    run::settle(tx, ctx, &run.run_id)?;
    Ok(true)
}

/// The identity of what a step made. With outputs it is their content: a step that ran again and made the same leaves those
/// after it with nothing to do. Without, each execution is another.
fn result_of(run: &Run, step: &str, attempt: i64, outs: &BTreeMap<String, String>) -> String {
    if outs.is_empty() {
        return format!("{}/{step}/{attempt}", run.run_id);
    }
    let mut digest = kernel::digest::Builder::default();
    for (path, content) in outs {
        digest.piece(path.as_bytes()).piece(content.as_bytes());
    }
    digest.finish()
}

/// Marks a step skipped: it takes over the result it had.
pub(crate) fn skip(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, step: &str, cached: &Cached) -> Result<(), Error> {
    tx.execute(
        "UPDATE step_runs SET state = 'skipped', step_key = $3, result = $4, started_us = $5, ended_us = $5 \
         WHERE run_id = $1 AND step = $2 AND state = 'pending'",
        &[
            run_id.into(),
            step.into(),
            cached.step_key.as_str().into(),
            cached.result.as_str().into(),
            ctx.now_us.into(),
        ],
    )?;
    run::settle(tx, ctx, run_id)
}

/// How an attempt that did not succeed ended.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// For people.
    pub(crate) error: String,
    /// The exit code, if it exited.
    pub(crate) exit_code: Option<i64>,
    /// The failures that are still allowed after this many.
    pub(crate) retries: i64,
}

/// Records a failed attempt; returns how many there were if another one is allowed. Nothing happens when the attempt had lost
/// its claim.
pub(crate) fn fail(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    run_id: &str,
    step: &str,
    attempt: i64,
    failure: &Failure,
) -> Result<Option<i64>, Error> {
    let row = tx.query_opt(
        "UPDATE step_runs SET state = CASE WHEN failures < $4 THEN 'pending' ELSE 'failed' END, failures = failures + 1, \
         exit_code = $5, error = $6, ended_us = $7, pgid = NULL, pg_started = NULL \
         WHERE run_id = $1 AND step = $2 AND attempt = $3 AND state = 'running' RETURNING state, failures",
        &[
            run_id.into(),
            step.into(),
            attempt.into(),
            failure.retries.into(),
            failure.exit_code.into(),
            failure.error.as_str().into(),
            ctx.now_us.into(),
        ],
    )?;
    run::settle(tx, ctx, run_id)?;
    let Some(row) = row else { return Ok(None) };
    Ok((row.text("state")? == "pending").then(|| row.i64("failures")).transpose()?)
}

/// Fails a step that cannot even begin; further attempts would find the same.
pub(crate) fn fail_before(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, step: &str, error: &str) -> Result<(), Error> {
    tx.execute(
        "UPDATE step_runs SET state = 'failed', failures = failures + 1, error = $3, started_us = $4, ended_us = $4 \
         WHERE run_id = $1 AND step = $2 AND state = 'pending'",
        &[run_id.into(), step.into(), error.into(), ctx.now_us.into()],
    )?;
    run::settle(tx, ctx, run_id)
}

/// Ends an attempt that was stopped because its run was cancelled.
pub(crate) fn cancel(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, step: &str, attempt: i64) -> Result<(), Error> {
    tx.execute(
        "UPDATE step_runs SET state = 'cancelled', error = 'cancelled', ended_us = $4, pgid = NULL, pg_started = NULL \
         WHERE run_id = $1 AND step = $2 AND attempt = $3 AND state = 'running'",
        &[run_id.into(), step.into(), attempt.into(), ctx.now_us.into()],
    )?;
    run::settle(tx, ctx, run_id)
}

/// Marks what has not begun as never to begin.
pub(crate) fn give_up_pending(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, state: StepState) -> Result<(), Error> {
    tx.execute(
        "UPDATE step_runs SET state = $2, ended_us = $3 WHERE run_id = $1 AND state = 'pending'",
        &[run_id.into(), state.as_str().into(), ctx.now_us.into()],
    )?;
    Ok(())
}

/// Lets the running steps of a run wait again; their processes are gone. That is no failure of theirs.
pub(crate) fn put_back(tx: &mut Tx<'_>, run_id: &str) -> Result<(), Error> {
    tx.execute(
        "UPDATE step_runs SET state = 'pending', pgid = NULL, pg_started = NULL WHERE run_id = $1 AND state = 'running'",
        &[run_id.into()],
    )?;
    Ok(())
}

pub(crate) fn cached(tx: &mut Tx<'_>, run: &Run, step: &str) -> Result<Option<Cached>, Error> {
    let row = tx.query_opt(
        "SELECT step_key, result, outs FROM step_cache WHERE workspace = $1 AND pipeline = $2 AND step = $3",
        &[run.workspace.as_str().into(), run.pipeline.as_str().into(), step.into()],
    )?;
    let read = |row: Row| {
        let outs = serde_json::from_str(&row.text("outs")?)
            .map_err(|source| Error::Stored { what: "list of outputs", source })?;
        Ok(Cached { step_key: row.text("step_key")?, result: row.text("result")?, outs })
    };
    row.map(read).transpose()
}

fn from_row(row: &Row) -> Result<StepRun, Error> {
    let identity = match (row.opt_i64("pgid")?, row.opt_text("pg_started")?) {
        (Some(pgid), Some(started)) => Some(Identity { pgid, started }),
        _ => None,
    };
    Ok(StepRun {
        run_id: row.text("run_id")?,
        step: row.text("step")?,
        state: StepState::read(&row.text("state")?),
        attempt: row.i64("attempt")?,
        failures: row.i64("failures")?,
        step_key: row.opt_text("step_key")?,
        result: row.opt_text("result")?,
        identity,
        exit_code: row.opt_i64("exit_code")?,
        error: row.opt_text("error")?,
        started_us: row.opt_i64("started_us")?,
        ended_us: row.opt_i64("ended_us")?,
    })
}
