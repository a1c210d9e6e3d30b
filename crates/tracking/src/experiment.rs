//! Experiments: what runs are grouped by.

use db::{Row, Tx};
use kernel::ctx::{Ctx, DEFAULT_WORKSPACE};

use crate::{Error, Pair, Stage, check, uri};

/// An experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// A number as text.
    pub experiment_id: String,
    /// Unique in the workspace, deleted ones included.
    pub name: String,
    /// Where the artifacts of its runs lie.
    pub artifact_location: String,
    /// Whether it is deleted.
    pub stage: Stage,
    /// Milliseconds since the epoch; 0 for the default experiment.
    pub created_ms: i64,
    /// Milliseconds since the epoch.
    pub updated_ms: i64,
    /// By key.
    pub tags: Vec<Pair>,
}

const COLUMNS: &str = "SELECT experiment_id, name, artifact_location, lifecycle_stage, created_ms, updated_ms
    FROM experiments WHERE workspace = $1 AND experiment_id = $2";

/// Creates an experiment and returns its id. Without a location its artifacts go through the server.
pub fn create(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    name: &str,
    artifact_location: Option<&str>,
    tags: &[Pair],
) -> Result<String, Error> {
    check::experiment_name(name)?;
    tags.iter().try_for_each(check::experiment_tag)?;
    let id = free_id(tx)?;
    let location = artifact_location.map_or_else(|| default_location(ctx, id), str::to_owned);
    let inserted = tx.execute(
        "INSERT INTO experiments
            (experiment_id, workspace, name, artifact_location, lifecycle_stage, created_ms, updated_ms)
         VALUES ($1, $2, $3, $4, 'active', $5, $5) ON CONFLICT DO NOTHING",
        &[id.into(), (&ctx.workspace).into(), name.into(), location.into(), ctx.now_ms().into()],
    )?;
    if inserted == 0 {
        return Err(Error::ExperimentExists { name: name.to_owned() });
    }
    for tag in tags {
        put_tag(tx, id, tag)?;
    }
    Ok(id.to_string())
}

/// Where artifacts go that go through the server. Other workspaces than the default one have a part of its store each.
pub(crate) fn default_location(ctx: &Ctx, experiment_id: i64) -> String {
    match ctx.workspace.as_str() {
        DEFAULT_WORKSPACE => format!("mlflow-artifacts:/{experiment_id}"),
        workspace => format!("mlflow-artifacts:/workspaces/{workspace}/{experiment_id}"),
    }
}

/// The next number that no imported experiment has taken. Number 0 is the default experiment's.
fn free_id(tx: &mut Tx<'_>) -> Result<i64, Error> {
    loop {
        let id = tx.next("experiments")? + 1;
        if tx.query_opt("SELECT 1 AS taken FROM experiments WHERE experiment_id = $1", &[id.into()])?.is_none() {
            return Ok(id);
        }
    }
}

/// An experiment, deleted or not.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, experiment_id: &str) -> Result<Experiment, Error> {
    let id = check::experiment_id(experiment_id)?;
    let row = tx.query_opt(COLUMNS, &[(&ctx.workspace).into(), id.into()])?;
    let row = row.ok_or_else(|| missing(experiment_id))?;
    let mut experiment = read(&row)?;
    experiment.tags = tags(tx, id)?;
    Ok(experiment)
}

/// An experiment by its name, deleted or not.
pub fn get_by_name(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Experiment, Error> {
    let row = tx.query_opt(
        "SELECT experiment_id FROM experiments WHERE workspace = $1 AND name = $2",
        &[(&ctx.workspace).into(), name.into()],
    )?;
    let row = row.ok_or_else(|| Error::not_found(format!("Could not find experiment with name '{name}'")))?;
    get(tx, ctx, &row.i64("experiment_id")?.to_string())
}

/// Says when the default experiment began (milliseconds since the epoch), if nobody has: it is there from the first migration on, which
/// knows no time.
pub fn date_default(tx: &mut Tx<'_>, now_ms: i64) -> Result<(), Error> {
    let update = "UPDATE experiments SET created_ms = $1, updated_ms = $1 WHERE experiment_id = 0 AND created_ms = 0";
    tx.execute(update, &[now_ms.into()])?;
    Ok(())
}

/// Puts an experiment and all its runs into the bin.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, experiment_id: &str) -> Result<(), Error> {
    let id = check::experiment_id(experiment_id)?;
    let changed = tx.execute(
        "UPDATE experiments SET lifecycle_stage = 'deleted', updated_ms = $3
         WHERE workspace = $1 AND experiment_id = $2 AND lifecycle_stage = 'active'",
        &[(&ctx.workspace).into(), id.into(), ctx.now_ms().into()],
    )?;
    if changed == 0 {
        return Err(missing(experiment_id));
    }
    tx.execute(
        "UPDATE runs SET lifecycle_stage = 'deleted', deleted_ms = $2 WHERE experiment_id = $1",
        &[id.into(), ctx.now_ms().into()],
    )?;
    Ok(())
}

/// Takes an experiment and all its runs out of the bin.
pub fn restore(tx: &mut Tx<'_>, ctx: &Ctx, experiment_id: &str) -> Result<(), Error> {
    let id = check::experiment_id(experiment_id)?;
    let changed = tx.execute(
        "UPDATE experiments SET lifecycle_stage = 'active', updated_ms = $3
         WHERE workspace = $1 AND experiment_id = $2 AND lifecycle_stage = 'deleted'",
        &[(&ctx.workspace).into(), id.into(), ctx.now_ms().into()],
    )?;
    if changed == 0 {
        return Err(missing(experiment_id));
    }
    tx.execute("UPDATE runs SET lifecycle_stage = 'active', deleted_ms = NULL WHERE experiment_id = $1", &[id.into()])?;
    Ok(())
}

/// Gives an experiment another name.
pub fn rename(tx: &mut Tx<'_>, ctx: &Ctx, experiment_id: &str, name: &str) -> Result<(), Error> {
    check::experiment_name(name)?;
    let experiment = get(tx, ctx, experiment_id)?;
    if experiment.stage != Stage::Active {
        return Err(Error::RenameDeleted { experiment_id: experiment.experiment_id });
    }
    let taken = tx.query_opt(
        "SELECT 1 AS taken FROM experiments WHERE workspace = $1 AND name = $2 AND experiment_id <> $3",
        &[(&ctx.workspace).into(), name.into(), check::experiment_id(experiment_id)?.into()],
    )?;
    if taken.is_some() {
        return Err(Error::ExperimentExists { name: name.to_owned() });
    }
    tx.execute(
        "UPDATE experiments SET name = $2, updated_ms = $3 WHERE experiment_id = $1",
        &[check::experiment_id(experiment_id)?.into(), name.into(), ctx.now_ms().into()],
    )?;
    Ok(())
}

/// Sets a tag.
pub fn set_tag(tx: &mut Tx<'_>, ctx: &Ctx, experiment_id: &str, tag: &Pair) -> Result<(), Error> {
    check::experiment_tag(tag)?;
    let id = active(tx, ctx, experiment_id)?.0;
    put_tag(tx, id, tag)
}

/// Deletes a tag; one that is not there is an error.
pub fn delete_tag(tx: &mut Tx<'_>, ctx: &Ctx, experiment_id: &str, key: &str) -> Result<(), Error> {
    let id = active(tx, ctx, experiment_id)?.0;
    let deleted =
        tx.execute("DELETE FROM experiment_tags WHERE experiment_id = $1 AND key = $2", &[id.into(), key.into()])?;
    if deleted == 0 {
        return Err(Error::not_found(format!("No tag with name: {key} in experiment with id {experiment_id}")));
    }
    Ok(())
}

/// The number and the artifact location of an experiment that takes changes.
pub(crate) fn active(tx: &mut Tx<'_>, ctx: &Ctx, experiment_id: &str) -> Result<(i64, String), Error> {
    let id = check::experiment_id(experiment_id)?;
    let row = tx.query_opt(COLUMNS, &[(&ctx.workspace).into(), id.into()])?;
    let row = row.ok_or_else(|| missing(experiment_id))?;
    match Stage::read(&row)? {
        Stage::Active => Ok((id, row.text("artifact_location")?)),
        Stage::Deleted => Err(Error::Deleted { what: "experiment", id: experiment_id.to_owned() }),
    }
}

/// Below the location of an experiment.
pub(crate) fn artifact_uri(location: &str, parts: &[&str]) -> String {
    uri::join(location, parts)
}

/// An experiment without its tags.
pub(crate) fn read(row: &Row) -> Result<Experiment, Error> {
    Ok(Experiment {
        experiment_id: row.i64("experiment_id")?.to_string(),
        name: row.text("name")?,
        artifact_location: row.text("artifact_location")?,
        stage: Stage::read(row)?,
        created_ms: row.i64("created_ms")?,
        updated_ms: row.i64("updated_ms")?,
        tags: Vec::new(),
    })
}

pub(crate) fn tags(tx: &mut Tx<'_>, id: i64) -> Result<Vec<Pair>, Error> {
    let rows =
        tx.query("SELECT key, value FROM experiment_tags WHERE experiment_id = $1 ORDER BY key", &[id.into()])?;
    rows.iter().map(|row| Ok(Pair { key: row.text("key")?, value: row.text("value")? })).collect()
}

fn put_tag(tx: &mut Tx<'_>, id: i64, tag: &Pair) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO experiment_tags (experiment_id, key, value) VALUES ($1, $2, $3)
         ON CONFLICT (experiment_id, key) DO UPDATE SET value = excluded.value",
        &[id.into(), (&tag.key).into(), (&tag.value).into()],
    )?;
    Ok(())
}

fn missing(experiment_id: &str) -> Error {
    Error::not_found(format!("No Experiment with id={experiment_id} exists"))
}
