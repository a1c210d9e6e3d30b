//! Where points lie: a few of a series as narrow rows, many that were logged together as one block. Which of the two holds a point
//! cannot be seen from outside; a point that lies in both counts once.

use std::cmp::Ordering;

use db::{Sql, Tx};

use super::{Metric, block, in_few_sizes, stored};
use crate::Error;

/// From so many points of one series in one batch on, they become a block.
const BLOCK: usize = 8;

/// A point without its key. The order is that of a history: timestamp, step, value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) timestamp_ms: i64,
    pub(crate) step: i64,
    /// 0 for NaN.
    number: f64,
    is_nan: bool,
}

impl Point {
    /// A point; NaN and infinities become what is kept of them.
    pub(super) fn new(timestamp_ms: i64, step: i64, value: f64) -> Self {
        let (number, is_nan) = stored(value);
        // Zero has one sign: the two are equal, and equal points are one.
        Self { timestamp_ms, step, number: number + 0.0, is_nan }
    }

    pub(crate) fn value(&self) -> f64 {
        if self.is_nan { f64::NAN } else { self.number }
    }

    /// The order of samples: by step first.
    pub(crate) fn by_step(&self, other: &Self) -> Ordering {
        self.step.cmp(&other.step).then_with(|| self.cmp(other))
    }

    pub(super) fn of(metric: &Metric) -> Self {
        Self::new(metric.timestamp_ms, metric.step, metric.value)
    }
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Point {}

impl PartialOrd for Point {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Point {
    fn cmp(&self, other: &Self) -> Ordering {
        let whole = (self.timestamp_ms, self.step).cmp(&(other.timestamp_ms, other.step));
        whole.then(self.number.total_cmp(&other.number)).then(self.is_nan.cmp(&other.is_nan))
    }
}

/// Writes the points of some series, given with the number of each.
pub(super) fn put(tx: &mut Tx<'_>, mut points: Vec<(i64, &Metric)>) -> Result<(), Error> {
    // Stable, so that points of a series that came in order are in order, and sorting them costs nothing.
    points.sort_by_key(|(series, _)| *series);
    let mut few: Vec<(i64, Point)> = Vec::new();
    let mut blocks: Vec<(i64, Vec<u8>)> = Vec::new();
    for of_one in points.chunk_by(|(one, _), (other, _)| one == other) {
        let Some((series, _)) = of_one.first() else { continue };
        let mut own: Vec<Point> = of_one.iter().map(|(_, metric)| Point::of(metric)).collect();
        own.sort();
        own.dedup();
        if own.len() >= BLOCK {
            blocks.push((*series, block::encode(&own)));
        } else {
            few.extend(own.into_iter().map(|point| (*series, point)));
        }
    }
    put_blocks(tx, &blocks)?;
    put_rows(tx, &few)
}

fn put_rows(tx: &mut Tx<'_>, points: &[(i64, Point)]) -> Result<(), Error> {
    for chunk in in_few_sizes(points) {
        let mut sql = Sql::new();
        let mut lead = "INSERT INTO metric_points (series, timestamp_ms, step, value, is_nan) VALUES (";
        for (series, point) in chunk {
            sql.push(lead).bind(*series).push(", ").bind(point.timestamp_ms).push(", ").bind(point.step);
            sql.push(", ").bind(point.number).push(", ").bind(point.is_nan).push(")");
            lead = ", (";
        }
        tx.execute_built(sql.push(" ON CONFLICT DO NOTHING"))?;
    }
    Ok(())
}

/// A block is known by its digest, so that a batch that is sent again takes no room.
fn put_blocks(tx: &mut Tx<'_>, blocks: &[(i64, Vec<u8>)]) -> Result<(), Error> {
    for chunk in in_few_sizes(blocks) {
        let mut sql = Sql::new();
        let mut lead = "INSERT INTO metric_blocks (series, digest, points) VALUES (";
        for (series, bytes) in chunk {
            sql.push(lead).bind(*series).push(", ").bind(digest(bytes)).push(", ").bind(bytes.as_slice()).push(")");
            lead = ", (";
        }
        tx.execute_built(sql.push(" ON CONFLICT DO NOTHING"))?;
    }
    Ok(())
}

fn digest(bytes: &[u8]) -> String {
    let mut digest = kernel::digest::of(bytes);
    digest.truncate(32);
    digest
}

/// All points of a series and those that wait, in the order of a history.
pub(super) fn all(tx: &mut Tx<'_>, series: Option<i64>, waiting: Vec<Point>) -> Result<Vec<Point>, Error> {
    let mut points = waiting;
    if let Some(series) = series {
        points.extend(rows(tx, series, (i64::MAX, 0))?);
        for row in tx.query("SELECT points FROM metric_blocks WHERE series = $1", &[series.into()])? {
            let decoded = block::decode(&row.bytes("points")?, &mut points);
            decoded.ok_or_else(|| db::Error::corrupt("points", "a block of metric points cannot be read"))?;
        }
    }
    points.sort();
    points.dedup();
    Ok(points)
}

/// Whether a series has more than rows.
pub(super) fn has_blocks(tx: &mut Tx<'_>, series: i64) -> Result<bool, Error> {
    let block = tx.query_opt("SELECT 1 AS one FROM metric_blocks WHERE series = $1 LIMIT 1", &[series.into()])?;
    Ok(block.is_some())
}

/// At most `limit` rows of a series after the first `offset`, in the order of a history.
pub(super) fn rows(tx: &mut Tx<'_>, series: i64, (limit, offset): (i64, i64)) -> Result<Vec<Point>, Error> {
    let rows = tx.query(
        "SELECT timestamp_ms, step, value, is_nan FROM metric_points WHERE series = $1
         ORDER BY timestamp_ms, step, value, is_nan LIMIT $2 OFFSET $3",
        &[series.into(), limit.into(), offset.into()],
    )?;
    let point = |row: &db::Row| Ok(Point::new(row.i64("timestamp_ms")?, row.i64("step")?, super::loaded(row)?));
    rows.iter().map(point).collect()
}
