//! Registered models, their tags and aliases.

pub(crate) mod search;

use std::collections::HashMap;

use db::{Row, Sql, Tx};
use kernel::ctx::Ctx;
use serde_json::json;

pub use self::search::{Search, search};
use crate::gate;
use crate::moves::{self, Holders, Move};
use crate::pointer::Pointer;
use crate::tag::{self, Tag};
use crate::version::{self, Version};
use crate::{Error, Result, name, policy, webhook};

/// A registered model.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// What people say of it.
    pub description: Option<String>,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: i64,
    /// When it, or one of its versions, was changed, in milliseconds since the epoch.
    pub updated_ms: i64,
    /// Its tags, by key.
    pub tags: Vec<Tag>,
    /// Its aliases, by name.
    pub aliases: Vec<Alias>,
    /// The newest ready version of each stage, by number.
    pub latest_versions: Vec<Version>,
}

/// A name for a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alias {
    /// The name.
    pub alias: String,
    /// The version.
    pub version: String,
}

/// A model that this transaction holds: others that change its versions or pointers wait until it ends.
#[derive(Clone, Debug)]
pub(crate) struct Locked {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) revision: i64,
}

/// Makes a model.
pub fn create(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, tags: Vec<Tag>, description: Option<&str>) -> Result<Model> {
    name::model("name", name)?;
    let tags = tag::collapse(tags)?;
    let uid = kernel::id::new();
    let made = tx.execute(
        "INSERT INTO registered_models (uid, workspace, name, description, created_ms, updated_ms, revision)
         VALUES ($1, $2, $3, $4, $5, $5, 0) ON CONFLICT (workspace, name) DO NOTHING",
        &[uid.as_str().into(), ctx.workspace.as_str().into(), name.into(), description.into(), ctx.now_ms().into()],
    )?;
    if made == 0 {
        return Err(Error::ModelExists(name.to_owned()));
    }
    for tag in &tags {
        tag::set_on_model(tx, ctx, &uid, tag)?;
    }
    let made = get(tx, ctx, name)?;
    webhook::of_model(tx, ctx, &made)?;
    Ok(made)
}

/// A model by name.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Model> {
    name::model("name", name)?;
    let mut sql = Sql::new();
    sql.push(SELECT).push(" WHERE m.workspace = ").bind(ctx.workspace.as_str()).push(" AND m.name = ").bind(name);
    fetch(tx, &sql)?.into_iter().next().ok_or_else(|| Error::ModelNotFound(name.to_owned()))
}

/// Changes the description.
pub fn update(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, description: Option<&str>) -> Result<Model> {
    let locked = lock(tx, ctx, name)?;
    tx.execute(
        "UPDATE registered_models SET description = $1, updated_ms = $2 WHERE uid = $3",
        &[description.into(), ctx.now_ms().into(), locked.uid.as_str().into()],
    )?;
    get(tx, ctx, name)
}

/// Renames a model; its versions, verdicts and past pointers go along. Whoever follows the old name is left with nothing, which
/// counts as a move of each pointer.
pub fn rename(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, new_name: &str) -> Result<Model> {
    name::model("new_name", new_name)?;
    let locked = lock(tx, ctx, name)?;
    if name == new_name {
        return get(tx, ctx, name);
    }
    for policy_of in [name, new_name] {
        gate::check_removal(tx, ctx, &locked, policy_of, None, "its model cannot be renamed")?;
    }
    let holders = moves::holders(tx, &locked.uid)?;
    tx.execute(
        "UPDATE registered_models SET name = $1, updated_ms = $2 WHERE uid = $3",
        &[new_name.into(), ctx.now_ms().into(), locked.uid.as_str().into()],
    )
    .map_err(
        |error| if error.is_unique_violation() { Error::ModelExists(new_name.to_owned()) } else { error.into() },
    )?;
    tx.execute(
        "UPDATE model_versions SET updated_ms = $1 WHERE model_uid = $2",
        &[ctx.now_ms().into(), locked.uid.as_str().into()],
    )?;
    policy::carry(tx, ctx, name, new_name)?;
    vacate(tx, ctx, &locked, &holders, &format!("the model was renamed to {new_name}"))?;
    let renamed = Locked { name: new_name.to_owned(), ..locked };
    for (pointer, version) in holders {
        let moved = Move { pointer, from: None, to: Some(version) };
        let basis = gate::check(tx, ctx, &renamed, &moved, Some(version))?;
        moves::announce(tx, ctx, new_name, &moved, &basis, &format!("the model was renamed from {name}"))?;
    }
    get(tx, ctx, new_name)
}

/// Deletes a model with its versions, tags and aliases. Its policy stays with the name, its verdicts with the audit trail.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<()> {
    let locked = lock(tx, ctx, name)?;
    gate::check_removal(tx, ctx, &locked, name, None, "its model cannot be deleted")?;
    let holders = moves::holders(tx, &locked.uid)?;
    tx.execute("DELETE FROM registered_models WHERE uid = $1", &[locked.uid.as_str().into()])?;
    vacate(tx, ctx, &locked, &holders, "the model was deleted")
}

/// Says of each pointer that it names nothing any more.
fn vacate(tx: &mut Tx<'_>, ctx: &Ctx, model: &Locked, holders: &Holders, reason: &str) -> Result<()> {
    for (pointer, version) in holders {
        let moved = Move { pointer: pointer.clone(), from: Some(*version), to: None };
        let basis = gate::check(tx, ctx, model, &moved, None)?;
        moves::announce(tx, ctx, &model.name, &moved, &basis, reason)?;
    }
    Ok(())
}

/// Sets a tag.
pub fn set_tag(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, tag: &Tag) -> Result<()> {
    tag.check()?;
    let uid = uid(tx, ctx, name)?;
    tag::set_on_model(tx, ctx, &uid, tag)?;
    if webhook::is_prompt(tx, &uid)? {
        let data = json!({ "name": name, "key": tag.key, "value": tag.value });
        webhook::announce(tx, ctx, "prompt_tag.set", name, data)?;
    }
    Ok(())
}

/// Deletes a tag; one that is not there is fine.
pub fn delete_tag(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, key: &str) -> Result<()> {
    tag::check_key(key)?;
    let uid = uid(tx, ctx, name)?;
    tx.execute(
        "DELETE FROM registered_model_tags WHERE model_uid = $1 AND key = $2",
        &[uid.as_str().into(), key.into()],
    )?;
    if webhook::is_prompt(tx, &uid)? {
        webhook::announce(tx, ctx, "prompt_tag.deleted", name, json!({ "name": name, "key": key }))?;
    }
    Ok(())
}

/// Points an alias at a version, through the gate.
pub fn set_alias(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, alias: &str, version: &str, reason: &str) -> Result<()> {
    name::new_alias(alias)?;
    let number = name::version(version)?;
    let locked = lock(tx, ctx, name)?;
    version::load(tx, name, &locked.uid, number)?;
    moves::watched(tx, ctx, &locked, reason, |tx| {
        tx.execute(
            "INSERT INTO registered_model_aliases (workspace, model_uid, alias, version) VALUES ($1, $2, $3, $4)
             ON CONFLICT (model_uid, alias) DO UPDATE SET version = excluded.version",
            &[ctx.workspace.as_str().into(), locked.uid.as_str().into(), alias.into(), number.into()],
        )?;
        Ok(())
    })?;
    let prompt = webhook::is_prompt(tx, &locked.uid)?;
    let topic = if prompt { "prompt_alias.created" } else { "model_version_alias.created" };
    webhook::announce(tx, ctx, topic, name, json!({ "name": name, "alias": alias, "version": version }))
}

/// Deletes an alias; one that is not there is fine.
pub fn delete_alias(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, alias: &str, reason: &str) -> Result<()> {
    name::alias(alias)?;
    let locked = lock(tx, ctx, name)?;
    moves::watched(tx, ctx, &locked, reason, |tx| {
        tx.execute(
            "DELETE FROM registered_model_aliases WHERE model_uid = $1 AND alias = $2",
            &[locked.uid.as_str().into(), alias.into()],
        )?;
        Ok(())
    })?;
    let prompt = webhook::is_prompt(tx, &locked.uid)?;
    let topic = if prompt { "prompt_alias.deleted" } else { "model_version_alias.deleted" };
    webhook::announce(tx, ctx, topic, name, json!({ "name": name, "alias": alias }))
}

/// The version that an alias names; `latest` is the newest version there is.
pub fn get_by_alias(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, alias: &str) -> Result<Version> {
    name::alias(alias)?;
    let uid = uid(tx, ctx, name)?;
    let number = if alias.eq_ignore_ascii_case("latest") {
        version::newest(tx, &uid)?
    } else {
        moves::holder(tx, &uid, &Pointer::Alias(alias.to_owned()))?
    };
    let number = number.ok_or_else(|| Error::AliasNotFound(alias.to_owned()))?;
    version::load(tx, name, &uid, number)
}

/// The model's own key; an error if there is none of that name.
pub(crate) fn uid(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<String> {
    name::model("name", name)?;
    find_uid(tx, ctx, name)?.ok_or_else(|| Error::ModelNotFound(name.to_owned()))
}

pub(crate) fn find_uid(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Option<String>> {
    let row = tx.query_opt(
        "SELECT uid FROM registered_models WHERE workspace = $1 AND name = $2",
        &[ctx.workspace.as_str().into(), name.into()],
    )?;
    Ok(row.map(|row| row.text("uid")).transpose()?)
}

/// Takes the model for this transaction and gives it its next revision.
pub(crate) fn lock(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Locked> {
    name::model("name", name)?;
    let row = tx.query_opt(
        "UPDATE registered_models SET revision = revision + 1 WHERE workspace = $1 AND name = $2 RETURNING uid, revision",
        &[ctx.workspace.as_str().into(), name.into()],
    )?;
    let row = row.ok_or_else(|| Error::ModelNotFound(name.to_owned()))?;
    Ok(Locked { uid: row.text("uid")?, name: name.to_owned(), revision: row.i64("revision")? })
}

/// Says that the model, or one of its versions, has changed.
pub(crate) fn touch(tx: &mut Tx<'_>, ctx: &Ctx, uid: &str) -> Result<()> {
    tx.execute("UPDATE registered_models SET updated_ms = $1 WHERE uid = $2", &[ctx.now_ms().into(), uid.into()])?;
    Ok(())
}

const SELECT: &str = "SELECT m.uid, m.name, m.description, m.created_ms, m.updated_ms FROM registered_models m";

/// Runs a statement that begins with [`SELECT`] and completes each model.
fn fetch(tx: &mut Tx<'_>, sql: &Sql) -> Result<Vec<Model>> {
    let rows = tx.query_built(sql)?;
    let uids = rows.iter().map(|row| row.text("uid")).collect::<Result<Vec<_>, _>>()?;
    let mut models = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    let slots: HashMap<&str, usize> = uids.iter().enumerate().map(|(slot, uid)| (uid.as_str(), slot)).collect();

    let mut tags = Sql::new();
    tags.push("SELECT model_uid, key, value FROM registered_model_tags WHERE model_uid IN ").bind_list(&uids);
    tags.push(" ORDER BY key");
    for row in tx.query_built(&tags)? {
        if let Some(&slot) = slots.get(row.str("model_uid")?) {
            models[slot].tags.push(Tag::read(&row)?);
        }
    }
    let mut aliases = Sql::new();
    aliases.push("SELECT model_uid, alias, version FROM registered_model_aliases WHERE model_uid IN ").bind_list(&uids);
    aliases.push(" ORDER BY alias");
    for row in tx.query_built(&aliases)? {
        if let Some(&slot) = slots.get(row.str("model_uid")?) {
            models[slot].aliases.push(Alias { alias: row.text("alias")?, version: row.i64("version")?.to_string() });
        }
    }
    for (uid, version) in version::latest_of(tx, &uids)? {
        if let Some(&slot) = slots.get(uid.as_str()) {
            models[slot].latest_versions.push(version);
        }
    }
    Ok(models)
}

fn read(row: &Row) -> Result<Model> {
    Ok(Model {
        name: row.text("name")?,
        description: row.opt_text("description")?,
        created_ms: row.i64("created_ms")?,
        updated_ms: row.i64("updated_ms")?,
        tags: Vec::new(),
        aliases: Vec::new(),
        latest_versions: Vec::new(),
    })
}
