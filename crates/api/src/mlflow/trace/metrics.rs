//! Numbers over traces, which MLflow's pages draw. Those over spans and assessments are not there.

use axum::extract::State;
use conductor::House;
use serde_json::{Value, json};
use tracking::search::{self, Aggregation, TraceMetrics};

use crate::mlflow::wire::Fields;
use crate::mlflow::{Answer, Body, Error, answer_large, read};
use crate::principal::Caller;

const VIEWS: [(i64, &str); 3] = [(1, "TRACES"), (2, "SPANS"), (3, "ASSESSMENTS")];

fn read_aggregation(fields: &Fields<'_>) -> Result<Aggregation, Error> {
    Ok(match fields.required("aggregation_type")?.as_str() {
        "COUNT" => Aggregation::Count,
        "SUM" => Aggregation::Sum,
        "AVG" => Aggregation::Avg,
        "MIN" => Aggregation::Min,
        "MAX" => Aggregation::Max,
        "PERCENTILE" => Aggregation::Percentile(fields.required_number("percentile_value")?),
        other => {
            return Err(Error::invalid(format!("Invalid value \"{other}\" for parameter 'aggregation_type' supplied")));
        }
    })
}

pub(super) async fn query(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let view = fields.choice("view_type", &VIEWS, |view| view)?.ok_or_else(|| Error::missing("view_type"))?;
    let metric = fields.required("metric_name")?;
    if view != "TRACES" {
        return Err(Error::invalid(format!("'{metric}' over {view} is not computed by this server: only TRACES are")));
    }
    let wanted = TraceMetrics {
        experiment_ids: fields.texts("experiment_ids")?,
        metric: metric.clone(),
        aggregations: fields.list("aggregations")?.iter().map(read_aggregation).collect::<Result<_, _>>()?,
        dimensions: fields.texts("dimensions")?,
        filters: fields.texts("filters")?,
        interval_s: fields.integer("time_interval_seconds")?,
        start_ms: fields.integer("start_time_ms")?,
        end_ms: fields.integer("end_time_ms")?,
    };
    let points = read(&house, who, move |tx, ctx| search::trace_metrics(tx, ctx, &wanted)).await?;
    let shape = |point: search::TracePoint| {
        let mut shown = json!({ "metric_name": metric, "values": point.values });
        if !point.dimensions.is_empty() {
            shown["dimensions"] = json!(point.dimensions);
        }
        shown
    };
    let points: Vec<Value> = points.into_iter().map(shape).collect();
    answer_large(if points.is_empty() { json!({}) } else { json!({ "data_points": points }) }).await
}
