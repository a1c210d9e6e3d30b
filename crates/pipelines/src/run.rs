//! Runs of pipelines: started under a key, looked at, cancelled, and settled when their steps are done.

use std::collections::BTreeMap;

use db::{Row, Tx};
use kernel::ctx::{Ctx, Principal};
use kernel::event::{NewEvent, kind};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::definition::{self, Pipeline};
use crate::step::{self, StepRun, StepState};
use crate::{Error, pipeline};

/// Why a run is started, and with what.
#[derive(Clone, Debug, Default)]
pub struct Trigger {
    /// `manual`, `cron`, `data` or `alert`.
    pub kind: String,
    /// The name of the trigger in the definition; empty when a person asks.
    pub name: String,
    /// What makes the cause one: starting again under the same key gives the run there is.
    pub logical_key: String,
    /// For people.
    pub reason: String,
    /// The time that the run is about (event time), which need not be now.
    pub at_us: i64,
    /// Values of parameters, in place of those in the definition.
    pub params: BTreeMap<String, String>,
    /// More environment variables for all steps.
    pub env: BTreeMap<String, String>,
    /// What happened; steps find it in `RONDO_EVENT`.
    pub event: Option<serde_json::Value>,
}

/// The answer to a start.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Started {
    /// The run.
    pub run_id: String,
    /// False when a run under that key was there already.
    pub fresh: bool,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Waits for its turn.
    Pending,
    /// Its steps run.
    Running,
    /// All steps succeeded or were skipped.
    Succeeded,
    /// A step failed.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl RunState {
    /// The word for it in stored rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// True when nothing will change any more.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    fn read(text: &str) -> Self {
        match text {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "succeeded" => Self::Succeeded,
            "cancelled" => Self::Cancelled,
            _ => Self::Failed,
        }
    }
}

/// A run as stored.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Its id.
    pub run_id: String,
    /// Its workspace.
    #[serde(skip)]
    pub workspace: String,
    /// Its pipeline.
    pub pipeline: String,
    /// `manual`, `cron`, `data` or `alert`.
    pub trigger_kind: String,
    /// The trigger's name; empty when a person asked.
    pub trigger_name: String,
    /// What makes its cause one.
    pub logical_key: String,
    /// Why it was started.
    pub reason: String,
    /// The time that the run is about, microseconds since the epoch.
    pub at_us: i64,
    /// Values given for parameters.
    pub params: BTreeMap<String, String>,
    /// Environment variables given.
    #[serde(skip)]
    pub env: BTreeMap<String, String>,
    /// What happened, or null.
    pub event: serde_json::Value,
    /// The text of the definition as it was at the start.
    #[serde(skip)]
    pub definition: String,
    /// The folder in which its steps run.
    pub dir: String,
    /// How far it is.
    pub state: RunState,
    /// Why it failed.
    pub error: Option<String>,
    /// Somebody asked to stop it.
    pub cancel_requested: bool,
    /// When it was asked for.
    pub created_us: i64,
    /// When its first step could begin.
    pub started_us: Option<i64>,
    /// When it ended.
    pub ended_us: Option<i64>,
}

/// Starts a run of a pipeline, or finds the one that was started under the same key. The run is worked off by the
/// [`crate::Executor`] once the transaction has committed.
pub fn start(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, trigger: &Trigger) -> Result<Started, Error> {
    let stored = pipeline::get(tx, ctx, name)?;
    check(&stored.pipeline, trigger)?;
    let run_id = kernel::id::new();
    let event = trigger.event.as_ref().unwrap_or(&serde_json::Value::Null).to_string();
    let inserted = tx.execute(
        "INSERT INTO pipeline_runs (run_id, workspace, pipeline, trigger_kind, trigger_name, logical_key, reason, at_us, params, \
         env, event, definition, dir, state, cancel_requested, created_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'pending', $14, $15) \
         ON CONFLICT (workspace, pipeline, logical_key) DO NOTHING",
        &[
            run_id.as_str().into(),
            ctx.workspace.as_str().into(),
            name.into(),
            trigger.kind.as_str().into(),
            trigger.name.as_str().into(),
            trigger.logical_key.as_str().into(),
            trigger.reason.as_str().into(),
            trigger.at_us.into(),
            json!(trigger.params).to_string().into(),
            json!(trigger.env).to_string().into(),
            event.into(),
            stored.definition.as_str().into(),
            stored.dir.as_str().into(),
            false.into(),
            ctx.now_us.into(),
        ],
    )?;
    if inserted == 0 {
        let found = find(tx, ctx, name, &trigger.logical_key)?;
        let run_id = found.ok_or_else(|| Error::NoRun(trigger.logical_key.clone()))?;
        return Ok(Started { run_id, fresh: false });
    }
    step::create(tx, &run_id, &stored.pipeline)?;
    let payload = json!({
        "run_id": run_id, "trigger": trigger.kind, "trigger_name": trigger.name, "reason": trigger.reason,
        "at_us": trigger.at_us,
    });
    emit(tx, ctx, kind::PIPELINE_STARTED, &stored.pipeline, payload)?;
    Ok(Started { run_id, fresh: true })
}

fn check(pipeline: &Pipeline, trigger: &Trigger) -> Result<(), Error> {
    let known = pipeline.params();
    if let Some(param) = trigger.params.keys().find(|param| !known.contains(param)) {
        return Err(Error::NoParam { pipeline: pipeline.name.clone(), param: param.clone(), known });
    }
    let allowed = |name: &str| definition::is_variable(name) && !name.starts_with("RONDO_");
    match trigger.env.keys().find(|name| !allowed(name)) {
        Some(name) => Err(Error::EnvName(name.clone())),
        None => Ok(()),
    }
}

/// The run that was started under a key.
pub(crate) fn find(tx: &mut Tx<'_>, ctx: &Ctx, pipeline: &str, key: &str) -> Result<Option<String>, Error> {
    let row = tx.query_opt(
        "SELECT run_id FROM pipeline_runs WHERE workspace = $1 AND pipeline = $2 AND logical_key = $3",
        &[ctx.workspace.as_str().into(), pipeline.into(), key.into()],
    )?;
    Ok(row.map(|row| row.text("run_id")).transpose()?)
}

/// The run of that id.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str) -> Result<Run, Error> {
    let row = tx.query_opt(
        "SELECT * FROM pipeline_runs WHERE workspace = $1 AND run_id = $2",
        &[ctx.workspace.as_str().into(), run_id.into()],
    )?;
    from_row(&row.ok_or_else(|| Error::NoRun(run_id.to_owned()))?)
}

/// The steps of a run, each after those it waits for.
pub fn steps(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str) -> Result<Vec<StepRun>, Error> {
    get(tx, ctx, run_id)?;
    step::of_run(tx, run_id)
}

/// The newest runs of a pipeline, newest first.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx, pipeline: &str, limit: i64) -> Result<Vec<Run>, Error> {
    pipeline::get(tx, ctx, pipeline)?;
    let rows = tx.query(
        "SELECT * FROM pipeline_runs WHERE workspace = $1 AND pipeline = $2 ORDER BY created_us DESC, run_id DESC LIMIT $3",
        &[ctx.workspace.as_str().into(), pipeline.into(), limit.into()],
    )?;
    rows.iter().map(from_row).collect()
}

/// The runs of all pipelines that have not ended, oldest first.
pub fn unfinished(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Run>, Error> {
    let rows = tx.query(
        "SELECT * FROM pipeline_runs WHERE workspace = $1 AND state IN ('pending', 'running') ORDER BY created_us, run_id",
        &[ctx.workspace.as_str().into()],
    )?;
    rows.iter().map(from_row).collect()
}

/// True while a run of the pipeline has not ended.
pub(crate) fn is_busy(tx: &mut Tx<'_>, ctx: &Ctx, pipeline: &str) -> Result<bool, Error> {
    let row = tx.query_opt(
        "SELECT run_id FROM pipeline_runs WHERE workspace = $1 AND pipeline = $2 AND state IN ('pending', 'running') LIMIT 1",
        &[ctx.workspace.as_str().into(), pipeline.into()],
    )?;
    Ok(row.is_some())
}

/// Makes this transaction the only one that changes the run and its steps until it ends. Each that does takes this lock first:
/// of two that end the last two steps side by side, the second must see what the first did.
pub(crate) fn lock(tx: &mut Tx<'_>, run_id: &str) -> Result<(), Error> {
    tx.execute("UPDATE pipeline_runs SET state = state WHERE run_id = $1", &[run_id.into()])?;
    Ok(())
}

/// Asks to stop a run. A run that has not begun ends at once; one that has ends when its steps have ended.
pub fn cancel(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str) -> Result<Run, Error> {
    lock(tx, run_id)?;
    let run = get(tx, ctx, run_id)?;
    if run.state.has_ended() {
        return Err(Error::Ended { run_id: run_id.to_owned(), state: run.state.as_str().to_owned() });
    }
    tx.execute(
        "UPDATE pipeline_runs SET cancel_requested = $2, error = $3 WHERE run_id = $1",
        &[run_id.into(), true.into(), format!("cancelled by {}", ctx.principal).into()],
    )?;
    settle(tx, ctx, run_id)?;
    get(tx, ctx, run_id)
}

/// Ends a run whose steps leave nothing to do: called at the end of each transaction that ends a step. A failed step, or a
/// wish to cancel, keeps the steps that have not begun from beginning; those that run are waited for.
pub(crate) fn settle(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str) -> Result<(), Error> {
    let run = get(tx, ctx, run_id)?;
    let mut steps = step::of_run(tx, run_id)?;
    let failed = steps.iter().find(|step| step.state == StepState::Failed).cloned();
    if run.cancel_requested || failed.is_some() {
        step::give_up_pending(
            tx,
            ctx,
            run_id,
            if failed.is_some() { StepState::Blocked } else { StepState::Cancelled },
        )?;
        steps = step::of_run(tx, run_id)?;
    }
    if run.state.has_ended() || !steps.iter().all(|step| step.state.has_ended()) {
        return Ok(());
    }
    let (state, error, name) = match &failed {
        Some(step) => (RunState::Failed, step.error.clone(), kind::PIPELINE_FAILED),
        None if run.cancel_requested => (RunState::Cancelled, run.error.clone(), kind::PIPELINE_FAILED),
        None => (RunState::Succeeded, None, kind::PIPELINE_SUCCEEDED),
    };
    tx.execute(
        "UPDATE pipeline_runs SET state = $2, error = $3, ended_us = $4 WHERE run_id = $1",
        &[run_id.into(), state.as_str().into(), error.clone().into(), ctx.now_us.into()],
    )?;
    let payload = if state == RunState::Succeeded {
        let states: BTreeMap<&str, &str> = steps.iter().map(|step| (step.step.as_str(), step.state.as_str())).collect();
        json!({ "run_id": run_id, "steps": states })
    } else {
        json!({ "run_id": run_id, "step": failed.map(|step| step.step), "reason": error })
    };
    emit(tx, ctx, name, &definition::parse(&run.definition)?, payload)
}

/// Takes the oldest waiting run of a pipeline of which no run is under way, and marks it running.
pub(crate) fn take(tx: &mut Tx<'_>, now_us: i64) -> Result<Option<Run>, Error> {
    let row = tx.query_opt(
        "SELECT * FROM pipeline_runs AS waiting WHERE state = 'pending' AND NOT EXISTS (SELECT 1 FROM pipeline_runs AS other \
         WHERE other.state = 'running' AND other.workspace = waiting.workspace AND other.pipeline = waiting.pipeline) \
         ORDER BY created_us, run_id LIMIT 1",
        &[],
    )?;
    let Some(row) = row else { return Ok(None) };
    let mut run = from_row(&row)?;
    run.state = RunState::Running;
    run.started_us = run.started_us.or(Some(now_us));
    tx.execute(
        "UPDATE pipeline_runs SET state = 'running', started_us = $2 WHERE run_id = $1 AND state = 'pending'",
        &[run.run_id.as_str().into(), run.started_us.into()],
    )?;
    Ok(Some(run))
}

/// True if any run waits, whether its turn has come or not.
pub(crate) fn any_waiting(tx: &mut Tx<'_>) -> Result<bool, Error> {
    Ok(tx.query_opt("SELECT run_id FROM pipeline_runs WHERE state = 'pending' LIMIT 1", &[])?.is_some())
}

/// Puts a run back to wait for its turn, with its running steps, whose processes are gone. One that is to be cancelled ends.
pub(crate) fn put_back(tx: &mut Tx<'_>, run_id: &str, now_us: i64) -> Result<(), Error> {
    lock(tx, run_id)?;
    step::put_back(tx, run_id)?;
    let row = tx.query_opt(
        "UPDATE pipeline_runs SET state = 'pending' WHERE run_id = $1 AND state = 'running' RETURNING workspace",
        &[run_id.into()],
    )?;
    let Some(row) = row else { return Ok(()) };
    let ctx = Ctx { principal: Principal::System("executor"), workspace: row.text("workspace")?, now_us };
    settle(tx, &ctx, run_id)
}

/// The ids of all runs marked running, in every workspace.
pub(crate) fn marked_running(tx: &mut Tx<'_>) -> Result<Vec<String>, Error> {
    let rows = tx.query("SELECT run_id FROM pipeline_runs WHERE state = 'running' ORDER BY created_us, run_id", &[])?;
    rows.iter().map(|row| Ok(row.text("run_id")?)).collect()
}

/// The context in which the executor works on a run.
pub(crate) fn executor_ctx(run: &Run, now_us: i64) -> Ctx {
    Ctx { principal: Principal::System("executor"), workspace: run.workspace.clone(), now_us }
}

fn emit(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    kind: &'static str,
    pipeline: &Pipeline,
    payload: serde_json::Value,
) -> Result<(), Error> {
    let subject = format!("pipeline/{}", pipeline.name);
    db::events::emit(tx, ctx, NewEvent { kind, subject, model: pipeline.model.clone(), payload })?;
    Ok(())
}

fn from_row(row: &Row) -> Result<Run, Error> {
    let json = |what| move |source| Error::Stored { what, source };
    Ok(Run {
        run_id: row.text("run_id")?,
        workspace: row.text("workspace")?,
        pipeline: row.text("pipeline")?,
        trigger_kind: row.text("trigger_kind")?,
        trigger_name: row.text("trigger_name")?,
        logical_key: row.text("logical_key")?,
        reason: row.text("reason")?,
        at_us: row.i64("at_us")?,
        params: serde_json::from_str(&row.text("params")?).map_err(json("set of parameters"))?,
        env: serde_json::from_str(&row.text("env")?).map_err(json("environment"))?,
        event: serde_json::from_str(&row.text("event")?).map_err(json("event"))?,
        definition: row.text("definition")?,
        dir: row.text("dir")?,
        state: RunState::read(&row.text("state")?),
        error: row.opt_text("error")?,
        cancel_requested: row.bool("cancel_requested")?,
        created_us: row.i64("created_us")?,
        started_us: row.opt_i64("started_us")?,
        ended_us: row.opt_i64("ended_us")?,
    })
}
