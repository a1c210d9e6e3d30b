//! Monitors look at the windows that have closed.
//!
//! A window is compared with the reference of the version that answered most of it. Its report and the alerts that follow from it
//! are written in one transaction, under the window's own key, so that a crash between evaluation and commit only repeats the
//! evaluation.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::task::Shutdown;
use monitoring::monitor::Monitor;
use monitoring::window::{self, Due};
use telemetry::{Rows, Scan, Watermark};

use crate::{Error, House, schedule};

const IDLE: Duration = Duration::from_secs(1);

/// Looks after all monitors until the shutdown.
pub(crate) async fn run(house: &House, mut shutdown: Shutdown) {
    loop {
        let nudged = house.nudged();
        match round(house).await {
            Ok(0) => {}
            Ok(_) => house.nudge(),
            Err(error) => tracing::error!(%error, "monitors cannot be evaluated and will be tried again"),
        }
        tokio::select! {
            () = shutdown.wait() => return,
            () = nudged => {}
            () = tokio::time::sleep(IDLE) => {}
        }
    }
}

/// Evaluates every window that is due, in every workspace; returns how many.
pub async fn round(house: &House) -> Result<usize, Error> {
    let mut evaluated = 0;
    for house in house.all().await? {
        evaluated += round_of_one(&house).await?;
    }
    Ok(evaluated)
}

async fn round_of_one(house: &House) -> Result<usize, Error> {
    let ctx = house.conductor_ctx();
    let monitors = house.db.read(move |tx| Ok::<_, Error>(monitoring::monitor::list(tx, &ctx)?)).await?;
    let mut evaluated = 0;
    for monitor in monitors {
        let mark = house.log.watermark(&monitor.deployment);
        let (ctx, asked) = (house.conductor_ctx(), monitor.clone());
        let due = house.db.read(move |tx| due(tx, &ctx, &asked, mark)).await?;
        for window in due {
            // one monitor that cannot be evaluated does not hold up the others
            if let Err(error) = evaluate(house, &monitor, window).await {
                tracing::error!(monitor.name, %error, "a window cannot be evaluated and will be tried again");
                break;
            }
            evaluated += 1;
        }
    }
    Ok(evaluated)
}

/// The windows of a monitor that are closed by this watermark and not yet recorded.
pub(crate) fn due(
    tx: &mut db::Tx<'_>,
    ctx: &kernel::ctx::Ctx,
    monitor: &Monitor,
    mark: Watermark,
) -> Result<Vec<Due>, Error> {
    let assumed_us = mark.max_event_us.map(|at| at - monitor.lateness_us);
    let Some(now_us) = mark.declared_us.into_iter().chain(assumed_us).max() else { return Ok(Vec::new()) };
    Ok(window::next_due(tx, ctx, monitor, now_us)?)
}

async fn evaluate(house: &House, monitor: &Monitor, due: Due) -> Result<(), Error> {
    let scan = Scan {
        deployment: monitor.deployment.clone(),
        from_us: due.from_us,
        until_us: due.until_us,
        version: None,
        as_of_us: Some(due.as_of_us),
        labelled_only: false,
        newest: None,
    };
    let rows = house.log.scan(scan).await?;
    let reference = match busiest_version(&rows) {
        Some(version) => {
            let (ctx, deployment) = (house.conductor_ctx(), monitor.deployment.clone());
            house.db.read(move |tx| reference(tx, &ctx, &deployment, &version)).await?
        }
        None => None,
    };
    let (asked, at) = (monitor.clone(), due);
    let work = move || window::evaluate(&asked, reference.as_ref(), &rows, &at);
    let report = tokio::task::spawn_blocking(work).await?;
    let (ctx, monitor) = (house.conductor_ctx(), monitor.clone());
    house
        .db
        .write(move |tx| {
            // a definition that was changed or deleted meanwhile must not raise an alert any more
            if monitoring::monitor::find(tx, &ctx, &monitor.name)?.as_ref() != Some(&monitor) {
                return Ok(());
            }
            if window::record(tx, &ctx, &report)? {
                monitoring::alert::step(tx, &ctx, &monitor, &report)?;
                schedule::while_on(tx, &ctx, &report)?;
            }
            Ok(())
        })
        .await
}

fn reference(
    tx: &mut db::Tx<'_>,
    ctx: &kernel::ctx::Ctx,
    deployment: &str,
    version: &str,
) -> Result<Option<monitoring::profile::Profile>, Error> {
    let Some(deployment) = serving::deployment::find(tx, ctx, deployment)? else { return Ok(None) };
    Ok(monitoring::reference::get(tx, ctx, &deployment.model, version)?)
}

/// The version that answered most rows; the newer one of equals.
fn busiest_version(rows: &Rows) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for version in &rows.versions {
        *counts.entry(version).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(version, _)| version.to_owned())
}
