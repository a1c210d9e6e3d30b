//! The durable half: a deployment is a named endpoint that follows a pointer of the registry.

use db::{Migration, Row, Tx, Value};
use kernel::ctx::Ctx;
use kernel::event::{NewEvent, kind};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Error;

/// The tables of this layer.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "serving/0001-deployments",
    sql: "CREATE TABLE deployments (
              workspace TEXT NOT NULL,
              name TEXT NOT NULL,
              pointer TEXT NOT NULL,
              model TEXT NOT NULL,
              target_version TEXT,
              config TEXT NOT NULL,
              created_us BIGINT NOT NULL,
              updated_us BIGINT NOT NULL,
              PRIMARY KEY (workspace, name)
          );
          CREATE INDEX deployments_by_model ON deployments (workspace, model);",
}];

/// The tables whose rows are the things of a workspace: one that has any is not empty.
pub const ROOT_TABLES: &[&str] = &["deployments"];

/// What a deployment accepts. Every field has a default, so that a config may name only what differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Most rows in one request; the limit of the server applies if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<usize>,
    /// What happens to a column that the model does not have.
    pub extra_columns: ExtraColumns,
}

/// What happens to a column that the model does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExtraColumns {
    /// The request is refused: a misspelt column must not pass as a missing one.
    #[default]
    Refuse,
    /// It is left out.
    Ignore,
}

/// A deployment as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deployment {
    /// The endpoint's name.
    pub name: String,
    /// What it follows, as text: `models:/NAME/Production` or `models:/NAME@alias`.
    pub pointer: String,
    /// The registered model in the pointer.
    pub model: String,
    /// The version that it last switched to.
    pub target_version: Option<String>,
    /// What it accepts.
    pub config: Config,
    /// When it was created, microseconds since the epoch.
    pub created_us: i64,
    /// When it last changed.
    pub updated_us: i64,
}

/// What a new deployment needs.
#[derive(Clone, Debug)]
pub struct NewDeployment {
    /// The endpoint's name.
    pub name: String,
    /// What it follows, as text that the registry has understood.
    pub pointer: String,
    /// The registered model in the pointer.
    pub model: String,
    /// What it accepts.
    pub config: Config,
}

/// Creates a deployment, which serves nothing until it is rolled.
pub fn create(tx: &mut Tx<'_>, ctx: &Ctx, new: NewDeployment) -> Result<Deployment, Error> {
    if !is_name(&new.name) {
        return Err(Error::Name(new.name));
    }
    let config = serde_json::to_string(&new.config).unwrap_or_else(|_| "{}".to_owned());
    let inserted = tx.execute(
        "INSERT INTO deployments (workspace, name, pointer, model, target_version, config, created_us, updated_us)
         VALUES ($1, $2, $3, $4, NULL, $5, $6, $6) ON CONFLICT (workspace, name) DO NOTHING",
        &[
            Value::from(ctx.workspace.as_str()),
            Value::from(new.name.as_str()),
            Value::from(new.pointer.as_str()),
            Value::from(new.model.as_str()),
            Value::from(config),
            Value::from(ctx.now_us),
        ],
    )?;
    if inserted == 0 {
        return Err(Error::Exists(new.name));
    }
    let payload = json!({ "pointer": new.pointer, "config": new.config });
    emit(tx, ctx, kind::DEPLOYMENT_CREATED, &new.name, &new.model, payload)?;
    Ok(Deployment {
        name: new.name,
        pointer: new.pointer,
        model: new.model,
        target_version: None,
        config: new.config,
        created_us: ctx.now_us,
        updated_us: ctx.now_us,
    })
}

/// The deployment of a name, which must be there.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Deployment, Error> {
    find(tx, ctx, name)?.ok_or_else(|| Error::NotFound(name.to_owned()))
}

/// The deployment of a name, if it is there.
pub fn find(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Option<Deployment>, Error> {
    let row = tx.query_opt(
        "SELECT name, pointer, model, target_version, config, created_us, updated_us
         FROM deployments WHERE workspace = $1 AND name = $2",
        &[Value::from(ctx.workspace.as_str()), Value::from(name)],
    )?;
    row.as_ref().map(read).transpose()
}

/// All deployments, by name.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Deployment>, Error> {
    let rows = tx.query(
        "SELECT name, pointer, model, target_version, config, created_us, updated_us
         FROM deployments WHERE workspace = $1 ORDER BY name",
        &[Value::from(ctx.workspace.as_str())],
    )?;
    rows.iter().map(read).collect()
}

/// The deployments that follow a pointer of a model, by name.
pub fn of_model(tx: &mut Tx<'_>, ctx: &Ctx, model: &str) -> Result<Vec<Deployment>, Error> {
    let rows = tx.query(
        "SELECT name, pointer, model, target_version, config, created_us, updated_us
         FROM deployments WHERE workspace = $1 AND model = $2 ORDER BY name",
        &[Value::from(ctx.workspace.as_str()), Value::from(model)],
    )?;
    rows.iter().map(read).collect()
}

/// Deletes a deployment. Its predictions stay in the log.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<(), Error> {
    let deployment = get(tx, ctx, name)?;
    tx.execute(
        "DELETE FROM deployments WHERE workspace = $1 AND name = $2",
        &[Value::from(ctx.workspace.as_str()), Value::from(name)],
    )?;
    emit(tx, ctx, kind::DEPLOYMENT_DELETED, name, &deployment.model, json!({}))
}

/// Notes which version a deployment serves from now on, without an event; returns the one before.
pub fn set_target(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, version: &str) -> Result<Option<String>, Error> {
    let before = get(tx, ctx, name)?.target_version;
    tx.execute(
        "UPDATE deployments SET target_version = $3, updated_us = $4 WHERE workspace = $1 AND name = $2",
        &[Value::from(ctx.workspace.as_str()), Value::from(name), Value::from(version), Value::from(ctx.now_us)],
    )?;
    Ok(before)
}

fn emit(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    kind: &'static str,
    name: &str,
    model: &str,
    payload: serde_json::Value,
) -> Result<(), Error> {
    let subject = format!("deployment/{name}");
    db::events::emit(tx, ctx, NewEvent { kind, subject, model: Some(model.to_owned()), payload })?;
    Ok(())
}

fn read(row: &Row) -> Result<Deployment, Error> {
    let name = row.text("name")?;
    let config = serde_json::from_str(&row.text("config")?)
        .map_err(|error| Error::Stored { deployment: name.clone(), reason: error.to_string() })?;
    Ok(Deployment {
        name,
        pointer: row.text("pointer")?,
        model: row.text("model")?,
        target_version: row.opt_text("target_version")?,
        config,
        created_us: row.i64("created_us")?,
        updated_us: row.i64("updated_us")?,
    })
}

/// A name is part of URLs, of object paths and of metric labels, so it is kept plain.
fn is_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|each| each.is_ascii_alphanumeric() || "._-".contains(each))
}
