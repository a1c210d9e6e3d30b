//! Versions of a registered model.

mod location;
mod search;

use std::collections::HashMap;

use db::{Row, Sql, Tx};
use kernel::ctx::Ctx;
use kernel::event::{NewEvent, kind};
use serde_json::json;

pub use self::location::locations;
pub use self::search::{of_model, search};
use crate::model::{self, lock};
use crate::pointer::PointerUri;
use crate::stage::Stage;
use crate::tag::{self, Tag};
use crate::{Error, Result, gate, moves, name, pointer, webhook};

/// A version of a registered model.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// The model.
    pub name: String,
    /// Its number, as text.
    pub version: String,
    /// Its stage.
    pub stage: Stage,
    /// What people say of it.
    pub description: Option<String>,
    /// Where its files are, as the caller put it.
    pub source: String,
    /// Where its files really are.
    pub storage_location: String,
    /// The run that made it.
    pub run_id: Option<String>,
    /// A link to that run elsewhere.
    pub run_link: Option<String>,
    /// The logged model that it is.
    pub model_id: Option<String>,
    /// `READY`, `PENDING_REGISTRATION` or `FAILED_REGISTRATION`.
    pub status: String,
    /// More on the status.
    pub status_message: Option<String>,
    /// Who registered it.
    pub created_by: String,
    /// When, in milliseconds since the epoch.
    pub created_ms: i64,
    /// When it was changed, in milliseconds since the epoch.
    pub updated_ms: i64,
    /// Its tags, by key.
    pub tags: Vec<Tag>,
    /// Its aliases, by name.
    pub aliases: Vec<String>,
}

impl Version {
    /// Where its files are.
    pub fn location(&self) -> &str {
        &self.storage_location
    }
}

/// A version to be registered.
#[derive(Clone, Debug, Default)]
pub struct NewVersion {
    /// The model, which must exist.
    pub name: String,
    /// Where its files are, as the caller puts it.
    pub source: String,
    /// Where they really are, if `source` does not say; `models:/NAME/..` is looked up here.
    pub storage_location: Option<String>,
    /// The run that made it.
    pub run_id: Option<String>,
    /// A link to that run elsewhere.
    pub run_link: Option<String>,
    /// The logged model that it is.
    pub model_id: Option<String>,
    /// What people say of it.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// Registers a version. Its number is one more than any that the model has had, deleted ones included.
pub fn create(tx: &mut Tx<'_>, ctx: &Ctx, new: NewVersion) -> Result<Version> {
    let tags = tag::collapse(new.tags)?;
    if new.source.is_empty() {
        let message = "Missing value for required parameter 'source'. See the API docs for more information about \
                       request parameters.";
        return Err(Error::invalid("source", message));
    }
    let location = match new.storage_location {
        Some(location) => location,
        None => storage_location(tx, ctx, &new.source)?,
    };
    let locked = lock(tx, ctx, &new.name)?;
    let row = tx.query_opt(
        "SELECT max(version) AS version FROM model_versions WHERE model_uid = $1",
        &[locked.uid.as_str().into()],
    )?;
    let number = row.map(|row| row.opt_i64("version")).transpose()?.flatten().unwrap_or(0) + 1;
    tx.execute(
        "INSERT INTO model_versions (workspace, model_uid, version, stage, deleted, description, source,
             storage_location, run_id, run_link, model_id, status, created_by, created_ms, updated_ms)
         VALUES ($1, $2, $3, 'None', FALSE, $4, $5, $6, $7, $8, $9, 'READY', $10, $11, $11)",
        &[
            ctx.workspace.as_str().into(),
            locked.uid.as_str().into(),
            number.into(),
            new.description.as_deref().into(),
            new.source.as_str().into(),
            location.into(),
            new.run_id.as_deref().into(),
            new.run_link.as_deref().into(),
            new.model_id.as_deref().into(),
            ctx.principal.to_string().into(),
            ctx.now_ms().into(),
        ],
    )?;
    for tag in &tags {
        tag::set_on_version(tx, ctx, &locked.uid, number, tag)?;
    }
    model::touch(tx, ctx, &locked.uid)?;
    db::events::emit(
        tx,
        ctx,
        NewEvent {
            kind: kind::VERSION_REGISTERED,
            subject: format!("model/{}", new.name),
            model: Some(new.name.clone()),
            payload: json!({ "version": number.to_string(), "run_id": new.run_id, "source": new.source }),
        },
    )?;
    let made = load(tx, &new.name, &locked.uid, number)?;
    webhook::of_version(tx, ctx, &made)?;
    Ok(made)
}

/// A source that names another version means that version's files.
fn storage_location(tx: &mut Tx<'_>, ctx: &Ctx, source: &str) -> Result<String> {
    if !source.starts_with("models:") {
        return Ok(source.to_owned());
    }
    let uri: PointerUri = source.parse()?;
    let version = pointer::resolve_uri(tx, ctx, &uri)?;
    let missing = || Error::invalid("source", format!("Unable to fetch model from model URI source '{source}'."));
    Ok(version.ok_or_else(missing)?.storage_location)
}

/// A version by number.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, version: &str) -> Result<Version> {
    name::model("name", name)?;
    let number = name::version(version)?;
    let not_found = || Error::VersionNotFound { name: name.to_owned(), version: version.to_owned() };
    let uid = model::find_uid(tx, ctx, name)?.ok_or_else(not_found)?;
    load(tx, name, &uid, number)
}

/// Where the files of a version are.
pub fn download_uri(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, version: &str) -> Result<String> {
    get(tx, ctx, name, version).map(|version| version.storage_location)
}

/// The newest ready version of each of these stages, by number; of all stages if none is named.
pub fn latest(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, stages: &[Stage]) -> Result<Vec<Version>> {
    let uid = model::uid(tx, ctx, name)?;
    let latest = latest_of(tx, &[uid])?.into_iter().map(|(_, version)| version);
    Ok(latest.filter(|version| stages.is_empty() || stages.contains(&version.stage)).collect())
}

/// Changes the description.
pub fn update(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, version: &str, description: Option<&str>) -> Result<Version> {
    let number = name::version(version)?;
    let uid = uid_of(tx, ctx, name, version)?;
    load(tx, name, &uid, number)?;
    tx.execute(
        "UPDATE model_versions SET description = $1, updated_ms = $2 WHERE model_uid = $3 AND version = $4",
        &[description.into(), ctx.now_ms().into(), uid.as_str().into(), number.into()],
    )?;
    load(tx, name, &uid, number)
}

/// Moves a version to a stage, through the gate; `archive_existing` sends whoever is in that stage to the archive.
pub fn transition_stage(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    name: &str,
    version: &str,
    stage: Stage,
    archive_existing: bool,
    reason: &str,
) -> Result<Version> {
    let number = name::version(version)?;
    if archive_existing && !stage.is_active() {
        let message = format!(
            "Model version transition cannot archive existing model versions because '{stage}' is not an Active stage. \
             Valid stages are ['Staging', 'Production']"
        );
        return Err(Error::invalid("archive_existing_versions", message));
    }
    let uid = uid_of(tx, ctx, name, version)?;
    let locked = lock(tx, ctx, name)?;
    load(tx, name, &uid, number)?;
    moves::watched(tx, ctx, &locked, reason, |tx| {
        if archive_existing {
            tx.execute(
                "UPDATE model_versions SET stage = 'Archived', updated_ms = $1
                 WHERE model_uid = $2 AND stage = $3 AND version <> $4 AND NOT deleted",
                &[ctx.now_ms().into(), uid.as_str().into(), stage.as_str().into(), number.into()],
            )?;
        }
        tx.execute(
            "UPDATE model_versions SET stage = $1, updated_ms = $2 WHERE model_uid = $3 AND version = $4",
            &[stage.as_str().into(), ctx.now_ms().into(), uid.as_str().into(), number.into()],
        )?;
        model::touch(tx, ctx, &uid)
    })?;
    load(tx, name, &uid, number)
}

/// Deletes a version: what it says of itself is wiped, its number is never used again.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, version: &str, reason: &str) -> Result<()> {
    let number = name::version(version)?;
    let uid = uid_of(tx, ctx, name, version)?;
    let locked = lock(tx, ctx, name)?;
    load(tx, name, &uid, number)?;
    gate::check_removal(tx, ctx, &locked, name, Some(number), "it cannot be deleted")?;
    moves::watched(tx, ctx, &locked, reason, |tx| {
        tx.execute(
            "DELETE FROM registered_model_aliases WHERE model_uid = $1 AND version = $2",
            &[uid.as_str().into(), number.into()],
        )?;
        tx.execute(
            "UPDATE model_versions SET deleted = TRUE, stage = 'None', description = NULL, status_message = NULL,
                 source = 'REDACTED-SOURCE-PATH', storage_location = 'REDACTED-SOURCE-PATH',
                 run_id = 'REDACTED-RUN-ID', run_link = 'REDACTED-RUN-LINK', updated_ms = $1
             WHERE model_uid = $2 AND version = $3",
            &[ctx.now_ms().into(), uid.as_str().into(), number.into()],
        )?;
        model::touch(tx, ctx, &uid)
    })
}

/// Sets a tag.
pub fn set_tag(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, version: &str, tag: &Tag) -> Result<()> {
    tag.check()?;
    let number = name::version(version)?;
    let uid = uid_of(tx, ctx, name, version)?;
    load(tx, name, &uid, number)?;
    tag::set_on_version(tx, ctx, &uid, number, tag)?;
    let prompt = webhook::is_prompt(tx, &uid)?;
    let topic = if prompt { "prompt_version_tag.set" } else { "model_version_tag.set" };
    let data = json!({ "name": name, "version": version, "key": tag.key, "value": tag.value });
    webhook::announce(tx, ctx, topic, name, data)
}

/// Deletes a tag; one that is not there is fine.
pub fn delete_tag(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, version: &str, key: &str) -> Result<()> {
    tag::check_key(key)?;
    let number = name::version(version)?;
    let uid = uid_of(tx, ctx, name, version)?;
    load(tx, name, &uid, number)?;
    tx.execute(
        "DELETE FROM model_version_tags WHERE model_uid = $1 AND version = $2 AND key = $3",
        &[uid.as_str().into(), number.into(), key.into()],
    )?;
    let prompt = webhook::is_prompt(tx, &uid)?;
    let topic = if prompt { "prompt_version_tag.deleted" } else { "model_version_tag.deleted" };
    webhook::announce(tx, ctx, topic, name, json!({ "name": name, "version": version, "key": key }))
}

/// A registered version whose files are at a location, above it or below it: one that a change there would change.
pub fn at_location(tx: &mut Tx<'_>, ctx: &Ctx, location: &str) -> Result<Option<Version>> {
    let above = location.match_indices('/').map(|(end, _)| &location[..end]);
    let mut sql = Sql::new();
    sql.push(SELECT).push(" WHERE v.workspace = ").bind(ctx.workspace.as_str()).push(" AND NOT v.deleted");
    sql.push(" AND (v.storage_location IN ").bind_list(above.chain([location]));
    // Everything below: texts sort by their bytes on both engines, and `0` comes right after `/`.
    sql.push(" OR (v.storage_location > ").bind(format!("{location}/"));
    sql.push(" AND v.storage_location < ").bind(format!("{location}0"));
    sql.push(")) ORDER BY v.model_uid, v.version LIMIT 1");
    Ok(fetch(tx, &sql)?.into_iter().next().map(|(_, version)| version))
}

fn uid_of(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, version: &str) -> Result<String> {
    name::model("name", name)?;
    let not_found = || Error::VersionNotFound { name: name.to_owned(), version: version.to_owned() };
    model::find_uid(tx, ctx, name)?.ok_or_else(not_found)
}

const SELECT: &str =
    "SELECT v.model_uid, m.name, v.version, v.stage, v.description, v.source, v.storage_location, v.run_id,
    v.run_link, v.model_id, v.status, v.status_message, v.created_by, v.created_ms, v.updated_ms
    FROM model_versions v JOIN registered_models m ON m.uid = v.model_uid";

/// The version of a model that is known to exist.
pub(crate) fn load(tx: &mut Tx<'_>, name: &str, uid: &str, number: i64) -> Result<Version> {
    let not_found = || Error::VersionNotFound { name: name.to_owned(), version: number.to_string() };
    find(tx, uid, number)?.ok_or_else(not_found)
}

pub(crate) fn find(tx: &mut Tx<'_>, uid: &str, number: i64) -> Result<Option<Version>> {
    let mut sql = Sql::new();
    sql.push(SELECT).push(" WHERE v.model_uid = ").bind(uid).push(" AND v.version = ").bind(number);
    sql.push(" AND NOT v.deleted");
    Ok(fetch(tx, &sql)?.into_iter().next().map(|(_, version)| version))
}

/// The highest number that is not deleted.
pub(crate) fn newest(tx: &mut Tx<'_>, uid: &str) -> Result<Option<i64>> {
    let row = tx.query_opt(
        "SELECT max(version) AS version FROM model_versions WHERE model_uid = $1 AND NOT deleted AND status = 'READY'",
        &[uid.into()],
    )?;
    Ok(row.map(|row| row.opt_i64("version")).transpose()?.flatten())
}

/// The newest ready version of each stage of these models, by number, each with its model's key.
pub(crate) fn latest_of(tx: &mut Tx<'_>, uids: &[String]) -> Result<Vec<(String, Version)>> {
    let mut sql = Sql::new();
    sql.push(SELECT).push(" WHERE v.model_uid IN ").bind_list(uids);
    sql.push(
        " AND NOT v.deleted AND v.status = 'READY' AND v.version = (
             SELECT max(w.version) FROM model_versions w
             WHERE w.model_uid = v.model_uid AND w.stage = v.stage AND NOT w.deleted AND w.status = 'READY'
         ) ORDER BY v.model_uid, v.version",
    );
    fetch(tx, &sql)
}

/// How many versions are completed with one statement; both engines take more placeholders than that.
const BATCH: usize = 1_000;

/// Runs a statement that begins with [`SELECT`] and completes each version.
fn fetch(tx: &mut Tx<'_>, sql: &Sql) -> Result<Vec<(String, Version)>> {
    let rows = tx.query_built(sql)?;
    let mut found =
        rows.iter().map(|row| Ok((row.text("model_uid")?, read(row)?))).collect::<Result<Vec<(String, Version)>>>()?;
    for batch in found.chunks_mut(BATCH) {
        complete(tx, batch)?;
    }
    Ok(found)
}

fn complete(tx: &mut Tx<'_>, versions: &mut [(String, Version)]) -> Result<()> {
    let mut uids: Vec<String> = versions.iter().map(|(uid, _)| uid.clone()).collect();
    uids.sort();
    uids.dedup();
    let mut numbers: Vec<i64> = versions.iter().filter_map(|(_, version)| version.version.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut slots = HashMap::new();
    for (uid, version) in versions.iter_mut() {
        slots.insert((uid.clone(), version.version.clone()), version);
    }
    let slot_key = |row: &Row| Ok::<_, Error>((row.text("model_uid")?, row.i64("version")?.to_string()));

    let mut tags = Sql::new();
    tags.push("SELECT model_uid, version, key, value FROM model_version_tags WHERE model_uid IN ").bind_list(&uids);
    tags.push(" AND version IN ").bind_list(numbers.iter().copied()).push(" ORDER BY key");
    for row in tx.query_built(&tags)? {
        if let Some(version) = slots.get_mut(&slot_key(&row)?) {
            version.tags.push(Tag::read(&row)?);
        }
    }
    let mut aliases = Sql::new();
    aliases.push("SELECT model_uid, version, alias FROM registered_model_aliases WHERE model_uid IN ").bind_list(&uids);
    aliases.push(" AND version IN ").bind_list(numbers).push(" ORDER BY alias");
    for row in tx.query_built(&aliases)? {
        if let Some(version) = slots.get_mut(&slot_key(&row)?) {
            version.aliases.push(row.text("alias")?);
        }
    }
    Ok(())
}

fn read(row: &Row) -> Result<Version> {
    Ok(Version {
        name: row.text("name")?,
        version: row.i64("version")?.to_string(),
        stage: row.str("stage")?.parse()?,
        description: row.opt_text("description")?,
        source: row.text("source")?,
        storage_location: row.text("storage_location")?,
        run_id: row.opt_text("run_id")?,
        run_link: row.opt_text("run_link")?,
        model_id: row.opt_text("model_id")?,
        status: row.text("status")?,
        status_message: row.opt_text("status_message")?,
        created_by: row.text("created_by")?,
        created_ms: row.i64("created_ms")?,
        updated_ms: row.i64("updated_ms")?,
        tags: Vec::new(),
        aliases: Vec::new(),
    })
}
