//! Windows: which are due, what was found in them. Evaluation itself is pure and lives in [`evaluate`].

use db::{Row, Sql, Tx};
use kernel::ctx::Ctx;
use serde::{Deserialize, Serialize};

use crate::Error;
pub use crate::evaluate::evaluate;
use crate::monitor::Monitor;
use crate::report::Kind;
pub use crate::report::WindowReport;

/// At most this many windows are handed out at once.
const BATCH: usize = 64;

/// A window that has closed and is not recorded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// Start, event time, inclusive.
    pub from_us: i64,
    /// End, event time, exclusive.
    pub until_us: i64,
    /// Outcomes observed later than this are not counted.
    pub as_of_us: i64,
    /// Which part of the story is due.
    pub kind: Kind,
}

/// The windows that are closed at `now_us` (event time: everything before it has arrived) and not recorded, oldest first, at most
/// 64. Drift is due when the window closes, quality when its outcomes have had [`Monitor::outcome_delay_us`] more.
pub fn next_due(tx: &mut Tx<'_>, ctx: &Ctx, monitor: &Monitor, now_us: i64) -> Result<Vec<Due>, Error> {
    let drift_until = recorded_until(tx, ctx, &monitor.name, Kind::Drift)?;
    let mature_until = recorded_until(tx, ctx, &monitor.name, Kind::Mature)?;
    // the first window that starts at or after an instant: also where the length of the windows was changed, none overlaps
    let from = |at_us: i64| monitor.window_of(at_us - 1) + monitor.window_us;
    let first = match monitor.start_us {
        Some(start) => from(start),
        None => first_start(tx, ctx, &monitor.name)?.unwrap_or(monitor.window_of(now_us) - monitor.window_us),
    };
    let mut due = Vec::new();
    for (kind, recorded_until, delay_us) in
        [(Kind::Drift, drift_until, 0), (Kind::Mature, mature_until, monitor.outcome_delay_us)]
    {
        let mut from_us = recorded_until.map_or(first, from);
        while from_us + monitor.window_us + delay_us <= now_us && due.len() < 2 * BATCH {
            let until_us = from_us + monitor.window_us;
            due.push(Due { from_us, until_us, as_of_us: until_us + delay_us, kind });
            from_us = until_us;
        }
    }
    due.sort_by_key(|due| (due.as_of_us, due.from_us, due.kind == Kind::Mature));
    due.truncate(BATCH);
    Ok(due)
}

fn recorded_until(tx: &mut Tx<'_>, ctx: &Ctx, monitor: &str, kind: Kind) -> Result<Option<i64>, Error> {
    let row = tx.query_opt(
        "SELECT max(until_us) AS until_us FROM monitor_windows WHERE workspace = $1 AND monitor = $2 AND kind = $3",
        &[ctx.workspace.as_str().into(), monitor.into(), kind.as_str().into()],
    )?;
    Ok(row.map(|row| row.opt_i64("until_us")).transpose()?.flatten())
}

fn first_start(tx: &mut Tx<'_>, ctx: &Ctx, monitor: &str) -> Result<Option<i64>, Error> {
    let row = tx.query_opt(
        "SELECT min(from_us) AS from_us FROM monitor_windows WHERE workspace = $1 AND monitor = $2",
        &[ctx.workspace.as_str().into(), monitor.into()],
    )?;
    Ok(row.map(|row| row.opt_i64("from_us")).transpose()?.flatten())
}

/// Records a report; false if this part of this window is recorded already, and then nothing is changed.
pub fn record(tx: &mut Tx<'_>, ctx: &Ctx, report: &WindowReport) -> Result<bool, Error> {
    let text = serde_json::to_string(report)
        .map_err(|source| Error::Stored { what: format!("a window of monitor `{}`", report.monitor), source })?;
    let version = report.reference.as_ref().map(|subject| subject.version.clone());
    let version = version.or_else(|| report.dominant_version().map(ToOwned::to_owned));
    let fresh = tx.execute(
        "INSERT INTO monitor_windows
         (workspace, monitor, from_us, kind, until_us, as_of_us, deployment, version, n_rows, outcomes, report, recorded_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (workspace, monitor, kind, from_us) DO NOTHING",
        &[
            ctx.workspace.as_str().into(),
            report.monitor.as_str().into(),
            report.from_us.into(),
            report.kind.as_str().into(),
            report.until_us.into(),
            report.as_of_us.into(),
            report.deployment.as_str().into(),
            version.into(),
            (report.n as i64).into(),
            (report.outcomes as i64).into(),
            text.into(),
            ctx.now_us.into(),
        ],
    )?;
    Ok(fresh > 0)
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Only this part of the story.
    pub kind: Option<Kind>,
    /// Only windows that start at or after this.
    pub from_us: Option<i64>,
    /// Only windows that start before this.
    pub until_us: Option<i64>,
    /// At most so many, the newest.
    pub newest: Option<usize>,
}

/// Reports of a monitor, oldest first.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx, monitor: &str, listing: &Listing) -> Result<Vec<WindowReport>, Error> {
    let mut sql = Sql::new();
    sql.push("SELECT report FROM monitor_windows WHERE workspace = ").bind(ctx.workspace.as_str());
    sql.push(" AND monitor = ").bind(monitor);
    if let Some(kind) = listing.kind {
        sql.push(" AND kind = ").bind(kind.as_str());
    }
    if let Some(from_us) = listing.from_us {
        sql.push(" AND from_us >= ").bind(from_us);
    }
    if let Some(until_us) = listing.until_us {
        sql.push(" AND from_us < ").bind(until_us);
    }
    sql.push(" ORDER BY from_us DESC, kind DESC LIMIT ").bind(listing.newest.unwrap_or(10_000) as i64);
    let rows = tx.query_built(&sql)?;
    rows.iter().rev().map(|row| read(row, monitor)).collect()
}

/// The newest report of a kind.
pub fn last(tx: &mut Tx<'_>, ctx: &Ctx, monitor: &str, kind: Kind) -> Result<Option<WindowReport>, Error> {
    let listing = Listing { kind: Some(kind), newest: Some(1), ..Listing::default() };
    Ok(list(tx, ctx, monitor, &listing)?.pop())
}

/// The first window with final quality whose reference is that of a version.
pub(crate) fn first_mature(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    monitor: &str,
    version: &str,
    before_us: i64,
) -> Result<Vec<WindowReport>, Error> {
    let rows = tx.query(
        "SELECT report FROM monitor_windows
         WHERE workspace = $1 AND monitor = $2 AND kind = 'mature' AND version = $3 AND from_us < $4 AND outcomes > 0
         ORDER BY from_us LIMIT 8",
        &[ctx.workspace.as_str().into(), monitor.into(), version.into(), before_us.into()],
    )?;
    rows.iter().map(|row| read(row, monitor)).collect()
}

fn read(row: &Row, monitor: &str) -> Result<WindowReport, Error> {
    serde_json::from_str(&row.text("report")?)
        .map_err(|source| Error::Stored { what: format!("a window of monitor `{monitor}`"), source })
}
