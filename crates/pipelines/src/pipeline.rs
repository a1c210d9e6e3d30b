//! The stored pipelines: a definition under its name, with the folder in which its steps run.

use std::path::Path;

use db::{Row, Tx};
use kernel::ctx::Ctx;
use kernel::digest;
use kernel::event::{NewEvent, kind};
use serde::Serialize;
use serde_json::{Value, json};

use crate::definition::{self, Pipeline};
use crate::{Error, trigger};

/// A pipeline as stored.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    /// Its name.
    pub name: String,
    /// The text it was given as.
    pub definition: String,
    /// The folder in which its steps run.
    pub dir: String,
    /// When it was first stored, microseconds since the epoch.
    pub created_us: i64,
    /// When it was last changed.
    pub updated_us: i64,
    /// The text, read.
    pub pipeline: Pipeline,
}

/// Stores a definition under `name`, or replaces the one there is. Runs that have begun keep the definition they began with.
/// A trigger that stays the same keeps what it remembers; a new one counts from now.
pub fn put(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, text: &str, dir: &str) -> Result<Stored, Error> {
    let pipeline = definition::parse(text)?;
    if pipeline.name != name {
        return Err(Error::NameDiffers { wanted: name.to_owned(), found: pipeline.name });
    }
    let folder = |problem| Error::Folder { dir: dir.to_owned(), problem };
    if !Path::new(dir).is_absolute() {
        return Err(folder("must be an absolute path"));
    }
    if !Path::new(dir).is_dir() {
        return Err(folder("does not exist on the server"));
    }
    let before = find(tx, ctx, name)?;
    tx.execute(
        "INSERT INTO pipelines (workspace, name, definition, dir, created_us, updated_us) VALUES ($1, $2, $3, $4, $5, $5) \
         ON CONFLICT (workspace, name) DO UPDATE SET definition = excluded.definition, dir = excluded.dir, \
         updated_us = excluded.updated_us",
        &[ctx.workspace.as_str().into(), name.into(), text.into(), dir.into(), ctx.now_us.into()],
    )?;
    trigger::sync(tx, ctx, &pipeline)?;
    if before.as_ref().is_none_or(|before| before.definition != text || before.dir != dir) {
        let from = before.map(|before| digest::of(before.definition.as_bytes()));
        let payload = json!({ "digest": digest::of(text.as_bytes()), "dir": dir, "from": from });
        told(tx, ctx, kind::PIPELINE_CHANGED, name, pipeline.model, payload)?;
    }
    get(tx, ctx, name)
}

fn told(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    kind: &'static str,
    name: &str,
    model: Option<String>,
    payload: Value,
) -> Result<(), Error> {
    db::events::emit(tx, ctx, NewEvent { kind, subject: format!("pipeline/{name}"), model, payload })?;
    Ok(())
}

/// The pipeline of that name.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Stored, Error> {
    find(tx, ctx, name)?.ok_or_else(|| Error::NoPipeline(name.to_owned()))
}

fn find(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Option<Stored>, Error> {
    let row = tx.query_opt(
        "SELECT name, definition, dir, created_us, updated_us FROM pipelines WHERE workspace = $1 AND name = $2",
        &[ctx.workspace.as_str().into(), name.into()],
    )?;
    row.map(|row| from_row(&row)).transpose()
}

/// All pipelines, by name.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Stored>, Error> {
    let rows = tx.query(
        "SELECT name, definition, dir, created_us, updated_us FROM pipelines WHERE workspace = $1 ORDER BY name",
        &[ctx.workspace.as_str().into()],
    )?;
    rows.iter().map(from_row).collect()
}

/// Forgets a pipeline, its triggers and what its steps may skip. Its runs stay, as part of the story.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<(), Error> {
    let before = get(tx, ctx, name)?;
    let key = [ctx.workspace.as_str().into(), name.into()];
    tx.execute("DELETE FROM pipelines WHERE workspace = $1 AND name = $2", &key)?;
    tx.execute("DELETE FROM pipeline_triggers WHERE workspace = $1 AND pipeline = $2", &key)?;
    tx.execute("DELETE FROM step_cache WHERE workspace = $1 AND pipeline = $2", &key)?;
    told(tx, ctx, kind::PIPELINE_DELETED, name, before.pipeline.model, json!({}))
}

fn from_row(row: &Row) -> Result<Stored, Error> {
    let definition = row.text("definition")?;
    Ok(Stored {
        name: row.text("name")?,
        pipeline: definition::parse(&definition)?,
        definition,
        dir: row.text("dir")?,
        created_us: row.i64("created_us")?,
        updated_us: row.i64("updated_us")?,
    })
}
