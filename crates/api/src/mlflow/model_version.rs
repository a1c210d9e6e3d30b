//! Versions of registered models.

use access::Permission::{Edit, View};
use axum::extract::State;
use conductor::House;
use registry::stage::Stage;
use registry::tag::{IS_PROMPT, Tag};
use registry::version::{self, NewVersion, Version};
use serde::Serialize;
use serde_json::json;
use tracking::logged_model;

use super::registered_model::{read_search, read_tags, tags};
use super::shape::PairShape;
use super::source::{self, Claim};
use super::{Answer, Body, Error, Routes, answer, answer_large, empty, read, write};
use crate::principal::Caller;
use crate::route::{delete, get, patch, post};

/// The size of a page when none is asked for.
const DEFAULT_PAGE: i64 = 200_000;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/model-versions/create", post(Edit, create))
        .route("/model-versions/get", get(View, get_by_number))
        .route("/model-versions/search", get(View, search))
        .route("/model-versions/update", patch(Edit, update))
        .route("/model-versions/transition-stage", post(Edit, transition_stage))
        .route("/model-versions/delete", delete(Edit, remove))
        .route("/model-versions/get-download-uri", get(View, download_uri))
        .route("/model-versions/set-tag", post(Edit, set_tag))
        .route("/model-versions/delete-tag", delete(Edit, delete_tag))
}

/// A version as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct VersionShape {
    name: String,
    version: String,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    current_stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<String>,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairShape>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
}

impl From<Version> for VersionShape {
    fn from(version: Version) -> Self {
        Self {
            name: version.name,
            version: version.version,
            creation_timestamp: version.created_ms,
            last_updated_timestamp: version.updated_ms,
            current_stage: version.stage.as_str(),
            description: version.description,
            source: version.source,
            run_id: version.run_id,
            run_link: version.run_link,
            model_id: version.model_id,
            status: version.status,
            status_message: version.status_message,
            tags: tags(version.tags),
            aliases: version.aliases,
        }
    }
}

fn shown(version: Version) -> Answer {
    answer(json!({ "model_version": VersionShape::from(version) }))
}

async fn create(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let filled = |name| Ok::<_, Error>(fields.text(name)?.filter(|text| !text.is_empty()));
    let tags = read_tags(&fields)?;
    let claim = Claim {
        source: fields.required("source")?,
        run_id: filled("run_id")?,
        model_id: filled("model_id")?,
        // As with any key that comes twice, the last one counts.
        is_prompt: tags.iter().rev().find(|tag| tag.key == IS_PROMPT).is_some_and(|tag| tag.value == "true"),
    };
    let new = NewVersion {
        name: fields.required("name")?,
        run_link: filled("run_link")?,
        description: fields.text("description")?,
        tags,
        ..NewVersion::default()
    };
    let made = write(&house, who, move |tx, ctx| {
        let origin = source::resolve(tx, ctx, claim)?;
        let new = NewVersion {
            source: origin.source,
            storage_location: Some(origin.location),
            run_id: origin.run_id,
            model_id: origin.model_id,
            ..new
        };
        let made = version::create(tx, ctx, new)?;
        if let (Some(model_id), Ok(number)) = (&made.model_id, made.version.parse()) {
            logged_model::note_version(tx, ctx, model_id, &made.name, number)?;
        }
        Ok::<_, Error>(made)
    })
    .await?;
    shown(made)
}

async fn get_by_number(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, version) = (fields.required("name")?, fields.required("version")?);
    shown(read(&house, who, move |tx, ctx| version::get(tx, ctx, &name, &version)).await?)
}

#[derive(Debug, Serialize)]
struct SearchAnswer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_versions: Vec<VersionShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

async fn search(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let wanted = read_search(&body.fields(), DEFAULT_PAGE)?;
    let page = read(&house, who, move |tx, ctx| version::search(tx, ctx, &wanted)).await?.map(VersionShape::from);
    answer_large(SearchAnswer { model_versions: page.items, next_page_token: page.next_token }).await
}

async fn update(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, version) = (fields.required("name")?, fields.required("version")?);
    let description = fields.text("description")?;
    shown(write(&house, who, move |tx, ctx| version::update(tx, ctx, &name, &version, description.as_deref())).await?)
}

async fn transition_stage(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, version) = (fields.required("name")?, fields.required("version")?);
    let stage: Stage = fields.required("stage")?.parse()?;
    let archive = fields.flag("archive_existing_versions")?.unwrap_or(false);
    let reason = "the stage was set by an mlflow client";
    shown(
        write(&house, who, move |tx, ctx| version::transition_stage(tx, ctx, &name, &version, stage, archive, reason))
            .await?,
    )
}

async fn remove(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, version) = (fields.required("name")?, fields.required("version")?);
    let reason = "the version was deleted by an mlflow client";
    write(&house, who, move |tx, ctx| version::delete(tx, ctx, &name, &version, reason)).await?;
    empty()
}

async fn download_uri(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, version) = (fields.required("name")?, fields.required("version")?);
    let uri = read(&house, who, move |tx, ctx| version::download_uri(tx, ctx, &name, &version)).await?;
    answer(json!({ "artifact_uri": uri }))
}

async fn set_tag(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, version) = (fields.required("name")?, fields.required("version")?);
    let tag = Tag { key: fields.required("key")?, value: fields.text_or_empty("value")? };
    write(&house, who, move |tx, ctx| version::set_tag(tx, ctx, &name, &version, &tag)).await?;
    empty()
}

async fn delete_tag(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, version, key) = (fields.required("name")?, fields.required("version")?, fields.required("key")?);
    write(&house, who, move |tx, ctx| version::delete_tag(tx, ctx, &name, &version, &key)).await?;
    empty()
}
