//! Batches of many different metrics, as a training loop logs them at every step. Its points would be as many rows of latest points
//! and as many narrow rows, so the batch is kept as it came, as one row, and waits: until the run has 64 such rows, until it
//! ends, until nothing came for a while, or until a search asks for metrics. Then the points of all its batches are settled together:
//! one row moves for each metric, and its points are one block.
//!
//! Nobody sees from outside which points wait: whoever reads a run or a history adds them.
//!
//! The bytes: a version, then for each metric the length of its key, the key, the length of its points and the points (`block.rs`).

use std::collections::BTreeMap;

use db::{Row, Tx};
use kernel::ctx::Ctx;

use super::points::Point;
use super::{Metric, block, rank};
use crate::Error;
use crate::run::{Run, fill_rows};

const VERSION: u8 = 1;

/// From so many different metrics on, a batch waits.
const WIDE: usize = 32;
/// So many batches of a run wait at most.
const MOST: i64 = 64;

/// Metrics by key, or `None` if there are too few different ones to wait.
pub(super) fn if_wide(metrics: &[Metric]) -> Option<Vec<&Metric>> {
    let wide = |changes: usize| changes >= WIDE;
    if !wide(metrics.chunk_by(|one, other| one.key == other.key).count()) {
        return None;
    }
    let mut by_key: Vec<&Metric> = metrics.iter().collect();
    by_key.sort_by(|one, other| one.key.cmp(&other.key));
    wide(by_key.chunk_by(|one, other| one.key == other.key).count()).then_some(by_key)
}

/// Lets a batch wait; its points are sorted by key.
pub(super) fn put(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, by_key: &[&Metric]) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO metric_waiting (run_id, batch, logged_ms, points) VALUES ($1, $2, $3, $4)",
        &[run_id.into(), kernel::id::new().into(), ctx.now_ms().into(), encode(by_key).as_slice().into()],
    )?;
    let waiting = "SELECT COUNT(*) AS batches FROM metric_waiting WHERE run_id = $1";
    let batches = tx.query_opt(waiting, &[run_id.into()])?.map_or(Ok(0), |row| row.i64("batches"))?;
    if batches >= MOST { settle(tx, run_id) } else { Ok(()) }
}

/// Settles what waits of a run.
pub(crate) fn settle(tx: &mut Tx<'_>, run_id: &str) -> Result<(), Error> {
    let rows = tx.query(
        "SELECT w.batch, w.points, r.experiment_id FROM metric_waiting w JOIN runs r ON r.run_id = w.run_id
         WHERE w.run_id = $1",
        &[run_id.into()],
    )?;
    let Some(first) = rows.first() else { return Ok(()) };
    let experiment = first.i64("experiment_id")?;
    let mut metrics = Vec::new();
    for (key, points) in merged(&rows)? {
        metrics.extend(points.into_iter().map(|point| Metric::at(&key, &point)));
    }
    super::put_settled(tx, experiment, run_id, &metrics)?;
    // One by one: another server may have added a batch meanwhile.
    for row in &rows {
        let batch = row.text("batch")?;
        tx.execute("DELETE FROM metric_waiting WHERE run_id = $1 AND batch = $2", &[run_id.into(), batch.into()])?;
    }
    Ok(())
}

/// Settles runs whose last batch came at or before an instant, in milliseconds since the epoch; returns how many, `limit` at most.
pub fn settle_quiet(tx: &mut Tx<'_>, until_ms: i64, limit: i64) -> Result<usize, Error> {
    let rows = tx.query(
        "SELECT run_id FROM metric_waiting GROUP BY run_id HAVING MAX(logged_ms) <= $1 ORDER BY run_id LIMIT $2",
        &[until_ms.into(), limit.into()],
    )?;
    settle_each(tx, &rows)
}

/// Whether anything waits.
pub fn is_any_waiting(tx: &mut Tx<'_>) -> Result<bool, Error> {
    Ok(tx.query_opt("SELECT 1 AS one FROM metric_waiting LIMIT 1", &[])?.is_some())
}

/// The runs of some experiments of which something waits.
pub(crate) fn of_experiments(tx: &mut Tx<'_>, experiments: &[i64]) -> Result<Vec<Row>, Error> {
    let mut sql = db::Sql::new();
    sql.push("SELECT DISTINCT w.run_id FROM metric_waiting w JOIN runs r ON r.run_id = w.run_id");
    sql.push(" WHERE r.experiment_id IN ").bind_list(experiments.iter().copied());
    Ok(tx.query_built(sql.push(" ORDER BY w.run_id"))?)
}

/// Settles the runs of these rows.
pub(crate) fn settle_each(tx: &mut Tx<'_>, rows: &[Row]) -> Result<usize, Error> {
    for row in rows {
        settle(tx, row.str("run_id")?)?;
    }
    Ok(rows.len())
}

/// What waits of one metric of a run.
pub(super) fn of_metric(tx: &mut Tx<'_>, run_id: &str, key: &str) -> Result<Vec<Point>, Error> {
    let mut points = Vec::new();
    for row in tx.query("SELECT points FROM metric_waiting WHERE run_id = $1", &[run_id.into()])? {
        each(
            &row.bytes("points")?,
            |found, bytes| {
                if found == key { block::decode(bytes, &mut points) } else { Some(()) }
            },
        )?;
    }
    Ok(points)
}

/// Moves the latest points of runs forward to what waits of them.
pub(crate) fn add_latest(tx: &mut Tx<'_>, ids: &[String], runs: &mut [Run]) -> Result<(), Error> {
    let rows = fill_rows(tx, "SELECT run_id, points FROM metric_waiting WHERE run_id IN ", ids, "")?;
    for of_run in rows.chunk_by(|one, other| one.str("run_id").ok() == other.str("run_id").ok()) {
        let Some(run_id) = of_run.first().map(|row| row.text("run_id")).transpose()? else { continue };
        let Some(run) = runs.iter_mut().find(|run| run.info.run_id == run_id) else { continue };
        let latest = std::mem::take(&mut run.metrics).into_iter();
        let mut latest: BTreeMap<String, Metric> = latest.map(|metric| (metric.key.clone(), metric)).collect();
        for (key, points) in merged(of_run)? {
            for waiting in points.into_iter().map(|point| Metric::at(&key, &point)) {
                match latest.get_mut(&key) {
                    Some(kept) if rank(&waiting) <= rank(kept) => {}
                    Some(kept) => *kept = waiting,
                    None => _ = latest.insert(key.clone(), waiting),
                }
            }
        }
        run.metrics = latest.into_values().collect();
    }
    Ok(())
}

fn encode(by_key: &[&Metric]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + by_key.len() * 40);
    out.push(VERSION);
    for of_one in by_key.chunk_by(|one, other| one.key == other.key) {
        let Some(first) = of_one.first() else { continue };
        let points: Vec<Point> = of_one.iter().map(|metric| Point::of(metric)).collect();
        let points = block::encode(&points);
        block::put_number(&mut out, first.key.len() as i64);
        out.extend_from_slice(first.key.as_bytes());
        block::put_number(&mut out, points.len() as i64);
        out.extend_from_slice(&points);
    }
    out
}

/// Calls `entry` with each key and the bytes of its points.
fn each(bytes: &[u8], mut entry: impl FnMut(&str, &[u8]) -> Option<()>) -> Result<(), Error> {
    let mut walk = || {
        let (version, mut rest) = bytes.split_first()?;
        (*version == VERSION).then_some(())?;
        while !rest.is_empty() {
            let key = std::str::from_utf8(part(&mut rest)?).ok()?;
            entry(key, part(&mut rest)?)?;
        }
        Some(())
    };
    walk().ok_or_else(|| db::Error::corrupt("points", "a batch of metric points cannot be read").into())
}

/// Bytes behind their length.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(block::take_number(rest)?).ok()?;
    let (part, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(part)
}

/// The points of some rows, by key.
fn merged(rows: &[Row]) -> Result<BTreeMap<String, Vec<Point>>, Error> {
    let mut merged: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for row in rows {
        each(&row.bytes("points")?, |key, bytes| match merged.get_mut(key) {
            Some(points) => block::decode(bytes, points),
            None => block::decode(bytes, merged.entry(key.to_owned()).or_default()),
        })?;
    }
    Ok(merged)
}
