//! Evaluation datasets and their records. Tags and records travel as JSON in a text.

use access::Permission::{Edit, View};
use axum::extract::{Path, State};
use conductor::House;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tracking::evaluation_dataset::record::{self, Record};
use tracking::evaluation_dataset::{self, EvaluationDataset};
use tracking::search::{self, EvaluationDatasetSearch};

use super::wire::Fields;
use super::{Answer, Body, Error, Routes, answer, answer_large, empty, read, write};
use crate::principal::Caller;
use crate::route::{get, patch, post};

/// The size of a page when none is asked for.
const DEFAULT_PAGE: i64 = 1_000;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/datasets/create", post(Edit, create))
        .route("/datasets/search", post(View, search).get(View, search))
        .route("/datasets/{dataset_id}", get(View, get_one).delete(Edit, delete))
        .route("/datasets/{dataset_id}/tags", patch(Edit, set_tags))
        .route("/datasets/{dataset_id}/tags/{*key}", crate::route::delete(Edit, delete_tag))
        .route("/datasets/{dataset_id}/records", post(Edit, upsert).get(View, records).delete(Edit, delete_records))
        .route("/datasets/{dataset_id}/experiment-ids", get(View, experiment_ids))
        .route("/datasets/{dataset_id}/add-experiments", post(Edit, add_experiments))
        .route("/datasets/{dataset_id}/remove-experiments", post(Edit, remove_experiments))
}

/// A dataset as it is sent.
fn shape(dataset: EvaluationDataset) -> Value {
    let tags: Map<String, Value> = dataset.tags.into_iter().map(|tag| (tag.key, tag.value.into())).collect();
    let profile = (dataset.records > 0).then(|| format!("{{\"num_records\": {}}}", dataset.records));
    let mut shown = json!({
        "dataset_id": dataset.dataset_id,
        "name": dataset.name,
        "tags": Value::Object(tags).to_string(),
        "digest": dataset.digest,
        "created_time": dataset.created_ms,
        "last_update_time": dataset.updated_ms,
    });
    let texts = [
        ("schema", dataset.schema),
        ("profile", profile),
        ("created_by", dataset.created_by),
        ("last_updated_by", dataset.updated_by),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            shown[name] = text.into();
        }
    }
    shown
}

fn record_shape(record: Record) -> Value {
    let mut shown = json!({
        "dataset_record_id": record.record_id,
        "dataset_id": record.dataset_id,
        "inputs": record.inputs,
        "tags": record.tags.unwrap_or_else(|| json!({})),
        "created_time": record.created_ms,
        "last_update_time": record.updated_ms,
    });
    if let Some(source) = &record.source {
        let id = if source["source_type"] == "TRACE" { "trace_id" } else { "source_id" };
        if let Some(id) = source["source_data"].get(id) {
            shown["source_id"] = id.clone();
        }
        shown["source_type"] = source["source_type"].clone();
    }
    let others = [
        ("outputs", record.outputs),
        ("expectations", record.expectations),
        ("source", record.source),
        ("created_by", record.created_by.map(Value::from)),
        ("last_updated_by", record.updated_by.map(Value::from)),
    ];
    for (name, value) in others {
        if let Some(value) = value {
            shown[name] = value;
        }
    }
    shown
}

/// JSON in a text.
fn inner<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::invalid(format!("Invalid JSON in parameter '{name}': {error}")))
}

async fn create(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, ids) = (fields.required("name")?, fields.texts("experiment_ids")?);
    let tags = fields.text_or_empty("tags")?;
    let tags = if tags.is_empty() { Map::new() } else { inner::<Option<_>>("tags", &tags)?.unwrap_or_default() };
    let linked = ids.clone();
    let made = write(&house, who, move |tx, ctx| evaluation_dataset::create(tx, ctx, &name, &tags, &linked)).await?;
    let mut shown = shape(made);
    if !ids.is_empty() {
        shown["experiment_ids"] = ids.into();
    }
    answer(json!({ "dataset": shown }))
}

async fn get_one(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>) -> Answer {
    let found = read(&house, who, move |tx, ctx| evaluation_dataset::get(tx, ctx, &id)).await?;
    answer(json!({ "dataset": shape(found) }))
}

async fn delete(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>) -> Answer {
    write(&house, who, move |tx, ctx| evaluation_dataset::delete(tx, ctx, &id)).await?;
    empty()
}

async fn search(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let wanted = EvaluationDatasetSearch {
        experiment_ids: fields.texts("experiment_ids")?,
        filter: fields.text_or_empty("filter_string")?,
        max_results: fields.integer("max_results")?.unwrap_or(DEFAULT_PAGE),
        order_by: fields.texts("order_by")?,
        page_token: fields.text("page_token")?,
    };
    let page = read(&house, who, move |tx, ctx| search::evaluation_datasets(tx, ctx, &wanted)).await?.map(shape);
    let mut shown = Map::new();
    if !page.items.is_empty() {
        shown.insert("datasets".to_owned(), page.items.into());
    }
    if let Some(token) = page.next_token {
        shown.insert("next_page_token".to_owned(), token.into());
    }
    answer_large(Value::Object(shown)).await
}

async fn set_tags(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>, body: Body) -> Answer {
    let tags: Map<String, Value> = inner("tags", &body.fields().required("tags")?)?;
    write(&house, who, move |tx, ctx| evaluation_dataset::set_tags(tx, ctx, &id, &tags)).await?;
    empty()
}

async fn delete_tag(
    State(house): State<House>,
    Caller(who): Caller,
    Path((id, key)): Path<(String, String)>,
) -> Answer {
    write(&house, who, move |tx, ctx| evaluation_dataset::delete_tag(tx, ctx, &id, &key)).await?;
    empty()
}

async fn upsert(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>, body: Body) -> Answer {
    let records: Vec<Value> = inner("records", &body.fields().required("records")?)?;
    let counts = write(&house, who, move |tx, ctx| record::upsert(tx, ctx, &id, &records)).await?;
    answer(json!({ "inserted_count": counts.inserted, "updated_count": counts.updated }))
}

async fn records(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>, body: Body) -> Answer {
    let fields = body.fields();
    let max_results = fields.integer("max_results")?.filter(|most| *most != 0).unwrap_or(DEFAULT_PAGE);
    let token = fields.text("page_token")?;
    let page = read(&house, who, move |tx, ctx| record::page(tx, ctx, &id, max_results, token.as_deref())).await?;
    let records: Value = page.items.into_iter().map(record_shape).collect();
    let mut shown = json!({ "records": records.to_string() });
    if let Some(token) = page.next_token {
        shown["next_page_token"] = token.into();
    }
    answer_large(shown).await
}

async fn delete_records(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>, body: Body) -> Answer {
    let records = body.fields().texts("dataset_record_ids")?;
    let gone = write(&house, who, move |tx, ctx| record::delete(tx, ctx, &id, &records)).await?;
    answer(json!({ "deleted_count": gone }))
}

async fn experiment_ids(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>) -> Answer {
    let ids = read(&house, who, move |tx, ctx| evaluation_dataset::experiment_ids(tx, ctx, &id)).await?;
    answer(if ids.is_empty() { json!({}) } else { json!({ "experiment_ids": ids }) })
}

fn linked(fields: &Fields<'_>) -> Result<Vec<String>, Error> {
    fields.texts("experiment_ids")
}

async fn add_experiments(
    State(house): State<House>,
    Caller(who): Caller,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let ids = linked(&body.fields())?;
    let found = write(&house, who, move |tx, ctx| evaluation_dataset::add_experiments(tx, ctx, &id, &ids)).await?;
    answer(json!({ "dataset": shape(found) }))
}

async fn remove_experiments(
    State(house): State<House>,
    Caller(who): Caller,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let ids = linked(&body.fields())?;
    let found = write(&house, who, move |tx, ctx| evaluation_dataset::remove_experiments(tx, ctx, &id, &ids)).await?;
    answer(json!({ "dataset": shape(found) }))
}
