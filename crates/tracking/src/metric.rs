//! Metrics: points of a series. Every distinct point is kept; the latest of a series is the greatest by step, then timestamp, then
//! value, not the last that was written. NaN counts as 0 in that order.

mod block;
mod points;
mod waiting;

use std::collections::BTreeMap;

use db::{Row, Sql, Tx};
use kernel::ctx::Ctx;

use crate::{Error, check as rules, logged_model, run};

pub(crate) use points::Point;
pub(crate) use waiting::{add_latest, of_experiments as waiting_of_experiments, settle, settle_each};
pub use waiting::{is_any_waiting, settle_quiet};

/// A point of a metric.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Metric {
    /// Its name.
    pub key: String,
    /// The value; it may be NaN. An infinity is kept as the greatest double.
    pub value: f64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The step.
    pub step: i64,
    /// The logged model it is about, if it is about one.
    pub model_id: Option<String>,
    /// Name and digest of the dataset it was measured on.
    pub dataset: Option<(String, String)>,
    /// The run that logged it; only set on the metrics of a logged model.
    pub run_id: Option<String>,
}

impl Metric {
    /// A point under its key.
    pub(crate) fn at(key: &str, point: &Point) -> Self {
        Self {
            key: key.to_owned(),
            value: point.value(),
            timestamp_ms: point.timestamp_ms,
            step: point.step,
            ..Self::default()
        }
    }
}

/// All points of one metric of one run, wherever they lie.
pub(crate) struct Series {
    pub(crate) run_id: String,
    /// None while everything waits.
    number: Option<i64>,
    waiting: Vec<Point>,
}

impl Series {
    /// The series of a metric, by run; runs that have none are left out.
    pub(crate) fn of_runs(tx: &mut Tx<'_>, ctx: &Ctx, run_ids: &[String], key: &str) -> Result<Vec<Self>, Error> {
        let mut sql = Sql::new();
        sql.push(
            "SELECT r.run_id, s.series, CASE WHEN EXISTS (SELECT 1 FROM metric_waiting w WHERE w.run_id = r.run_id)",
        );
        sql.push(
            " THEN 1 ELSE 0 END AS waits FROM runs r LEFT JOIN metric_series s ON s.run_id = r.run_id AND s.key = ",
        );
        sql.bind(key).push(" WHERE r.workspace = ").bind(&ctx.workspace);
        sql.push(" AND r.run_id IN ").bind_list(run_ids).push(" ORDER BY r.run_id");
        let mut found = Vec::new();
        for row in tx.query_built(&sql)? {
            let run_id = row.text("run_id")?;
            let waits = row.i64("waits")? == 1;
            let waiting = if waits { waiting::of_metric(tx, &run_id, key)? } else { Vec::new() };
            let number = row.opt_i64("series")?;
            if number.is_some() || !waiting.is_empty() {
                found.push(Self { run_id, number, waiting });
            }
        }
        Ok(found)
    }

    /// All points, in the order of a history.
    pub(crate) fn all(self, tx: &mut Tx<'_>) -> Result<Vec<Point>, Error> {
        points::all(tx, self.number, self.waiting)
    }

    /// At most `limit` points after the first `offset`, in the order of a history.
    pub(crate) fn some(self, tx: &mut Tx<'_>, limit: i64, offset: i64) -> Result<Vec<Point>, Error> {
        match self.number {
            Some(number) if self.waiting.is_empty() && !points::has_blocks(tx, number)? => {
                points::rows(tx, number, (limit, offset))
            }
            _ => {
                let as_usize = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
                Ok(self.all(tx)?.into_iter().skip(as_usize(offset)).take(as_usize(limit)).collect())
            }
        }
    }
}

/// A value as stored: NaN is 0 with a flag, because SQLite has no NaN; an infinity is the greatest double, as with MLflow.
pub(crate) fn stored(value: f64) -> (f64, bool) {
    if value.is_nan() { (0.0, true) } else { (value.clamp(f64::MIN, f64::MAX), false) }
}

/// The value of a row with its flag.
pub(crate) fn loaded(row: &Row) -> Result<f64, Error> {
    Ok(if row.bool("is_nan")? { f64::NAN } else { row.f64("value")? })
}

/// A point of a row with key, value, flag, timestamp and step.
pub(crate) fn read(row: &Row) -> Result<Metric, Error> {
    Ok(Metric {
        key: row.text("key")?,
        value: loaded(row)?,
        timestamp_ms: row.i64("timestamp_ms")?,
        step: row.i64("step")?,
        ..Metric::default()
    })
}

/// Logs a point.
pub fn log(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, metric: Metric) -> Result<(), Error> {
    check(&metric, str::to_owned)?;
    let experiment = run::active(tx, ctx, run_id)?;
    put_all(tx, ctx, experiment, run_id, &[metric])
}

/// The rules of a point; `path` names a field of it.
pub(crate) fn check(metric: &Metric, path: impl Fn(&str) -> String) -> Result<(), Error> {
    rules::key(&metric.key, || path("name"))?;
    if metric.timestamp_ms < 0 {
        return Err(Error::Value {
            path: path("timestamp"),
            value: metric.timestamp_ms.to_string(),
            reason: format!(
                "metric '{}' (value={:?}). Timestamp must be a nonnegative long (64-bit integer) ",
                metric.key, metric.value
            ),
        });
    }
    rules::length(&metric.key, rules::MAX_KEY, || "Metric name".to_owned())
}

/// Writes points that were checked, to a run that was checked. Points that are there already are passed over.
pub(crate) fn put_all(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    experiment: i64,
    run_id: &str,
    metrics: &[Metric],
) -> Result<(), Error> {
    if metrics.is_empty() {
        return Ok(());
    }
    match waiting::if_wide(metrics) {
        Some(by_key) => waiting::put(tx, ctx, run_id, &by_key)?,
        None => put_settled(tx, experiment, run_id, metrics)?,
    }
    logged_model::put_metrics(tx, run_id, metrics)
}

/// Writes points where they lie for good.
fn put_settled(tx: &mut Tx<'_>, experiment: i64, run_id: &str, metrics: &[Metric]) -> Result<(), Error> {
    let series = put_latest(tx, experiment, run_id, metrics)?;
    // Keys mostly come in runs: look up only where the key changes.
    let mut last: Option<(&str, i64)> = None;
    let mut numbered = Vec::with_capacity(metrics.len());
    for metric in metrics {
        let number = match last {
            Some((key, number)) if key == metric.key => Some(number),
            _ => series.get(metric.key.as_str()).copied(),
        };
        if let Some(number) = number {
            last = Some((&metric.key, number));
            numbered.push((number, metric));
        }
    }
    points::put(tx, numbered)
}

/// Slices of sizes that are powers of four, greatest first: few statement texts, so that each is prepared once.
pub(crate) fn in_few_sizes<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = [256, 64, 16, 4, 1].into_iter().find(|size| *size <= items.len())?;
        let (chunk, rest) = items.split_at_checked(size)?;
        items = rest;
        Some(chunk)
    })
}

/// Finds or makes the series of each key, moves its latest point forward, and returns the numbers by key.
fn put_latest<'m>(
    tx: &mut Tx<'_>,
    experiment: i64,
    run_id: &str,
    metrics: &'m [Metric],
) -> Result<BTreeMap<&'m str, i64>, Error> {
    let latest = latest(metrics);
    let mut numbers = known_series(tx, run_id, &latest)?;
    if numbers.len() < latest.len() {
        // A block of numbers for this batch; the counter gives each block once.
        let mut free = (tx.next("metric_series")?.saturating_mul(1_024))..;
        for key in latest.keys() {
            if !numbers.contains_key(*key) {
                numbers.insert((*key).to_owned(), free.next().unwrap_or(i64::MAX));
            }
        }
    }
    let rows: Vec<(i64, &Metric)> =
        latest.iter().filter_map(|(key, metric)| Some((*numbers.get(*key)?, *metric))).collect();
    let mut settled = BTreeMap::new();
    for chunk in in_few_sizes(&rows) {
        for row in tx.query_built(&upsert(experiment, run_id, chunk))? {
            if let Some((key, _)) = latest.get_key_value(row.str("key")?) {
                settled.insert(*key, row.i64("series")?);
            }
        }
    }
    Ok(settled)
}

/// The latest of the given points, by key.
fn latest(metrics: &[Metric]) -> BTreeMap<&str, &Metric> {
    let mut latest: BTreeMap<&str, &Metric> = BTreeMap::new();
    for of_one in metrics.chunk_by(|one, other| one.key == other.key) {
        let greatest = of_one.iter().reduce(|kept, metric| if rank(metric) > rank(kept) { metric } else { kept });
        let Some(greatest) = greatest else { continue };
        let kept = latest.entry(greatest.key.as_str()).or_insert(greatest);
        if rank(greatest) > rank(kept) {
            *kept = greatest;
        }
    }
    latest
}

/// The order by which a point is the latest.
fn rank(metric: &Metric) -> (i64, i64, f64) {
    (metric.step, metric.timestamp_ms, stored(metric.value).0)
}

fn known_series(
    tx: &mut Tx<'_>,
    run_id: &str,
    latest: &BTreeMap<&str, &Metric>,
) -> Result<BTreeMap<String, i64>, Error> {
    let keys: Vec<&str> = latest.keys().copied().collect();
    let mut numbers = BTreeMap::new();
    for chunk in in_few_sizes(&keys) {
        let mut sql = Sql::new();
        sql.push("SELECT key, series FROM metric_series WHERE run_id = ").bind(run_id);
        sql.push(" AND key IN ").bind_list(chunk.iter().copied());
        for row in tx.query_built(&sql)? {
            numbers.insert(row.text("key")?, row.i64("series")?);
        }
    }
    Ok(numbers)
}

/// A new series, or a later point of one that is there. A race for a new series is settled by the key: the number that comes back
/// is the one that won.
fn upsert(experiment: i64, run_id: &str, rows: &[(i64, &Metric)]) -> Sql {
    let mut sql = Sql::new();
    let mut lead =
        "INSERT INTO metric_series (experiment_id, run_id, key, series, step, timestamp_ms, value, is_nan) VALUES (";
    for (series, metric) in rows {
        let (value, is_nan) = stored(metric.value);
        sql.push(lead).bind(experiment).push(", ").bind(run_id).push(", ").bind(&metric.key).push(", ").bind(*series);
        sql.push(", ").bind(metric.step).push(", ").bind(metric.timestamp_ms);
        sql.push(", ").bind(value).push(", ").bind(is_nan).push(")");
        lead = ", (";
    }
    sql.push(
        " ON CONFLICT (run_id, key) DO UPDATE SET
            step = CASE WHEN (excluded.step, excluded.timestamp_ms, excluded.value)
                > (metric_series.step, metric_series.timestamp_ms, metric_series.value)
                THEN excluded.step ELSE metric_series.step END,
            timestamp_ms = CASE WHEN (excluded.step, excluded.timestamp_ms, excluded.value)
                > (metric_series.step, metric_series.timestamp_ms, metric_series.value)
                THEN excluded.timestamp_ms ELSE metric_series.timestamp_ms END,
            value = CASE WHEN (excluded.step, excluded.timestamp_ms, excluded.value)
                > (metric_series.step, metric_series.timestamp_ms, metric_series.value)
                THEN excluded.value ELSE metric_series.value END,
            is_nan = CASE WHEN (excluded.step, excluded.timestamp_ms, excluded.value)
                > (metric_series.step, metric_series.timestamp_ms, metric_series.value)
                THEN excluded.is_nan ELSE metric_series.is_nan END
        RETURNING key, series",
    );
    sql
}
