//! Metrics: logging a point, reading histories.

use access::Permission::{Edit, View};
use axum::extract::State;
use conductor::House;
use serde::Serialize;
use tracking::history;
use tracking::metric::{self, Metric};

use super::error::API_DOCS;
use super::shape::{MetricShape, metrics};

use super::{Answer, Body, Error, Fields, JsonBytes, Routes, answer_large, empty, points, read, write};
use crate::principal::Caller;
use crate::route::{get, post};

/// The most runs in one request for histories.
const MAX_RUNS: usize = 100;
/// The most points of one answer to `get-history-bulk`.
const MAX_BULK: i64 = 25_000;
/// The most points per run of one answer to `get-history-bulk-interval`.
const MAX_SAMPLE: i64 = 2_500;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/runs/log-metric", post(Edit, log))
        .route("/metrics/get-history", get(View, get_history))
        .route("/metrics/get-history-bulk", get(View, get_history_bulk))
        .route("/metrics/get-history-bulk-interval", get(View, get_history_bulk_interval))
}

/// A point as it comes.
pub(crate) fn read_metric(fields: &Fields<'_>) -> Result<Metric, Error> {
    let set = |text: Option<String>| text.filter(|text| !text.is_empty());
    let dataset = match (set(fields.text("dataset_name")?), set(fields.text("dataset_digest")?)) {
        (Some(name), Some(digest)) => Some((name, digest)),
        (None, None) => None,
        _ => return Err(Error::invalid("Both dataset_name and dataset_digest must be provided if one is provided")),
    };
    Ok(Metric {
        key: fields.required("key")?,
        value: fields.required_number("value")?,
        timestamp_ms: fields.required_integer("timestamp")?,
        step: fields.integer("step")?.unwrap_or(0),
        model_id: set(fields.text("model_id")?),
        dataset,
        run_id: None,
    })
}

async fn log(State(house): State<House>, Caller(who): Caller, bytes: JsonBytes) -> Answer {
    let (run_id, point) = match points::read_point(&bytes.0) {
        Some(plain) => plain,
        None => read_point(&bytes.body()?.fields())?,
    };
    write(&house, who, move |tx, ctx| metric::log(tx, ctx, &run_id, point)).await?;
    empty()
}

fn read_point(fields: &Fields<'_>) -> Result<(String, Metric), Error> {
    Ok((fields.run_id()?, read_metric(fields)?))
}

#[derive(Debug, Serialize)]
struct HistoryAnswer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<MetricShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

async fn get_history(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (run_id, key) = (fields.run_id()?, fields.required("metric_key")?);
    let (max_results, token) = (fields.integer("max_results")?, fields.text("page_token")?);
    let get = move |tx: &mut db::Tx<'_>, ctx: &_| history::get(tx, ctx, &run_id, &key, max_results, token.as_deref());
    let page = read(&house, who, get).await?.map(MetricShape::from);
    answer_large(HistoryAnswer { metrics: page.items, next_page_token: page.next_token }).await
}

async fn get_history_bulk(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let run_ids = fields.texts("run_id")?;
    let asked = |what: &str| Err(Error::invalid(format!("GetMetricHistoryBulk request must specify {what}.")));
    if run_ids.is_empty() {
        return asked("at least one run_id");
    }
    if run_ids.len() > MAX_RUNS {
        let got = run_ids.len();
        return Err(Error::invalid(format!(
            "GetMetricHistoryBulk request cannot specify more than {MAX_RUNS} run_ids. Received {got} run_ids."
        )));
    }
    let Some(key) = fields.text("metric_key")? else {
        return asked("a metric_key");
    };
    let max_results = fields.integer("max_results")?.unwrap_or(MAX_BULK).clamp(0, MAX_BULK);
    let points = read(&house, who, move |tx, ctx| history::bulk(tx, ctx, &run_ids, &key, max_results)).await?;
    answer_large(BulkAnswer { metrics: metrics(points) }).await
}

/// This one shows its list even when it is empty.
#[derive(Debug, Serialize)]
struct BulkAnswer {
    metrics: Vec<MetricShape>,
}

async fn get_history_bulk_interval(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let run_ids = fields.texts("run_ids")?;
    if run_ids.is_empty() {
        return Err(Error::missing("run_ids"));
    }
    if run_ids.len() > MAX_RUNS {
        let got = run_ids.len();
        return Err(Error::invalid(format!(
            "GetMetricHistoryBulkInterval request must specify at most {MAX_RUNS} run_ids. Received {got} run_ids. {API_DOCS}"
        )));
    }
    let key = fields.required("metric_key")?;
    let steps = steps(&fields)?;
    let max_results = fields.integer("max_results")?.unwrap_or(MAX_SAMPLE);
    if !(1..=MAX_SAMPLE).contains(&max_results) {
        return Err(Error::invalid(format!("max_results must be between 1 and {MAX_SAMPLE}. {API_DOCS}")));
    }
    let sample = move |tx: &mut db::Tx<'_>, ctx: &_| history::sample(tx, ctx, &run_ids, &key, steps, max_results);
    let points = metrics(read(&house, who, sample).await?);
    answer_large(HistoryAnswer { metrics: points, next_page_token: None }).await
}

/// First and last step, or neither.
fn steps(fields: &Fields<'_>) -> Result<Option<(i64, i64)>, Error> {
    match (fields.integer("start_step")?, fields.integer("end_step")?) {
        (None, None) => Ok(None),
        (Some(start), Some(end)) if start <= end => Ok(Some((start, end))),
        (Some(start), Some(end)) => Err(Error::invalid(format!(
            "end_step must be greater than start_step. Found start_step={start} and end_step={end}."
        ))),
        _ => Err(Error::invalid("If either start step or end step are specified, both must be specified.")),
    }
}
