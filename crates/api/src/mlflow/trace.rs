//! Traces: what clients say of them, their tags, links and search. Their spans come by OTLP.

use std::time::Duration;

use access::Permission::{Edit, View};
use axum::extract::{Path, State};
use conductor::House;
use kernel::clock;
use kernel::ctx::Principal;
use serde_json::{Map, Value, json};
use tracking::Pair;
use tracking::search::{self, TraceSearch};
use tracking::trace::{self, Deletion, SPANS_TAG, State as TraceState, Trace, span};

use super::assessment;
use super::wire::Fields;
use super::{Answer, Body, Error, Routes, answer, answer_large, empty, read, write};
use crate::principal::Caller;
use crate::route::{get, patch, post};

mod metrics;
mod v2;

/// The size of a page when none is asked for.
const DEFAULT_PAGE: i64 = 100;
/// How long a reader waits for spans that are on their way.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/traces", post(Edit, start).get(View, v2::search))
        .route("/traces/search", post(View, search))
        .route("/traces/metrics", post(View, metrics::query))
        .route("/traces/get", get(View, get_whole))
        .route("/traces/batchGet", get(View, get_many))
        .route("/traces/batchGetInfos", post(View, get_infos))
        .route("/traces/delete-traces", post(Edit, delete))
        .route("/traces/link-to-run", post(Edit, link_to_run))
        .route("/traces/link-prompts", post(Edit, link_prompts))
        .route("/traces/{trace_id}", get(View, get_info).patch(Edit, v2::end))
        .route("/traces/{trace_id}/info", get(View, v2::get_info))
        .route("/traces/{trace_id}/tags", patch(Edit, set_tag).delete(Edit, delete_tag))
        .route("/get-trace-artifact", get(View, artifact))
}

fn shape(trace: Trace) -> Value {
    let texts =
        |pairs: Vec<Pair>| pairs.into_iter().map(|pair| (pair.key, pair.value.into())).collect::<Map<_, Value>>();
    let mut shown = json!({
        "trace_id": trace.trace_id,
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": trace.experiment_id },
        },
        "request_time": clock::rfc3339(trace.request_ms.saturating_mul(1_000)),
        "state": trace.state.as_str(),
        "trace_metadata": texts(trace.metadata),
        "tags": texts(trace.tags),
    });
    if let Some(shown) = shown.as_object_mut() {
        let texts = [
            ("client_request_id", trace.client_request_id),
            ("request_preview", trace.request_preview),
            ("response_preview", trace.response_preview),
            ("execution_duration", trace.duration_ms.map(duration)),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                shown.insert(name.to_owned(), text.into());
            }
        }
        if !trace.assessments.is_empty() {
            shown.insert("assessments".to_owned(), trace.assessments.into_iter().map(assessment::shape).collect());
        }
    }
    shown
}

/// A proto duration: `1.5s`.
fn duration(ms: i64) -> String {
    let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
    if ms % 1_000 == 0 { format!("{sign}{}s", ms / 1_000) } else { format!("{sign}{}.{:03}s", ms / 1_000, ms % 1_000) }
}

fn read_duration(text: &str) -> Option<i64> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    let ms = (seconds * 1_000.0).round();
    (ms.abs() < 9e15).then_some(ms as i64)
}

/// A point in time as proto's JSON has it, in milliseconds since the epoch.
pub(super) fn read_time(fields: &Fields<'_>, name: &'static str) -> Result<Option<i64>, Error> {
    let Some(text) = fields.text(name)? else { return Ok(None) };
    let wrong =
        || Error::invalid(format!("Invalid value \"{text}\" for parameter '{name}' supplied: expected RFC 3339"));
    let at: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    Ok(Some(at.as_millisecond()))
}

fn read_location(location: &Fields<'_>) -> Result<String, Error> {
    let place = location.object("mlflow_experiment")?;
    let place = place.ok_or_else(|| Error::missing("trace_location.mlflow_experiment"))?;
    place.required("experiment_id")
}

fn read_info(info: &Fields<'_>) -> Result<Trace, Error> {
    let choices = TraceState::ALL;
    let location = info.object("trace_location")?.ok_or_else(|| Error::missing("trace_location"))?;
    let duration = info.text("execution_duration")?.map(|text| {
        read_duration(&text).ok_or_else(|| {
            Error::invalid(format!(
                "Invalid value \"{text}\" for parameter 'execution_duration' supplied: expected seconds, as 1.5s"
            ))
        })
    });
    Ok(Trace {
        trace_id: info.required("trace_id")?,
        experiment_id: read_location(&location)?,
        client_request_id: info.text("client_request_id")?,
        request_ms: read_time(info, "request_time")?.unwrap_or(0),
        duration_ms: duration.transpose()?,
        state: info.choice("state", &choices, TraceState::as_str)?.unwrap_or_default(),
        request_preview: info.text("request_preview")?,
        response_preview: info.text("response_preview")?,
        metadata: info.text_map("trace_metadata")?,
        tags: info.text_map("tags")?,
        assessments: Vec::new(),
    })
}

async fn start(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let trace = match fields.object("trace")? {
        None if fields.value("experiment_id")?.is_some() => return v2::start(&house, who, &fields).await,
        trace => trace.ok_or_else(|| Error::missing("trace"))?,
    };
    let info = trace.object("trace_info")?.ok_or_else(|| Error::missing("trace.trace_info"))?;
    let new = read_info(&info)?;
    let judged = info.list("assessments")?.iter().map(assessment::read_new).collect::<Result<Vec<_>, _>>()?;
    let made = write(&house, who, move |tx, ctx| trace::start(tx, ctx, new, judged)).await?;
    answer(json!({ "trace": { "trace_info": shape(made) } }))
}

async fn get_info(State(house): State<House>, Caller(who): Caller, Path(trace_id): Path<String>) -> Answer {
    let found = read(&house, who, move |tx, ctx| trace::get(tx, ctx, &trace_id)).await?;
    answer(json!({ "trace": { "trace_info": shape(found) } }))
}

/// Traces with their spans; one whose spans are elsewhere has none.
async fn whole(house: &House, who: Principal, trace_ids: Vec<String>) -> Result<Vec<(Trace, Vec<String>)>, Error> {
    read(house, who, move |tx, ctx| {
        let traces = trace::get_many(tx, ctx, &trace_ids)?;
        let ids: Vec<String> = traces.iter().map(|trace| trace.trace_id.clone()).collect();
        let mut spans = span::of_traces(tx, &ids)?;
        let with = |trace: Trace| {
            let own = spans.remove(&trace.trace_id).unwrap_or_default();
            (trace, own)
        };
        Ok::<_, tracking::Error>(traces.into_iter().map(with).collect())
    })
    .await
}

/// False while spans are on their way: the client says how many there will be.
fn is_complete((trace, spans): &(Trace, Vec<String>)) -> bool {
    let stats = trace.metadata.iter().find(|pair| pair.key == "mlflow.trace.sizeStats");
    let stats: Option<Value> = stats.and_then(|pair| serde_json::from_str(&pair.value).ok());
    let expected = stats.and_then(|stats| stats["num_spans"].as_u64()).unwrap_or(1);
    spans.len() as u64 >= expected
}

fn whole_shape((trace, spans): (Trace, Vec<String>)) -> Result<Value, Error> {
    let spans = spans.iter().map(|text| serde_json::from_str::<Value>(text)).collect::<Result<Vec<_>, _>>();
    let spans = spans.map_err(|error| Error::from(db::Error::corrupt("content", error)))?;
    Ok(json!({ "trace_info": shape(trace), "spans": spans }))
}

async fn get_whole(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (trace_id, partial) = (fields.required("trace_id")?, fields.flag("allow_partial")?.unwrap_or(false));
    let missing = || Error::not_found(format!("Trace with ID {trace_id} is not found."));
    let late = "is not fully exported yet, please try again later.";
    let incomplete = || Error::not_found(format!("Trace with ID {trace_id} {late}"));
    let arrives = arrived(&house, &who, &trace_id, partial);
    let found = tokio::time::timeout(PATIENCE, arrives).await.map_err(|_| incomplete())??;
    answer_large(json!({ "trace": whole_shape(found.ok_or_else(missing)?)? })).await
}

/// A trace as soon as all its spans are there.
async fn arrived(
    house: &House,
    who: &Principal,
    trace_id: &str,
    partial: bool,
) -> Result<Option<(Trace, Vec<String>)>, Error> {
    let mut commits = house.db.subscribe();
    loop {
        match whole(house, who.clone(), vec![trace_id.to_owned()]).await?.pop() {
            Some(found) if !partial && !is_complete(&found) => {
                let _closed = commits.changed().await;
            }
            found => return Ok(found),
        }
    }
}

async fn get_many(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let ids = some_ids(&body.fields())?;
    let found = whole(&house, who, ids).await?;
    let complete = found.into_iter().filter(is_complete).map(whole_shape).collect::<Result<Vec<_>, _>>()?;
    answer_large(if complete.is_empty() { json!({}) } else { json!({ "traces": complete }) }).await
}

async fn get_infos(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let ids = some_ids(&body.fields())?;
    let found = read(&house, who, move |tx, ctx| trace::get_many(tx, ctx, &ids)).await?;
    let found: Vec<Value> = found.into_iter().map(shape).collect();
    answer_large(if found.is_empty() { json!({}) } else { json!({ "trace_infos": found }) }).await
}

/// Most traces asked for at once.
const MAX_IDS: usize = 1_000;

fn some_ids(fields: &Fields<'_>) -> Result<Vec<String>, Error> {
    let ids = fields.texts("trace_ids")?;
    match ids.len() {
        0 => Err(Error::missing("trace_ids")),
        1..=MAX_IDS => Ok(ids),
        got => Err(Error::invalid(format!("'trace_ids' can name at most {MAX_IDS} traces. Got {got}."))),
    }
}

async fn search(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let wanted = TraceSearch {
        experiment_ids: fields.list("locations")?.iter().map(read_location).collect::<Result<_, _>>()?,
        filter: fields.text_or_empty("filter")?,
        order_by: fields.texts("order_by")?,
        max_results: fields.integer("max_results")?.unwrap_or(DEFAULT_PAGE),
        page_token: fields.text("page_token")?,
    };
    let page = read(&house, who, move |tx, ctx| search::traces(tx, ctx, &wanted)).await?.map(shape);
    let mut shown = Map::new();
    if !page.items.is_empty() {
        shown.insert("traces".to_owned(), page.items.into());
    }
    if let Some(token) = page.next_token {
        shown.insert("next_page_token".to_owned(), token.into());
    }
    answer_large(Value::Object(shown)).await
}

async fn delete(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let wanted = Deletion {
        experiment_id: fields.required("experiment_id")?,
        trace_ids: fields.texts("request_ids")?,
        until_ms: fields.integer("max_timestamp_millis")?,
        most: fields.integer("max_traces")?,
    };
    let gone = write(&house, who, move |tx, ctx| trace::delete(tx, ctx, &wanted)).await?;
    for place in gone.iter().filter_map(|files| blob::artifact_path(files).ok()) {
        // The traces are gone; files that stay behind belong to nothing and are swept later.
        if let Err(error) = house.blob.delete_all(place.as_str()).await {
            tracing::warn!(files = %place, %error, "the files of a deleted trace could not be deleted");
        }
    }
    answer(json!({ "traces_deleted": gone.len() }))
}

async fn link_to_run(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (run_id, ids) = (fields.required("run_id")?, fields.texts("trace_ids")?);
    write(&house, who, move |tx, ctx| trace::link_to_run(tx, ctx, &run_id, &ids)).await?;
    empty()
}

async fn link_prompts(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let trace_id = fields.required("trace_id")?;
    let prompt =
        |item: &Fields<'_>| Ok::<_, Error>(format!("{}/{}", item.required("name")?, item.required("version")?));
    let prompts = fields.list("prompt_versions")?.iter().map(prompt).collect::<Result<Vec<_>, _>>()?;
    write(&house, who, move |tx, ctx| trace::link_prompts(tx, ctx, &trace_id, &prompts)).await?;
    empty()
}

async fn set_tag(State(house): State<House>, Caller(who): Caller, Path(trace_id): Path<String>, body: Body) -> Answer {
    let fields = body.fields();
    let tag = Pair { key: fields.required("key")?, value: fields.text_or_empty("value")? };
    write(&house, who, move |tx, ctx| trace::set_tag(tx, ctx, &trace_id, tag)).await?;
    empty()
}

async fn delete_tag(
    State(house): State<House>,
    Caller(who): Caller,
    Path(trace_id): Path<String>,
    body: Body,
) -> Answer {
    let key = body.fields().required("key")?;
    write(&house, who, move |tx, ctx| trace::delete_tag(tx, ctx, &trace_id, &key)).await?;
    empty()
}

/// The spans as MLflow's page asks for them.
async fn artifact(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let trace_id = fields.required("request_id")?;
    let missing = Error::not_found(format!("Trace with ID {trace_id} is not found."));
    let found = whole(&house, who, vec![trace_id]).await?.pop().ok_or(missing)?;
    if found.0.tag(SPANS_TAG).is_none() {
        return Err(Error::not_found("the spans of this trace were not sent to this server"));
    }
    answer_large(whole_shape(found)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_protos() {
        for (ms, text) in [(0, "0s"), (62, "0.062s"), (1_500, "1.500s"), (2_000, "2s"), (-7, "-0.007s")] {
            assert_eq!((duration(ms).as_str(), read_duration(text)), (text, Some(ms)));
        }
        assert_eq!(read_duration("1.5s"), Some(1_500));
        assert_eq!((read_duration("1.5"), read_duration("xs"), read_duration("1e300s")), (None, None, None));
    }
}
