//! Histories of metrics: all points of a series, or an even sample of them.

use db::{Row, Sql, Tx};
use kernel::ctx::Ctx;
use kernel::page::Page;

use crate::metric::{self, Metric};
use crate::{Error, search};

/// The points of a run's metric by timestamp, step and value: all of them, or a page. An unknown run or metric has none.
pub fn get(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    run_id: &str,
    key: &str,
    max_results: Option<i64>,
    token: Option<&str>,
) -> Result<Page<Metric>, Error> {
    if let Some(wrong) = max_results.filter(|max| *max <= 0) {
        let message =
            format!("Invalid value {wrong} for parameter 'max_results' supplied. It must be a positive integer.");
        return Err(Error::invalid("max_results", message));
    }
    let offset = search::token::offset(token)?;
    let Some(series) = series(tx, ctx, run_id, key)? else {
        return Ok(Page { items: Vec::new(), next_token: None });
    };
    let limit = max_results.unwrap_or(search::EVERYTHING).saturating_add(1);
    let rows = tx.query(
        "SELECT timestamp_ms, step, value, is_nan FROM metric_points WHERE series = $1
         ORDER BY timestamp_ms, step, value, is_nan LIMIT $2 OFFSET $3",
        &[series.into(), limit.into(), offset.into()],
    )?;
    let points = rows.iter().map(|row| point(row, key)).collect::<Result<Vec<Metric>, Error>>()?;
    Ok(search::token::page(points, max_results.unwrap_or(search::EVERYTHING), offset))
}

/// The points of a metric of several runs, by run, timestamp, step and value: at most `max_results` altogether.
pub fn bulk(tx: &mut Tx<'_>, ctx: &Ctx, run_ids: &[String], key: &str, max_results: i64) -> Result<Vec<Metric>, Error> {
    let mut sql = Sql::new();
    sql.push(
        "SELECT s.run_id, p.timestamp_ms, p.step, p.value, p.is_nan FROM metric_series s
         JOIN runs r ON r.run_id = s.run_id JOIN metric_points p ON p.series = s.series WHERE r.workspace = ",
    );
    sql.bind(&ctx.workspace).push(" AND s.key = ").bind(key);
    sql.push(" AND s.run_id IN ").bind_list(run_ids);
    sql.push(" ORDER BY s.run_id, p.timestamp_ms, p.step, p.value, p.is_nan LIMIT ").bind(max_results);
    let rows = tx.query_built(&sql)?;
    rows.iter().map(|row| Ok(Metric { run_id: Some(row.text("run_id")?), ..point(row, key)? })).collect()
}

/// An even sample per run: the points in order of step are cut into `max_results` parts of almost equal length, and the first of
/// each part is taken; the very last point is always there.
pub fn sample(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    run_ids: &[String],
    key: &str,
    steps: Option<(i64, i64)>,
    max_results: i64,
) -> Result<Vec<Metric>, Error> {
    let mut sampled = Vec::new();
    for run_id in run_ids {
        if let Some(series) = series(tx, ctx, run_id, key)? {
            let points = sample_series(tx, series, key, steps.unwrap_or((i64::MIN, i64::MAX)), max_results.max(1))?;
            sampled.extend(points.into_iter().map(|point| Metric { run_id: Some(run_id.clone()), ..point }));
        }
    }
    Ok(sampled)
}

fn sample_series(
    tx: &mut Tx<'_>,
    series: i64,
    key: &str,
    (from, to): (i64, i64),
    parts: i64,
) -> Result<Vec<Metric>, Error> {
    let counted = tx.query_opt(
        "SELECT COUNT(*) AS points FROM metric_points WHERE series = $1 AND step >= $2 AND step <= $3",
        &[series.into(), from.into(), to.into()],
    )?;
    let total = counted.map_or(Ok(0), |row| row.i64("points"))?;
    if total == 0 {
        return Ok(Vec::new());
    }
    // As NTILE: the first `longer` parts have one point more than the others.
    let parts = parts.min(total);
    let (length, longer) = (total / parts, total % parts);
    let border = longer * (length + 1);
    let rows = tx.query(
        "SELECT step, timestamp_ms, value, is_nan FROM (
            SELECT step, timestamp_ms, value, is_nan,
                ROW_NUMBER() OVER (ORDER BY step, timestamp_ms, value, is_nan) - 1 AS place
            FROM metric_points WHERE series = $1 AND step >= $2 AND step <= $3
         ) AS points
         WHERE (place < $4 AND place % $5 = 0) OR (place >= $4 AND (place - $4) % $6 = 0) OR place = $7
         ORDER BY place",
        &[series.into(), from.into(), to.into(), border.into(), (length + 1).into(), length.into(), (total - 1).into()],
    )?;
    let mut points = rows.iter().map(|row| point(row, key)).collect::<Result<Vec<Metric>, Error>>()?;
    if points.len() as i64 > parts {
        points.remove(parts as usize - 1);
    }
    Ok(points)
}

fn series(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, key: &str) -> Result<Option<i64>, Error> {
    let row = tx.query_opt(
        "SELECT s.series FROM metric_series s JOIN runs r ON r.run_id = s.run_id
         WHERE s.run_id = $1 AND r.workspace = $2 AND s.key = $3",
        &[run_id.into(), (&ctx.workspace).into(), key.into()],
    )?;
    Ok(row.map(|row| row.i64("series")).transpose()?)
}

fn point(row: &Row, key: &str) -> Result<Metric, Error> {
    Ok(Metric {
        key: key.to_owned(),
        value: metric::loaded(row)?,
        timestamp_ms: row.i64("timestamp_ms")?,
        step: row.i64("step")?,
        ..Metric::default()
    })
}
