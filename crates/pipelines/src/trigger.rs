//! What starts pipelines without being asked. Whoever knows what happened says so here, in the transaction in which it knows:
//! the conductor hands on alerts, counts of labelled rows, and the time.
//!
//! Each trigger remembers when it last started a run, in event time, so that its cooldown means the same in a replay as in
//! life. A trigger does not start a run while one of its pipeline is under way.

use db::{Row, Tx};
use kernel::ctx::Ctx;
use serde::Serialize;
use serde_json::json;

use crate::definition::{Cause, Pipeline};
use crate::{Error, pipeline, run};

pub mod cron;

/// The memory of a trigger that has not started a run yet.
const NEVER_US: i64 = i64::MIN / 4;

/// An alert as triggers see it.
#[derive(Clone, Debug)]
pub struct Alert {
    /// The monitor that fired it.
    pub monitor: String,
    /// The rule of the monitor.
    pub rule: String,
    /// What tells this alert from all others; an alert handed in twice starts one run.
    pub key: String,
    /// False when it fires, true when it has fired before and is still on.
    pub still: bool,
    /// The event time at which it holds, microseconds since the epoch.
    pub at_us: i64,
    /// For the steps, as `RONDO_EVENT`.
    pub event: serde_json::Value,
}

/// What a trigger did about what happened.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Decision {
    /// The pipeline.
    pub pipeline: String,
    /// The trigger.
    pub trigger: String,
    /// What it did.
    pub outcome: Outcome,
}

/// What a trigger did.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It started a run, or found the one that it had started for the same cause.
    Started(run::Started),
    /// Its cooldown is not over before that event time.
    Cooling {
        /// Microseconds since the epoch.
        until_us: i64,
    },
    /// A run of the pipeline is under way.
    Busy,
}

/// Hands an alert to every trigger that waits for it: when it fires, and again from time to time while it is on.
pub fn on_alert(tx: &mut Tx<'_>, ctx: &Ctx, alert: &Alert) -> Result<Vec<Decision>, Error> {
    let mut decisions = Vec::new();
    for memory in memories(tx, ctx, "alert", &alert.monitor)? {
        let Some(Cause::Alert { rule, cooldown_us, repeat_us, .. }) = cause(tx, ctx, &memory)? else { continue };
        let wait_us =
            if alert.still { repeat_us.map(|repeat_us| repeat_us.max(cooldown_us)) } else { Some(cooldown_us) };
        let Some(wait_us) = wait_us.filter(|_| rule.is_none_or(|rule| rule == alert.rule)) else { continue };
        let does = if alert.still { "still fires" } else { "fired" };
        let start = run::Trigger {
            kind: "alert".to_owned(),
            name: memory.trigger.clone(),
            logical_key: format!("alert/{}/{}", memory.trigger, alert.key),
            reason: format!("monitor `{}` {does} `{}`", alert.monitor, alert.rule),
            at_us: alert.at_us,
            event: Some(alert.event.clone()),
            ..run::Trigger::default()
        };
        decisions.push(decide(tx, ctx, &memory, wait_us, memory.last_count, start)?);
    }
    Ok(decisions)
}

/// The deployments whose labelled rows some trigger waits for, sorted.
pub fn watched_deployments(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<String>, Error> {
    let rows = tx.query(
        "SELECT DISTINCT target FROM pipeline_triggers WHERE workspace = $1 AND kind = 'data' ORDER BY target",
        &[ctx.workspace.as_str().into()],
    )?;
    rows.iter().map(|row| Ok(row.text("target")?)).collect()
}

/// Says how many rows of a deployment have a known outcome by now (`at_us`, event time).
pub fn on_labelled_rows(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    deployment: &str,
    labelled_rows: i64,
    at_us: i64,
) -> Result<Vec<Decision>, Error> {
    let mut decisions = Vec::new();
    for memory in memories(tx, ctx, "data", deployment)? {
        let Some(Cause::Data { min_new_rows, cooldown_us, .. }) = cause(tx, ctx, &memory)? else { continue };
        let new_rows = labelled_rows - memory.last_count;
        if new_rows < min_new_rows {
            continue;
        }
        let start = run::Trigger {
            kind: "data".to_owned(),
            name: memory.trigger.clone(),
            logical_key: format!("data/{}/{labelled_rows}", memory.trigger),
            reason: format!("{new_rows} new labelled rows of deployment `{deployment}`"),
            at_us,
            event: Some(json!({ "deployment": deployment, "labelled_rows": labelled_rows, "new_rows": new_rows })),
            ..run::Trigger::default()
        };
        decisions.push(decide(tx, ctx, &memory, cooldown_us, labelled_rows, start)?);
    }
    Ok(decisions)
}

/// Starts what is due at `ctx.now_us`. However often a schedule came round while nobody looked, it is made up for once.
pub fn on_time(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Decision>, Error> {
    let mut decisions = Vec::new();
    for memory in memories(tx, ctx, "cron", "")? {
        let Some(schedule) = schedule(tx, ctx, &memory)? else { continue };
        let Some(due_us) = schedule.latest_us(ctx.now_us).filter(|due_us| *due_us > memory.last_at_us) else {
            continue;
        };
        let due = kernel::clock::rfc3339(due_us);
        let start = run::Trigger {
            kind: "cron".to_owned(),
            name: memory.trigger.clone(),
            logical_key: format!("cron/{}/{due}", memory.trigger),
            reason: format!("scheduled for {due}"),
            at_us: due_us,
            event: Some(json!({ "scheduled": due })),
            ..run::Trigger::default()
        };
        decisions.push(decide(tx, ctx, &memory, 0, 0, start)?);
    }
    Ok(decisions)
}

/// The next time at which [`on_time`] has something to do, if any schedule is stored.
pub fn next_time_us(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Option<i64>, Error> {
    let mut next: Option<i64> = None;
    for memory in memories(tx, ctx, "cron", "")? {
        let due_us = schedule(tx, ctx, &memory)?.and_then(|schedule| schedule.next_us(memory.last_at_us));
        next = [next, due_us].into_iter().flatten().min();
    }
    Ok(next)
}

/// Makes the stored memory fit the definition. A trigger that waits for the same thing as before keeps what it remembers; a
/// new one has never run, and a new schedule counts from now.
pub(crate) fn sync(tx: &mut Tx<'_>, ctx: &Ctx, pipeline: &Pipeline) -> Result<(), Error> {
    let old = tx.query(
        "SELECT name, kind, target FROM pipeline_triggers WHERE workspace = $1 AND pipeline = $2",
        &[ctx.workspace.as_str().into(), pipeline.name.as_str().into()],
    )?;
    for row in old {
        let (name, kind, target) = (row.text("name")?, row.text("kind")?, row.text("target")?);
        let same = |cause: &Cause| cause.kind() == kind && cause.target() == target;
        if !pipeline.trigger(&name).is_some_and(|trigger| same(&trigger.cause)) {
            tx.execute(
                "DELETE FROM pipeline_triggers WHERE workspace = $1 AND pipeline = $2 AND name = $3",
                &[ctx.workspace.as_str().into(), pipeline.name.as_str().into(), name.into()],
            )?;
        }
    }
    for trigger in &pipeline.triggers {
        let last_at_us = if matches!(trigger.cause, Cause::Cron { .. }) { ctx.now_us } else { NEVER_US };
        tx.execute(
            "INSERT INTO pipeline_triggers (workspace, pipeline, name, kind, target, last_at_us, last_count) \
             VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (workspace, pipeline, name) DO NOTHING",
            &[
                ctx.workspace.as_str().into(),
                pipeline.name.as_str().into(),
                trigger.name.as_str().into(),
                trigger.cause.kind().into(),
                trigger.cause.target().into(),
                last_at_us.into(),
            ],
        )?;
    }
    Ok(())
}

/// What a trigger remembers.
struct Memory {
    pipeline: String,
    trigger: String,
    last_at_us: i64,
    last_count: i64,
}

fn memories(tx: &mut Tx<'_>, ctx: &Ctx, kind: &str, target: &str) -> Result<Vec<Memory>, Error> {
    let rows = tx.query(
        "SELECT pipeline, name, last_at_us, last_count FROM pipeline_triggers \
         WHERE kind = $1 AND target = $2 AND workspace = $3 ORDER BY pipeline, name",
        &[kind.into(), target.into(), ctx.workspace.as_str().into()],
    )?;
    let read = |row: &Row| {
        Ok(Memory {
            pipeline: row.text("pipeline")?,
            trigger: row.text("name")?,
            last_at_us: row.i64("last_at_us")?,
            last_count: row.i64("last_count")?,
        })
    };
    rows.iter().map(read).collect()
}

fn cause(tx: &mut Tx<'_>, ctx: &Ctx, memory: &Memory) -> Result<Option<Cause>, Error> {
    let stored = pipeline::get(tx, ctx, &memory.pipeline)?;
    Ok(stored.pipeline.trigger(&memory.trigger).map(|trigger| trigger.cause.clone()))
}

fn schedule(tx: &mut Tx<'_>, ctx: &Ctx, memory: &Memory) -> Result<Option<cron::Schedule>, Error> {
    let Some(Cause::Cron { cron, timezone }) = cause(tx, ctx, memory)? else { return Ok(None) };
    Ok(cron::Schedule::parse(&cron, &timezone).ok())
}

/// Starts the run unless the trigger cools down or its pipeline is busy, and remembers it in the same transaction. The same
/// cause handed in again finds its run, cooldown or not.
fn decide(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    memory: &Memory,
    cooldown_us: i64,
    count: i64,
    start: run::Trigger,
) -> Result<Decision, Error> {
    let decision = |outcome| Decision { pipeline: memory.pipeline.clone(), trigger: memory.trigger.clone(), outcome };
    if let Some(run_id) = run::find(tx, ctx, &memory.pipeline, &start.logical_key)? {
        return Ok(decision(Outcome::Started(run::Started { run_id, fresh: false })));
    }
    let until_us = memory.last_at_us.saturating_add(cooldown_us);
    if start.at_us < until_us {
        return Ok(decision(Outcome::Cooling { until_us }));
    }
    if run::is_busy(tx, ctx, &memory.pipeline)? {
        return Ok(decision(Outcome::Busy));
    }
    let started = run::start(tx, ctx, &memory.pipeline, &start)?;
    tx.execute(
        "UPDATE pipeline_triggers SET last_at_us = $4, last_count = $5, last_run_id = $6 \
         WHERE workspace = $1 AND pipeline = $2 AND name = $3",
        &[
            ctx.workspace.as_str().into(),
            memory.pipeline.as_str().into(),
            memory.trigger.as_str().into(),
            start.at_us.into(),
            count.into(),
            started.run_id.as_str().into(),
        ],
    )?;
    Ok(decision(Outcome::Started(started)))
}
