//! Traces as clients before MLflow 3 speak of them: the beginning and the end apart, pairs as lists, times in milliseconds.

use axum::extract::{Path, State};
use conductor::House;
use kernel::ctx::Principal;
use serde_json::{Value, json};
use tracking::search::{self, TraceSearch};
use tracking::trace::{self, FINALIZED_KEY, State as TraceState, Trace};

use super::DEFAULT_PAGE;
use crate::mlflow::shape::{pairs, read_pairs};
use crate::mlflow::wire::Fields;
use crate::mlflow::{Answer, Body, answer, answer_large, read, write};
use crate::principal::Caller;

fn shape(trace: Trace) -> Value {
    let metadata = trace.metadata.into_iter().filter(|pair| pair.key != FINALIZED_KEY).collect();
    let mut shown = json!({
        "request_id": trace.trace_id,
        "experiment_id": trace.experiment_id,
        "timestamp_ms": trace.request_ms,
        "status": trace.state.as_str(),
        "request_metadata": pairs(metadata),
        "tags": pairs(trace.tags),
    });
    if let Some(ms) = trace.duration_ms {
        shown["execution_time_ms"] = ms.into();
    }
    shown
}

/// The beginning; the server makes the id.
pub(super) async fn start(house: &House, who: Principal, fields: &Fields<'_>) -> Answer {
    let new = Trace {
        trace_id: kernel::id::random_hex(),
        experiment_id: fields.required("experiment_id")?,
        request_ms: fields.integer("timestamp_ms")?.unwrap_or(0),
        state: TraceState::InProgress,
        metadata: read_pairs(fields, "request_metadata")?,
        tags: read_pairs(fields, "tags")?,
        ..Trace::default()
    };
    let made = write(house, who, move |tx, ctx| trace::start(tx, ctx, new, Vec::new())).await?;
    answer(json!({ "trace_info": shape(made) }))
}

pub(super) async fn end(
    State(house): State<House>,
    Caller(who): Caller,
    Path(trace_id): Path<String>,
    body: Body,
) -> Answer {
    let fields = body.fields();
    let end_ms = fields.integer("timestamp_ms")?.unwrap_or(0);
    let state = fields.choice("status", &TraceState::ALL, TraceState::as_str)?.unwrap_or_default();
    let (metadata, tags) = (read_pairs(&fields, "request_metadata")?, read_pairs(&fields, "tags")?);
    let ended =
        write(&house, who, move |tx, ctx| trace::end(tx, ctx, &trace_id, (state, end_ms), &metadata, tags)).await?;
    answer(json!({ "trace_info": shape(ended) }))
}

pub(super) async fn get_info(State(house): State<House>, Caller(who): Caller, Path(trace_id): Path<String>) -> Answer {
    let found = read(&house, who, move |tx, ctx| trace::get(tx, ctx, &trace_id)).await?;
    answer(json!({ "trace_info": shape(found) }))
}

pub(super) async fn search(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let experiment_ids = fields.texts("experiment_ids")?;
    if experiment_ids.is_empty() {
        return Err(crate::mlflow::Error::missing("experiment_ids"));
    }
    let wanted = TraceSearch {
        experiment_ids,
        filter: fields.text_or_empty("filter")?,
        order_by: fields.texts("order_by")?,
        max_results: fields.integer("max_results")?.unwrap_or(DEFAULT_PAGE),
        page_token: fields.text("page_token")?,
    };
    let page = read(&house, who, move |tx, ctx| search::traces(tx, ctx, &wanted)).await?.map(shape);
    let mut shown = json!({});
    if !page.items.is_empty() {
        shown["traces"] = page.items.into();
    }
    if let Some(token) = page.next_token {
        shown["next_page_token"] = token.into();
    }
    answer_large(shown).await
}
