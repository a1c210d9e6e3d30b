//! Webhooks of the registry. Their secrets are taken and never sent.

use access::Permission::{Admin, View};
use axum::extract::{Path, State};
use conductor::{House, announce, outbound};
use registry::webhook::{self, Change, Webhook};
use serde::Serialize;
use serde_json::json;

use super::wire::Fields;
use super::{Answer, Body, Error, Routes, answer, empty, read, write};
use crate::principal::Caller;
use crate::route::{get, post};

/// The size of a page when none is asked for.
const DEFAULT_PAGE: i64 = 100;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/webhooks", post(Admin, create).get(View, list))
        .route("/webhooks/{webhook_id}", get(View, get_by_id).patch(Admin, update).delete(Admin, remove))
        .route("/webhooks/{webhook_id}/test", post(Admin, test))
}

#[derive(Debug, Serialize)]
struct Shape {
    webhook_id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    url: String,
    events: Vec<EventShape>,
    status: &'static str,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
}

#[derive(Debug, Serialize)]
struct EventShape {
    entity: String,
    action: String,
}

impl From<Webhook> for Shape {
    fn from(webhook: Webhook) -> Self {
        let event = |topic: &str| {
            let (entity, action) = topic.split_once('.').unwrap_or((topic, ""));
            EventShape { entity: entity.to_ascii_uppercase(), action: action.to_ascii_uppercase() }
        };
        Self {
            webhook_id: webhook.webhook_id,
            name: webhook.name,
            description: webhook.description,
            url: webhook.url,
            events: webhook.topics.into_iter().map(event).collect(),
            status: status_name(webhook.active),
            creation_timestamp: webhook.created_ms,
            last_updated_timestamp: webhook.updated_ms,
        }
    }
}

fn status_name(active: bool) -> &'static str {
    if active { "ACTIVE" } else { "DISABLED" }
}

/// The names behind the numbers that a client may send.
const ENTITIES: [&str; 11] = [
    "ENTITY_UNSPECIFIED",
    "REGISTERED_MODEL",
    "MODEL_VERSION",
    "MODEL_VERSION_TAG",
    "MODEL_VERSION_ALIAS",
    "PROMPT",
    "PROMPT_VERSION",
    "PROMPT_TAG",
    "PROMPT_VERSION_TAG",
    "PROMPT_ALIAS",
    "BUDGET_POLICY",
];
const ACTIONS: [&str; 6] = ["ACTION_UNSPECIFIED", "CREATED", "UPDATED", "DELETED", "SET", "EXCEEDED"];

fn read_topic(item: &Fields<'_>) -> Result<String, Error> {
    let named = |name, names: &'static [&'static str]| {
        let choices: Vec<(i64, &'static str)> = (0..).zip(names.iter().copied()).collect();
        let missing = || Error::missing(&format!("events.{name}"));
        Ok::<_, Error>(item.choice(name, &choices, |choice| choice)?.ok_or_else(missing)?.to_ascii_lowercase())
    };
    Ok(format!("{}.{}", named("entity", &ENTITIES)?, named("action", &ACTIONS)?))
}

fn read_change(fields: &Fields<'_>) -> Result<Change, Error> {
    let filled = |name| Ok::<_, Error>(fields.text(name)?.filter(|text| !text.is_empty()));
    let topics = fields.list("events")?.iter().map(read_topic).collect::<Result<Vec<_>, _>>()?;
    Ok(Change {
        name: filled("name")?,
        description: fields.text("description")?,
        url: filled("url")?,
        topics: Some(topics).filter(|topics| !topics.is_empty()),
        secret: fields.text("secret")?,
        active: fields.choice("status", &[(1, true), (2, false)], status_name)?,
    })
}

fn shown(webhook: Webhook) -> Answer {
    answer(json!({ "webhook": Shape::from(webhook) }))
}

async fn create(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    fields.required("name")?;
    let url = fields.required("url")?;
    let new = read_change(&fields)?;
    judged(&house, Some(&url)).await?;
    shown(write(&house, who, move |tx, ctx| webhook::create(tx, ctx, new)).await?)
}

/// A URL that may be called now. A name that does not resolve is a mistake here, not yet a failure.
async fn judged(house: &House, url: Option<&String>) -> Result<(), Error> {
    let Some(url) = url else { return Ok(()) };
    match outbound::judge(house, url).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::invalid(error.to_string())),
    }
}

async fn get_by_id(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>) -> Answer {
    shown(read(&house, who, move |tx, ctx| webhook::get(tx, ctx, &id)).await?)
}

#[derive(Debug, Serialize)]
struct ListAnswer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    webhooks: Vec<Shape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

async fn list(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let most = fields.integer("max_results")?.filter(|most| *most != 0).unwrap_or(DEFAULT_PAGE);
    let token = fields.text("page_token")?;
    let page = read(&house, who, move |tx, ctx| webhook::list(tx, ctx, most, token.as_deref())).await?.map(Shape::from);
    answer(ListAnswer { webhooks: page.items, next_page_token: page.next_token })
}

async fn update(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>, body: Body) -> Answer {
    let change = read_change(&body.fields())?;
    judged(&house, change.url.as_ref()).await?;
    shown(write(&house, who, move |tx, ctx| webhook::update(tx, ctx, &id, change)).await?)
}

async fn remove(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>) -> Answer {
    write(&house, who, move |tx, ctx| webhook::delete(tx, ctx, &id)).await?;
    empty()
}

async fn test(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>, body: Body) -> Answer {
    let topic = body.fields().object("event")?.map(|event| read_topic(&event)).transpose()?;
    let result = match announce::test(&house, who, id, topic).await? {
        Ok(answer) => json!({
            "success": answer.status < 400, "response_status": answer.status, "response_body": answer.body,
        }),
        Err(error) => json!({ "success": false, "error_message": format!("Failed to test webhook: {error}") }),
    };
    answer(json!({ "result": result }))
}
