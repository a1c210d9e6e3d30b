//! Whether the loop has anything left to do.

use db::{Tx, events};
use kernel::ctx::Ctx;
use serde::Serialize;
use telemetry::Watermark;

use crate::{Error, House, job, reaction, watch};

/// What waits.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Status {
    /// True when everything that happened so far has had all its consequences. Not looked at: webhooks that are still to be
    /// called, and triggers on the clock or on labelled rows, which the scheduler looks at once a second.
    pub idle: bool,
    /// What is left, in words.
    pub pending: Vec<String>,
}

/// Looks at cursors, jobs, pipeline runs and windows in one snapshot: each step of a chain is written with the end of the one
/// before, so a chain in progress always shows somewhere.
pub async fn of(house: &House) -> Result<Status, Error> {
    let ctx = house.conductor_ctx();
    let marks: Vec<(String, Watermark)> =
        house.log.deployments().into_iter().map(|name| (name.clone(), house.log.watermark(&name))).collect();
    let pending = house.db.read(move |tx| pending(tx, &ctx, &marks)).await?;
    Ok(Status { idle: pending.is_empty(), pending })
}

fn pending(tx: &mut Tx<'_>, ctx: &Ctx, marks: &[(String, Watermark)]) -> Result<Vec<String>, Error> {
    let mut pending = Vec::new();
    let head = events::head(tx)?;
    for reaction in &reaction::TABLE {
        let behind = head - events::cursor(tx, reaction.name)?;
        if behind > 0 {
            pending.push(format!("{} has {behind} events to look at", reaction.name));
        }
    }
    pending.extend(job::waiting(tx, ctx)?.into_iter().map(|key| format!("job {key}")));
    for run in pipelines::run::unfinished(tx, ctx)? {
        pending.push(format!("pipeline {} is running", run.pipeline));
    }
    for monitor in monitoring::monitor::list(tx, ctx)? {
        let Some((_, mark)) = marks.iter().find(|(name, _)| *name == monitor.deployment) else { continue };
        let windows = watch::due(tx, ctx, &monitor, *mark)?.len();
        if windows > 0 {
            pending.push(format!("monitor {} has {windows} windows to look at", monitor.name));
        }
    }
    Ok(pending)
}
