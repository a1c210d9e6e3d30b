//! Numbers over traces: how many, how long, how many tokens; by time, name and status.

use std::collections::{BTreeMap, BTreeSet};

use db::{Row, Sql, Tx};
use kernel::clock;
use kernel::ctx::Ctx;
use serde_json::Value as Json;

use super::traces::condition;
use crate::search::term;
use crate::trace::NAME_TAG;
use crate::{Error, check};

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct TraceMetrics {
    /// Where.
    pub experiment_ids: Vec<String>,
    /// `trace_count`, `session_count`, `latency` (milliseconds), or a kind of tokens.
    pub metric: String,
    /// What to compute.
    pub aggregations: Vec<Aggregation>,
    /// `trace_name`, `trace_status`.
    pub dimensions: Vec<String>,
    /// Filters of traces; all must hold.
    pub filters: Vec<String>,
    /// The length of a bucket of time, seconds.
    pub interval_s: Option<i64>,
    /// From when on, milliseconds since the epoch.
    pub start_ms: Option<i64>,
    /// Until when.
    pub end_ms: Option<i64>,
}

/// One number over a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregation {
    /// How many.
    Count,
    /// The sum.
    Sum,
    /// The mean.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// Between 0 and 100, interpolated linearly.
    Percentile(f64),
}

impl Aggregation {
    fn name(self) -> &'static str {
        match self {
            Self::Count => "COUNT",
            Self::Sum => "SUM",
            Self::Avg => "AVG",
            Self::Min => "MIN",
            Self::Max => "MAX",
            Self::Percentile(_) => "PERCENTILE",
        }
    }

    fn label(self) -> String {
        match self {
            Self::Percentile(value) => format!("P{value:?}"),
            other => other.name().to_owned(),
        }
    }

    /// Of values in order, at least one.
    fn of(self, sorted: &[f64]) -> f64 {
        let sum: f64 = sorted.iter().sum();
        match self {
            Self::Count => sorted.len() as f64,
            Self::Sum => sum,
            Self::Avg => sum / sorted.len() as f64,
            Self::Min => sorted.first().copied().unwrap_or_default(),
            Self::Max => sorted.last().copied().unwrap_or_default(),
            Self::Percentile(value) => {
                let at = value / 100.0 * (sorted.len() - 1) as f64;
                let (low, high) = (at.floor() as usize, at.ceil() as usize);
                sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
            }
        }
    }
}

/// The numbers of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct TracePoint {
    /// What the group has in common.
    pub dimensions: BTreeMap<String, String>,
    /// By aggregation.
    pub values: BTreeMap<String, f64>,
}

/// Most traces that are looked at.
const MAX_TRACES: i64 = 1_000_000;
const TOKENS: [&str; 5] =
    ["input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];

/// The numbers, in the order of their groups.
pub fn trace_metrics(tx: &mut Tx<'_>, ctx: &Ctx, wanted: &TraceMetrics) -> Result<Vec<TracePoint>, Error> {
    judge(wanted)?;
    let mut sql = Sql::new();
    sql.push(
        "SELECT t.request_ms, t.duration_ms, t.state,
        (SELECT value FROM trace_tags g WHERE g.trace_id = t.trace_id AND g.key = ",
    );
    sql.bind(NAME_TAG)
        .push(") AS name, (SELECT value FROM trace_metadata m WHERE m.trace_id = t.trace_id AND m.key = ");
    sql.bind(if wanted.metric == "session_count" { "mlflow.trace.session" } else { "mlflow.trace.tokenUsage" });
    sql.push(") AS noted FROM traces t WHERE t.workspace = ").bind(&ctx.workspace);
    sql.push(" AND t.experiment_id IN ").bind_list(check::experiment_ids(&wanted.experiment_ids)?);
    if let Some(start_ms) = wanted.start_ms {
        sql.push(" AND t.request_ms >= ").bind(start_ms);
    }
    if let Some(end_ms) = wanted.end_ms {
        sql.push(" AND t.request_ms <= ").bind(end_ms);
    }
    for filter in &wanted.filters {
        for clause in term::parse(filter)? {
            sql.push(" AND ");
            condition(&mut sql, &clause)?;
        }
    }
    sql.push(" ORDER BY t.request_ms LIMIT ").bind(MAX_TRACES);
    let (mut groups, mut sessions) = (BTreeMap::<(i64, Vec<String>), Vec<f64>>::new(), BTreeSet::new());
    for row in tx.query_built(&sql)? {
        let (Some(group), Some(value)) = (group(&row, wanted)?, value(&row, &wanted.metric)?) else { continue };
        if wanted.metric == "session_count" && !sessions.insert((group.clone(), row.opt_text("noted")?)) {
            continue;
        }
        groups.entry(group).or_default().push(value);
    }
    Ok(groups.into_iter().map(|(group, values)| point(group, values, wanted)).collect())
}

/// What kinds of numbers there are of a metric, and by what it is grouped.
fn judge(wanted: &TraceMetrics) -> Result<(), Error> {
    let counted: (&[&str], &[&str]) = match wanted.metric.as_str() {
        "trace_count" => (&["COUNT"], &["trace_name", "trace_status"]),
        "session_count" => (&["COUNT"], &[]),
        "latency" => (&["AVG", "MAX", "MIN", "PERCENTILE"], &["trace_name"]),
        metric if TOKENS.contains(&metric) => (&["AVG", "MAX", "MIN", "PERCENTILE", "SUM"], &["trace_name"]),
        other => {
            let known = ["trace_count", "session_count", "latency"].into_iter().chain(TOKENS).collect::<Vec<_>>();
            let message = format!("metric_name must be one of {known:?}, got '{other}'");
            return Err(Error::invalid("metric_name", message));
        }
    };
    if wanted.aggregations.is_empty() {
        return Err(Error::Missing { path: "aggregations".to_owned() });
    }
    for one in &wanted.aggregations {
        if !counted.0.contains(&one.name()) {
            let text = format!(
                "Found invalid aggregation_type(s): ['{}']. Supported aggregation types: {:?}",
                one.name(),
                counted.0
            );
            return Err(Error::invalid("aggregations", text));
        }
        if matches!(one, Aggregation::Percentile(value) if !(0.0..=100.0).contains(value)) {
            return Err(Error::invalid("aggregations", "A percentile is between 0 and 100"));
        }
    }
    for one in &wanted.dimensions {
        if !counted.1.contains(&one.as_str()) {
            let text = format!("Found invalid dimension(s): ['{one}']. Supported dimensions: {:?}", counted.1);
            return Err(Error::invalid("dimensions", text));
        }
    }
    match wanted.interval_s {
        Some(seconds) if !(1..=100 * 366 * 86_400).contains(&seconds) => {
            Err(Error::invalid("time_interval_seconds", format!("A bucket of {seconds} seconds is none")))
        }
        _ => Ok(()),
    }
}

/// The group of a trace; none if it lacks what groups are made by.
fn group(row: &Row, wanted: &TraceMetrics) -> Result<Option<(i64, Vec<String>)>, Error> {
    let bucket_ms = wanted.interval_s.map_or(0, |seconds| seconds * 1_000);
    let at = row.i64("request_ms")?;
    let bucket = if bucket_ms == 0 { 0 } else { at.div_euclid(bucket_ms) * bucket_ms };
    let mut dimensions = Vec::new();
    for name in &wanted.dimensions {
        let value = if name == "trace_status" { row.opt_text("state")? } else { row.opt_text("name")? };
        let Some(value) = value else { return Ok(None) };
        dimensions.push(value);
    }
    Ok(Some((bucket, dimensions)))
}

/// What a trace adds; none if it has nothing of the kind.
fn value(row: &Row, metric: &str) -> Result<Option<f64>, Error> {
    Ok(match metric {
        "trace_count" => Some(1.0),
        "latency" => row.opt_i64("duration_ms")?.map(|ms| ms as f64),
        "session_count" => row.opt_text("noted")?.map(|_| 1.0),
        tokens => {
            let usage: Option<Json> = row.opt_text("noted")?.and_then(|text| serde_json::from_str(&text).ok());
            usage.and_then(|usage| usage[tokens].as_f64())
        }
    })
}

fn point((bucket, names): (i64, Vec<String>), mut values: Vec<f64>, wanted: &TraceMetrics) -> TracePoint {
    values.sort_by(f64::total_cmp);
    let mut dimensions: BTreeMap<String, String> = wanted.dimensions.iter().cloned().zip(names).collect();
    if wanted.interval_s.is_some() {
        let at = clock::rfc3339(bucket.saturating_mul(1_000)).replace('Z', "+00:00");
        dimensions.insert("time_bucket".to_owned(), at);
    }
    let values = wanted.aggregations.iter().map(|one| (one.label(), one.of(&values))).collect();
    TracePoint { dimensions, values }
}
