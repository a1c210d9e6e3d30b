//! Histories of metrics: all points of a series, or an even sample of them.

use db::Tx;
use kernel::ctx::Ctx;
use kernel::page::Page;

use crate::metric::{Metric, Point, Series};
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
    let Some(series) = Series::of_runs(tx, ctx, &[run_id.to_owned()], key)?.pop() else {
        return Ok(Page { items: Vec::new(), next_token: None });
    };
    let limit = max_results.unwrap_or(search::EVERYTHING);
    let points = series.some(tx, limit.saturating_add(1), offset)?;
    let points = points.iter().map(|point| Metric::at(key, point)).collect();
    Ok(search::token::page(points, limit, offset))
}

/// The points of a metric of several runs, by run, timestamp, step and value: at most `max_results` altogether.
pub fn bulk(tx: &mut Tx<'_>, ctx: &Ctx, run_ids: &[String], key: &str, max_results: i64) -> Result<Vec<Metric>, Error> {
    let mut found = Vec::new();
    for series in Series::of_runs(tx, ctx, run_ids, key)? {
        let left = max_results.saturating_sub(found.len() as i64);
        if left <= 0 {
            break;
        }
        let run_id = series.run_id.clone();
        let points = series.some(tx, left, 0)?;
        found.extend(points.iter().map(|point| Metric { run_id: Some(run_id.clone()), ..Metric::at(key, point) }));
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
        for series in Series::of_runs(tx, ctx, std::slice::from_ref(run_id), key)? {
            let points = evenly(series.all(tx)?, steps.unwrap_or((i64::MIN, i64::MAX)), max_results.max(1));
            let with_run = |point| Metric { run_id: Some(run_id.clone()), ..Metric::at(key, point) };
            sampled.extend(points.iter().map(with_run));
        }
    }
    Ok(sampled)
}

fn evenly(mut points: Vec<Point>, (from, to): (i64, i64), parts: i64) -> Vec<Point> {
    points.retain(|point| (from..=to).contains(&point.step));
    points.sort_by(Point::by_step);
    let total = points.len();
    let parts = usize::try_from(parts).unwrap_or(usize::MAX).min(total);
    if parts == 0 {
        return Vec::new();
    }
    // As NTILE: the first `longer` parts have one point more than the others.
    let (length, longer) = (total / parts, total % parts);
    let mut sampled: Vec<Point> =
        (0..parts).filter_map(|part| points.get(part * length + part.min(longer)).copied()).collect();
    // The last part gives its first point or, if that is another one, the very last.
    if let (Some(kept), Some(last)) = (sampled.last_mut(), points.last()) {
        *kept = *last;
    }
    sampled
}
