//! Experiments.

use access::Permission::{Edit, View};
use axum::extract::State;
use conductor::House;
use kernel::ctx::DEFAULT_WORKSPACE;
use serde::Serialize;
use serde_json::json;
use tracking::Pair;
use tracking::experiment::{self, Experiment};
use tracking::search::{self, ExperimentSearch};

use super::shape::{PairShape, pairs, read_pairs, read_view};
use super::{Answer, Body, Error, Routes, answer, answer_large, empty, read, write};
use crate::principal::Caller;
use crate::route::{get, post};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/experiments/create", post(Edit, create))
        .route("/experiments/get", get(View, get_by_id))
        .route("/experiments/get-by-name", get(View, get_by_name))
        .route("/experiments/search", post(View, search).get(View, search))
        .route("/experiments/delete", post(Edit, delete))
        .route("/experiments/restore", post(Edit, restore))
        .route("/experiments/update", post(Edit, update))
        .route("/experiments/set-experiment-tag", post(Edit, set_tag))
        .route("/experiments/delete-experiment-tag", post(Edit, delete_tag))
}

/// An experiment as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct Shape {
    experiment_id: String,
    name: String,
    artifact_location: String,
    lifecycle_stage: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    last_update_time: i64,
    #[serde(skip_serializing_if = "is_zero")]
    creation_time: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairShape>,
    workspace: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl Shape {
    pub(super) fn new(experiment: Experiment, workspace: &str) -> Self {
        Self {
            experiment_id: experiment.experiment_id,
            name: experiment.name,
            artifact_location: experiment.artifact_location,
            lifecycle_stage: experiment.stage.as_str(),
            last_update_time: experiment.updated_ms,
            creation_time: experiment.created_ms,
            tags: pairs(experiment.tags),
            workspace: workspace.to_owned(),
        }
    }
}

async fn create(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let name = fields.required("name")?;
    let location = fields.text("artifact_location")?.filter(|location| !location.is_empty());
    let location = location.map(|location| checked_location(&location)).transpose()?;
    if location.is_some() && &*house.workspace != DEFAULT_WORKSPACE {
        return Err(Error::invalid("artifact_location cannot be specified when workspaces are enabled"));
    }
    let tags = read_pairs(&fields, "tags")?;
    let create = move |tx: &mut db::Tx<'_>, ctx: &_| experiment::create(tx, ctx, &name, location.as_deref(), &tags);
    answer(json!({ "experiment_id": write(&house, who, create).await? }))
}

async fn get_by_id(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let id = body.fields().required("experiment_id")?;
    let found = read(&house, who, move |tx, ctx| experiment::get(tx, ctx, &id)).await?;
    answer(json!({ "experiment": Shape::new(found, &house.workspace) }))
}

async fn get_by_name(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let name = body.fields().required("experiment_name")?;
    let found = read(&house, who, move |tx, ctx| experiment::get_by_name(tx, ctx, &name)).await?;
    answer(json!({ "experiment": Shape::new(found, &house.workspace) }))
}

#[derive(Debug, Serialize)]
struct SearchAnswer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    experiments: Vec<Shape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

async fn search(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let wanted = ExperimentSearch {
        filter: fields.text_or_empty("filter")?,
        view: read_view(&fields, "view_type")?,
        max_results: fields.integer("max_results")?.unwrap_or(0),
        order_by: fields.texts("order_by")?,
        page_token: fields.text("page_token")?,
    };
    let page = read(&house, who, move |tx, ctx| search::experiments(tx, ctx, &wanted)).await?;
    let page = page.map(|found| Shape::new(found, &house.workspace));
    answer_large(SearchAnswer { experiments: page.items, next_page_token: page.next_token }).await
}

async fn delete(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let id = body.fields().required("experiment_id")?;
    write(&house, who, move |tx, ctx| experiment::delete(tx, ctx, &id)).await?;
    empty()
}

async fn restore(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let id = body.fields().required("experiment_id")?;
    write(&house, who, move |tx, ctx| experiment::restore(tx, ctx, &id)).await?;
    empty()
}

async fn update(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (id, name) = (fields.required("experiment_id")?, fields.required("new_name")?);
    write(&house, who, move |tx, ctx| experiment::rename(tx, ctx, &id, &name)).await?;
    empty()
}

async fn set_tag(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let id = fields.required("experiment_id")?;
    let tag = Pair { key: fields.required("key")?, value: fields.text_or_empty("value")? };
    write(&house, who, move |tx, ctx| experiment::set_tag(tx, ctx, &id, &tag)).await?;
    empty()
}

async fn delete_tag(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (id, key) = (fields.required("experiment_id")?, fields.required("key")?);
    write(&house, who, move |tx, ctx| experiment::delete_tag(tx, ctx, &id, &key)).await?;
    empty()
}

/// The longest location, in characters.
const MAX_LOCATION: usize = 2_048;

/// Where a client wants its artifacts. A relative path is one of this machine; a path that leads out of itself is refused.
fn checked_location(location: &str) -> Result<String, Error> {
    if location.contains(['#', ';']) {
        return Err(Error::invalid("'artifact_location' URL can't include fragments or params."));
    }
    if location.starts_with("runs:") {
        return Err(Error::invalid(format!("Artifact location cannot be a runs:/ URI. Given: '{location}'")));
    }
    let (path, query) = location.split_once('?').unwrap_or((location, ""));
    if query.contains("..") || path.split(['/', '\\']).any(|segment| segment == "..") {
        return Err(Error::invalid(format!("Invalid artifact location '{location}': it must not contain '..'")));
    }
    let resolved = if path.contains(':') || path.starts_with('/') {
        location.to_owned()
    } else {
        let absolute = std::path::absolute(location).map_err(|error| Error::invalid(error.to_string()))?;
        absolute.to_string_lossy().into_owned()
    };
    if resolved.chars().count() > MAX_LOCATION {
        return Err(Error::invalid(format!(
            "Invalid artifact path length. The length of the artifact path cannot be greater than {MAX_LOCATION} characters."
        )));
    }
    Ok(resolved)
}
