//! Registered models, their tags and aliases.

use access::Permission::{Edit, View};
use axum::extract::State;
use conductor::House;
use registry::model::{self, Model, Search};
use registry::stage::Stage;
use registry::tag::Tag;
use registry::version;
use serde::Serialize;
use serde_json::json;

use super::model_version::VersionShape;
use super::shape::{PairShape, read_pairs};
use super::wire::Fields;
use super::{Answer, Body, Error, Routes, answer, answer_large, empty, read, write};
use crate::principal::Caller;
use crate::route::{delete, get, patch, post};

/// The size of a page when none is asked for.
const DEFAULT_PAGE: i64 = 100;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/registered-models/create", post(Edit, create))
        .route("/registered-models/get", get(View, get_by_name))
        .route("/registered-models/search", get(View, search))
        .route("/registered-models/rename", post(Edit, rename))
        .route("/registered-models/update", patch(Edit, update))
        .route("/registered-models/delete", delete(Edit, remove))
        .route("/registered-models/get-latest-versions", get(View, latest_versions).post(View, latest_versions))
        .route("/registered-models/set-tag", post(Edit, set_tag))
        .route("/registered-models/delete-tag", delete(Edit, delete_tag))
        .route("/registered-models/alias", get(View, get_by_alias).post(Edit, set_alias).delete(Edit, delete_alias))
}

#[derive(Debug, Serialize)]
struct Shape {
    name: String,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    latest_versions: Vec<VersionShape>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairShape>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<AliasShape>,
}

#[derive(Debug, Serialize)]
struct AliasShape {
    alias: String,
    version: String,
}

impl From<Model> for Shape {
    fn from(model: Model) -> Self {
        let alias = |alias: model::Alias| AliasShape { alias: alias.alias, version: alias.version };
        Self {
            name: model.name,
            creation_timestamp: model.created_ms,
            last_updated_timestamp: model.updated_ms,
            description: model.description,
            latest_versions: model.latest_versions.into_iter().map(VersionShape::from).collect(),
            tags: tags(model.tags),
            aliases: model.aliases.into_iter().map(alias).collect(),
        }
    }
}

fn shown(model: Model) -> Answer {
    answer(json!({ "registered_model": Shape::from(model) }))
}

/// Tags as they are sent.
pub(super) fn tags(tags: Vec<Tag>) -> Vec<PairShape> {
    tags.into_iter().map(|tag| PairShape::new(tag.key, tag.value)).collect()
}

/// Tags as they come.
pub(super) fn read_tags(fields: &Fields<'_>) -> Result<Vec<Tag>, Error> {
    let tag = |pair: tracking::Pair| Tag { key: pair.key, value: pair.value };
    Ok(read_pairs(fields, "tags")?.into_iter().map(tag).collect())
}

/// A search as it comes.
pub(super) fn read_search(fields: &Fields<'_>, default_page: i64) -> Result<Search, Error> {
    Ok(Search {
        filter: fields.text_or_empty("filter")?,
        order_by: fields.texts("order_by")?,
        max_results: fields.integer("max_results")?.unwrap_or(default_page),
        page_token: fields.text("page_token")?,
    })
}

async fn create(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, tags, description) = (fields.required("name")?, read_tags(&fields)?, fields.text("description")?);
    shown(write(&house, who, move |tx, ctx| model::create(tx, ctx, &name, tags, description.as_deref())).await?)
}

async fn get_by_name(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let name = body.fields().required("name")?;
    shown(read(&house, who, move |tx, ctx| model::get(tx, ctx, &name)).await?)
}

async fn rename(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, new_name) = (fields.required("name")?, fields.text_or_empty("new_name")?);
    shown(write(&house, who, move |tx, ctx| model::rename(tx, ctx, &name, &new_name)).await?)
}

async fn update(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, description) = (fields.required("name")?, fields.text("description")?);
    shown(write(&house, who, move |tx, ctx| model::update(tx, ctx, &name, description.as_deref())).await?)
}

async fn remove(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let name = body.fields().required("name")?;
    write(&house, who, move |tx, ctx| model::delete(tx, ctx, &name)).await?;
    empty()
}

#[derive(Debug, Serialize)]
struct SearchAnswer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    registered_models: Vec<Shape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

async fn search(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let wanted = read_search(&body.fields(), DEFAULT_PAGE)?;
    let page = read(&house, who, move |tx, ctx| model::search(tx, ctx, &wanted)).await?.map(Shape::from);
    answer_large(SearchAnswer { registered_models: page.items, next_page_token: page.next_token }).await
}

#[derive(Debug, Serialize)]
struct LatestAnswer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_versions: Vec<VersionShape>,
}

async fn latest_versions(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let name = fields.required("name")?;
    let stages = fields.texts("stages")?.iter().map(|stage| stage.parse()).collect::<Result<Vec<Stage>, _>>()?;
    let found = read(&house, who, move |tx, ctx| version::latest(tx, ctx, &name, &stages)).await?;
    answer(LatestAnswer { model_versions: found.into_iter().map(VersionShape::from).collect() })
}

async fn set_tag(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let name = fields.required("name")?;
    let tag = Tag { key: fields.required("key")?, value: fields.text_or_empty("value")? };
    write(&house, who, move |tx, ctx| model::set_tag(tx, ctx, &name, &tag)).await?;
    empty()
}

async fn delete_tag(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, key) = (fields.required("name")?, fields.required("key")?);
    write(&house, who, move |tx, ctx| model::delete_tag(tx, ctx, &name, &key)).await?;
    empty()
}

async fn get_by_alias(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, alias) = (fields.required("name")?, fields.required("alias")?);
    let found = read(&house, who, move |tx, ctx| model::get_by_alias(tx, ctx, &name, &alias)).await?;
    answer(json!({ "model_version": VersionShape::from(found) }))
}

async fn set_alias(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, alias) = (fields.required("name")?, fields.required("alias")?);
    let version = fields.required("version")?;
    write(&house, who, move |tx, ctx| {
        model::set_alias(tx, ctx, &name, &alias, &version, "the alias was set by an mlflow client")
    })
    .await?;
    empty()
}

async fn delete_alias(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, alias) = (fields.required("name")?, fields.required("alias")?);
    write(&house, who, move |tx, ctx| {
        model::delete_alias(tx, ctx, &name, &alias, "the alias was deleted by an mlflow client")
    })
    .await?;
    empty()
}
