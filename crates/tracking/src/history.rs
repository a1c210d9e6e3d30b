//! Histories of metrics: all points of a series, or an even sample of them.

use db::{Sql, Tx};
use kernel::ctx::Ctx;
use kernel::page::Page;

use crate::metric::{self, Metric, Point};
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
    let limit = max_results.unwrap_or(search::EVERYTHING);
    let points = metric::some_points(tx, series, limit.saturating_add(1), offset)?;
    let points = points.iter().map(|point| whole(point, key)).collect();
    Ok(search::token::page(points, limit, offset))
}

/// The points of a metric of several runs, by run, timestamp, step and value: at most `max_results` altogether.
pub fn bulk(tx: &mut Tx<'_>, ctx: &Ctx, run_ids: &[String], key: &str, max_results: i64) -> Result<Vec<Metric>, Error> {
    let mut sql = Sql::new();
    sql.push(
        "SELECT s.run_id, s.series FROM metric_series s JOIN runs r ON r.run_id = s.run_id
         WHERE r.workspace = ",
    );
    sql.bind(&ctx.workspace).push(" AND s.key = ").bind(key);
    sql.push(" AND s.run_id IN ").bind_list(run_ids).push(" ORDER BY s.run_id");
    let mut found = Vec::new();
    for row in tx.query_built(&sql)? {
        let left = max_results.saturating_sub(found.len() as i64);
        if left <= 0 {
            break;
        }
        let run_id = row.text("run_id")?;
        let points = metric::some_points(tx, row.i64("series")?, left, 0)?;
        found.extend(points.iter().map(|point| Metric { run_id: Some(run_id.clone()), ..whole(point, key) }));
    }
    Ok(found)
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
            let points = sample_series(tx, series, steps.unwrap_or((i64::MIN, i64::MAX)), max_results.max(1))?;
            let with_run = |point| Metric { run_id: Some(run_id.clone()), ..whole(point, key) };
            sampled.extend(points.iter().map(with_run));
        }
    }
    Ok(sampled)
}

fn sample_series(tx: &mut Tx<'_>, series: i64, (from, to): (i64, i64), parts: i64) -> Result<Vec<Point>, Error> {
    let mut points = metric::all_points(tx, series)?;
    points.retain(|point| (from..=to).contains(&point.step));
    points.sort_by(Point::by_step);
    let total = points.len();
    let parts = usize::try_from(parts).unwrap_or(usize::MAX).min(total);
    if parts == 0 {
        return Ok(Vec::new());
    }
    // As NTILE: the first `longer` parts have one point more than the others.
    let (length, longer) = (total / parts, total % parts);
    let mut sampled: Vec<Point> =
        (0..parts).filter_map(|part| points.get(part * length + part.min(longer)).copied()).collect();
    // The last part gives its first point or, if that is another one, the very last.
    if let (Some(kept), Some(last)) = (sampled.last_mut(), points.last()) {
        *kept = *last;
    }
    Ok(sampled)
}

fn series(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, key: &str) -> Result<Option<i64>, Error> {
    let row = tx.query_opt(
        "SELECT s.series FROM metric_series s JOIN runs r ON r.run_id = s.run_id
         WHERE s.run_id = $1 AND r.workspace = $2 AND s.key = $3",
        &[run_id.into(), (&ctx.workspace).into(), key.into()],
    )?;
    Ok(row.map(|row| row.i64("series")).transpose()?)
}

fn whole(point: &Point, key: &str) -> Metric {
    Metric {
        key: key.to_owned(),
        value: point.value(),
        timestamp_ms: point.timestamp_ms,
        step: point.step,
        ..Metric::default()
    }
}
