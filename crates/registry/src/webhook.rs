//! Webhooks: who is told of what happens in the registry, in MLflow's terms. Calling them is the conductor's; a secret can be
//! written here and read by nobody but [`target`].

use db::{Row, Sql, Tx, Value};
use kernel::ctx::Ctx;
use kernel::page::{self, Page};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

mod announce;

pub(crate) use announce::{announce, is_prompt, of_model, of_version};

/// What a webhook can wait for: `entity.action`. Nothing sends the last one: there are no budgets yet.
pub const TOPICS: [&str; 15] = [
    "registered_model.created",
    "model_version.created",
    "model_version_tag.set",
    "model_version_tag.deleted",
    "model_version_alias.created",
    "model_version_alias.deleted",
    "prompt.created",
    "prompt_version.created",
    "prompt_tag.set",
    "prompt_tag.deleted",
    "prompt_version_tag.set",
    "prompt_version_tag.deleted",
    "prompt_alias.created",
    "prompt_alias.deleted",
    "budget_policy.exceeded",
];

/// Longest name, URL and text, characters.
const MAX_NAME: usize = 63;
const MAX_URL: usize = 2_048;
const MAX_TEXT: usize = 5_000;
/// Most webhooks on a page.
const MAX_PAGE: i64 = 1_000;

/// A webhook, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// A UUID.
    pub webhook_id: String,
    /// Letters, digits, dots, underscores and dashes.
    pub name: String,
    /// What people say of it.
    pub description: Option<String>,
    /// Where to.
    pub url: String,
    /// What it waits for: of [`TOPICS`], in their order.
    pub topics: Vec<&'static str>,
    /// Whether it is called.
    pub active: bool,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
    /// Milliseconds since the epoch.
    pub updated_ms: i64,
}

/// What is to be set; what is `None` is left as it is, or empty in a new one.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// See [`Webhook::name`]; a new one must have it.
    pub name: Option<String>,
    /// An empty one clears it.
    pub description: Option<String>,
    /// See [`Webhook::url`]; a new one must have it. Whether it may be called is the caller's to check.
    pub url: Option<String>,
    /// See [`Webhook::topics`]; a new one must have some.
    pub topics: Option<Vec<String>>,
    /// The key of the signature; an empty one ends signing.
    pub secret: Option<String>,
    /// See [`Webhook::active`]; a new one is.
    pub active: Option<bool>,
}

/// What a delivery needs. Not to be shown or logged.
#[derive(Clone)]
pub struct Target {
    /// Where to.
    pub url: String,
    /// The key of the signature.
    pub secret: Option<String>,
}

/// Makes a webhook.
pub fn create(tx: &mut Tx<'_>, ctx: &Ctx, new: Change) -> Result<Webhook> {
    let topics = check(&new)?;
    let missing = |field| {
        let docs = "See the API docs for more information about request parameters.";
        Error::invalid(field, format!("Missing value for required parameter '{field}'. {docs}"))
    };
    let topics = topics.ok_or_else(|| missing("events"))?;
    let id = kernel::id::new();
    tx.execute(
        "INSERT INTO registry_webhooks (webhook_id, workspace, name, description, url, secret, active, created_ms, updated_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        &[
            id.as_str().into(),
            ctx.workspace.as_str().into(),
            new.name.ok_or_else(|| missing("name"))?.into(),
            filled(new.description).into(),
            new.url.ok_or_else(|| missing("url"))?.into(),
            filled(new.secret).into(),
            new.active.unwrap_or(true).into(),
            ctx.now_ms().into(),
        ],
    )?;
    subscribe(tx, &id, &topics)?;
    get(tx, ctx, &id)
}

/// A webhook by id.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, id: &str) -> Result<Webhook> {
    let mut sql = Sql::new();
    sql.push(SELECT).bind(ctx.workspace.as_str()).push(" AND webhook_id = ").bind(id);
    fetch(tx, &sql)?.pop().ok_or_else(|| Error::WebhookNotFound(id.to_owned()))
}

#[derive(Serialize, Deserialize)]
struct Position {
    offset: i64,
}

/// Webhooks, the newest first.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx, max_results: i64, token: Option<&str>) -> Result<Page<Webhook>> {
    if !(1..=MAX_PAGE).contains(&max_results) {
        return Err(Error::invalid("max_results", format!("max_results must be between 1 and {MAX_PAGE}.")));
    }
    let unreadable = || Error::invalid("page_token", "Invalid page token, could not base64-decode");
    let offset = match token.filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => {
            page::decode::<Position>(token).map(|at| at.offset).filter(|at| *at >= 0).ok_or_else(unreadable)?
        }
    };
    let mut sql = Sql::new();
    sql.push(SELECT).bind(ctx.workspace.as_str()).push(" ORDER BY created_ms DESC, webhook_id DESC LIMIT ");
    sql.bind(max_results + 1).push(" OFFSET ").bind(offset);
    let mut items = fetch(tx, &sql)?;
    let length = usize::try_from(max_results).unwrap_or(usize::MAX);
    let more = items.len() > length;
    items.truncate(length);
    Ok(Page { items, next_token: more.then(|| page::encode(&Position { offset: offset + max_results })) })
}

/// Changes what is given.
pub fn update(tx: &mut Tx<'_>, ctx: &Ctx, id: &str, change: Change) -> Result<Webhook> {
    let topics = check(&change)?;
    get(tx, ctx, id)?;
    let mut sql = Sql::new();
    sql.push("UPDATE registry_webhooks SET updated_ms = ").bind(ctx.now_ms());
    let texts = [
        (", name = ", change.name.map(Some)),
        (", url = ", change.url.map(Some)),
        (", description = ", change.description.map(|text| filled(Some(text)))),
        (", secret = ", change.secret.map(|text| filled(Some(text)))),
    ];
    for (set, text) in texts {
        if let Some(text) = text {
            sql.push(set).bind(Value::from(text));
        }
    }
    if let Some(active) = change.active {
        sql.push(", active = ").bind(active);
    }
    sql.push(" WHERE webhook_id = ").bind(id);
    tx.execute_built(&sql)?;
    if let Some(topics) = topics {
        tx.execute("DELETE FROM registry_webhook_topics WHERE webhook_id = $1", &[id.into()])?;
        subscribe(tx, id, &topics)?;
    }
    get(tx, ctx, id)
}

/// Deletes a webhook; what waits to be delivered to it is not.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, id: &str) -> Result<()> {
    get(tx, ctx, id)?;
    tx.execute("DELETE FROM registry_webhooks WHERE webhook_id = $1", &[id.into()])?;
    Ok(())
}

/// The active webhooks that wait for a topic, the oldest first.
pub fn waiting_for(tx: &mut Tx<'_>, ctx: &Ctx, topic: &str) -> Result<Vec<String>> {
    let rows = tx.query(
        "SELECT w.webhook_id FROM registry_webhook_topics t JOIN registry_webhooks w ON w.webhook_id = t.webhook_id
         WHERE t.topic = $1 AND w.workspace = $2 AND w.active ORDER BY w.created_ms, w.webhook_id",
        &[topic.into(), ctx.workspace.as_str().into()],
    )?;
    Ok(rows.iter().map(|row| row.text("webhook_id")).collect::<Result<_, _>>()?)
}

/// Where a delivery goes; `None` if the webhook is gone or, unless `also_disabled`, not active.
pub fn target(tx: &mut Tx<'_>, ctx: &Ctx, id: &str, also_disabled: bool) -> Result<Option<Target>> {
    let row = tx.query_opt(
        "SELECT url, secret, active FROM registry_webhooks WHERE workspace = $1 AND webhook_id = $2",
        &[ctx.workspace.as_str().into(), id.into()],
    )?;
    let Some(row) = row else { return Ok(None) };
    let target = Target { url: row.text("url")?, secret: row.opt_text("secret")? };
    Ok((also_disabled || row.bool("active")?).then_some(target))
}

/// Holds what is given to the rules; returns the topics by their names.
fn check(change: &Change) -> Result<Option<Vec<&'static str>>> {
    let too_long = |text: &Option<String>, most: usize| text.as_ref().is_some_and(|text| text.chars().count() > most);
    if let Some(name) = &change.name {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let inner = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if !inner || !ends(name.chars().next()) || !ends(name.chars().last()) || too_long(&change.name, MAX_NAME) {
            let message = format!(
                "Webhook name '{name}' is invalid. It must start and end with a letter or digit, be less than {MAX_NAME} \
                 characters long, and contain only letters, digits, dots (.), underscores (_), and hyphens (-)."
            );
            return Err(Error::invalid("name", message));
        }
    }
    for (field, text, most) in [
        ("url", &change.url, MAX_URL),
        ("description", &change.description, MAX_TEXT),
        ("secret", &change.secret, MAX_TEXT),
    ] {
        if too_long(text, most) {
            return Err(Error::invalid(field, format!("'{field}' exceeds the maximum length of {most} characters")));
        }
    }
    change.topics.as_deref().map(topics).transpose()
}

fn topics(asked: &[String]) -> Result<Vec<&'static str>> {
    if asked.is_empty() {
        return Err(Error::invalid("events", "Webhook events must be a non-empty list."));
    }
    if let Some(unknown) = asked.iter().find(|topic| !TOPICS.contains(&topic.as_str())) {
        let message = format!("Invalid webhook event '{unknown}'. Valid events are {}", TOPICS.join(", "));
        return Err(Error::invalid("events", message));
    }
    Ok(TOPICS.into_iter().filter(|topic| asked.iter().any(|asked| asked == topic)).collect())
}

fn subscribe(tx: &mut Tx<'_>, id: &str, topics: &[&'static str]) -> Result<()> {
    for topic in topics {
        tx.execute(
            "INSERT INTO registry_webhook_topics (webhook_id, topic) VALUES ($1, $2)",
            &[id.into(), (*topic).into()],
        )?;
    }
    Ok(())
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

const SELECT: &str = "SELECT webhook_id, name, description, url, active, created_ms, updated_ms
    FROM registry_webhooks WHERE workspace = ";

fn fetch(tx: &mut Tx<'_>, sql: &Sql) -> Result<Vec<Webhook>> {
    let rows = tx.query_built(sql)?;
    rows.iter().map(|row| read(tx, row)).collect()
}

fn read(tx: &mut Tx<'_>, row: &Row) -> Result<Webhook> {
    let webhook_id = row.text("webhook_id")?;
    let subscribed =
        tx.query("SELECT topic FROM registry_webhook_topics WHERE webhook_id = $1", &[webhook_id.as_str().into()])?;
    let subscribed = subscribed.iter().map(|row| row.text("topic")).collect::<Result<Vec<_>, _>>()?;
    Ok(Webhook {
        name: row.text("name")?,
        description: row.opt_text("description")?,
        url: row.text("url")?,
        topics: TOPICS.into_iter().filter(|topic| subscribed.iter().any(|have| have == topic)).collect(),
        active: row.bool("active")?,
        created_ms: row.i64("created_ms")?,
        updated_ms: row.i64("updated_ms")?,
        webhook_id,
    })
}
