//! Logged models, and the edges from runs to the models they wrote.

use access::Permission::{Edit, View};
use axum::extract::{Path, State};
use conductor::House;
use serde::Serialize;
use serde_json::json;
use tracking::logged_model::{self, LoggedModel, NewModel, Status};
use tracking::run::ModelOutput;
use tracking::search::{self, DatasetFilter, ModelOrder, ModelSearch};

use super::shape::{MetricShape, PairShape, metrics, pairs, read_pairs};

use super::{Answer, Body, Error, Fields, Routes, answer, answer_large, empty, read, write};
use crate::principal::Caller;
use crate::route::{delete, get, patch, post};

/// The size of a page when none is asked for.
const DEFAULT_PAGE: i64 = 50;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/logged-models", post(Edit, create))
        .route("/logged-models/search", post(View, search))
        .route("/logged-models/{model_id}", get(View, get_by_id).patch(Edit, finalize).delete(Edit, remove))
        .route("/logged-models/{model_id}/params", post(Edit, log_params))
        .route("/logged-models/{model_id}/tags", patch(Edit, set_tags))
        .route("/logged-models/{model_id}/tags/{*tag_key}", delete(Edit, delete_tag))
        .route("/runs/outputs", post(Edit, log_outputs))
}

#[derive(Debug, Serialize)]
struct Shape {
    info: InfoShape,
    data: DataShape,
}

#[derive(Debug, Serialize)]
struct InfoShape {
    model_id: String,
    experiment_id: String,
    name: String,
    creation_timestamp_ms: i64,
    last_updated_timestamp_ms: i64,
    artifact_uri: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairShape>,
}

#[derive(Debug, Serialize)]
struct DataShape {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<PairShape>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<MetricShape>,
}

impl From<LoggedModel> for Shape {
    fn from(model: LoggedModel) -> Self {
        let info = InfoShape {
            model_id: model.model_id,
            experiment_id: model.experiment_id,
            name: model.name,
            creation_timestamp_ms: model.created_ms,
            last_updated_timestamp_ms: model.updated_ms,
            artifact_uri: model.artifact_location,
            status: status_name(model.status),
            model_type: model.model_type,
            source_run_id: model.source_run_id,
            status_message: model.status_message,
            tags: pairs(model.tags),
        };
        Self { info, data: DataShape { params: pairs(model.params), metrics: metrics(model.metrics) } }
    }
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Pending => "LOGGED_MODEL_PENDING",
        Status::Ready => "LOGGED_MODEL_READY",
        Status::UploadFailed => "LOGGED_MODEL_UPLOAD_FAILED",
    }
}

fn shown(model: LoggedModel) -> Answer {
    answer(json!({ "model": Shape::from(model) }))
}

async fn create(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let new = NewModel {
        experiment_id: fields.required("experiment_id")?,
        name: fields.text("name")?.filter(|name| !name.is_empty()),
        model_type: fields.text("model_type")?,
        source_run_id: fields.text("source_run_id")?,
        params: read_pairs(&fields, "params")?,
        tags: read_pairs(&fields, "tags")?,
    };
    shown(write(&house, who, move |tx, ctx| logged_model::create(tx, ctx, new)).await?)
}

async fn get_by_id(
    State(house): State<House>,
    Caller(who): Caller,
    Path(model_id): Path<String>,
    body: Body,
) -> Answer {
    let allow_deleted = body.fields().flag("allow_deleted")?.unwrap_or(false);
    shown(read(&house, who, move |tx, ctx| logged_model::get(tx, ctx, &model_id, allow_deleted)).await?)
}

async fn finalize(State(house): State<House>, Caller(who): Caller, Path(model_id): Path<String>, body: Body) -> Answer {
    let status = body.fields().choice("status", &Status::ALL, status_name)?.ok_or_else(|| Error::missing("status"))?;
    shown(write(&house, who, move |tx, ctx| logged_model::finalize(tx, ctx, &model_id, status)).await?)
}

async fn remove(State(house): State<House>, Caller(who): Caller, Path(model_id): Path<String>) -> Answer {
    write(&house, who, move |tx, ctx| logged_model::delete(tx, ctx, &model_id)).await?;
    empty()
}

async fn log_params(
    State(house): State<House>,
    Caller(who): Caller,
    Path(model_id): Path<String>,
    body: Body,
) -> Answer {
    let params = read_pairs(&body.fields(), "params")?;
    write(&house, who, move |tx, ctx| logged_model::log_params(tx, ctx, &model_id, &params)).await?;
    empty()
}

async fn set_tags(State(house): State<House>, Caller(who): Caller, Path(model_id): Path<String>, body: Body) -> Answer {
    let tags = read_pairs(&body.fields(), "tags")?;
    write(&house, who, move |tx, ctx| logged_model::set_tags(tx, ctx, &model_id, &tags)).await?;
    empty()
}

async fn delete_tag(
    State(house): State<House>,
    Caller(who): Caller,
    Path((model_id, key)): Path<(String, String)>,
) -> Answer {
    write(&house, who, move |tx, ctx| logged_model::delete_tag(tx, ctx, &model_id, &key)).await?;
    empty()
}

async fn log_outputs(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let run_id = fields.required("run_id")?;
    let read = |item: &Fields<'_>| {
        Ok(ModelOutput { model_id: item.required("model_id")?, step: item.integer("step")?.unwrap_or(0) })
    };
    let models = fields.list("models")?.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    write(&house, who, move |tx, ctx| logged_model::log_outputs(tx, ctx, &run_id, &models)).await?;
    empty()
}

#[derive(Debug, Serialize)]
struct SearchAnswer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<Shape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

async fn search(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let experiment_ids = fields.texts("experiment_ids")?;
    let page_size = fields.integer("max_results")?.filter(|size| *size != 0).unwrap_or(DEFAULT_PAGE);
    let wanted = ModelSearch {
        experiment_ids,
        filter: fields.text_or_empty("filter")?,
        datasets: fields.list("datasets")?.iter().map(read_dataset).collect::<Result<_, Error>>()?,
        max_results: page_size,
        order_by: fields.list("order_by")?.iter().map(read_order).collect::<Result<_, Error>>()?,
        page_token: fields.text("page_token")?,
    };
    let page = read(&house, who, move |tx, ctx| search::logged_models(tx, ctx, &wanted)).await?.map(Shape::from);
    answer_large(SearchAnswer { models: page.items, next_page_token: page.next_token }).await
}

fn read_dataset(item: &Fields<'_>) -> Result<DatasetFilter, Error> {
    let digest = item.text("dataset_digest")?.filter(|digest| !digest.is_empty());
    Ok(DatasetFilter { name: item.text_or_empty("dataset_name")?, digest })
}

fn read_order(item: &Fields<'_>) -> Result<ModelOrder, Error> {
    Ok(ModelOrder {
        field_name: item.text_or_empty("field_name")?,
        ascending: item.flag("ascending")?.unwrap_or(true),
        dataset_name: item.text("dataset_name")?.filter(|name| !name.is_empty()),
        dataset_digest: item.text("dataset_digest")?.filter(|digest| !digest.is_empty()),
    })
}
