//! Scorers of experiments, in versions. What a client serialised is kept as text; nothing here runs it.

use db::{Row, Tx};
use kernel::ctx::Ctx;

use crate::experiment;
use crate::{Error, Stage, check};

/// Largest serialised scorer, characters.
const MAX_SERIALIZED: usize = 1_000_000;
const MAX_NAME: usize = 256;

/// One version of a scorer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScorerVersion {
    /// Of all its versions.
    pub scorer_id: String,
    /// The experiment.
    pub experiment_id: i64,
    /// Its name, once in an experiment.
    pub name: String,
    /// From 1; never used twice while others are there.
    pub version: i64,
    /// JSON, as the client made it.
    pub serialized: String,
    /// When it was registered, milliseconds since the epoch.
    pub created_ms: i64,
}

/// Registers the next version of a scorer.
pub fn register(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    experiment_id: &str,
    name: &str,
    serialized: &str,
) -> Result<ScorerVersion, Error> {
    if name.trim().is_empty() {
        return Err(Error::invalid("name", "Scorer name cannot be empty or contain only whitespace."));
    }
    check::length(name, MAX_NAME, || "name".to_owned())?;
    check::length(serialized, MAX_SERIALIZED, || "serialized_scorer".to_owned())?;
    if let Err(error) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(serialized) {
        return Err(Error::invalid("serialized_scorer", format!("'serialized_scorer' is not a JSON object: {error}")));
    }
    let experiment = active(tx, ctx, experiment_id)?;
    tx.execute(
        "INSERT INTO scorers (scorer_id, workspace, experiment_id, name) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        &[kernel::id::new().into(), (&ctx.workspace).into(), experiment.into(), name.into()],
    )?;
    let scorer_id = find(tx, experiment_id, experiment, name)?;
    let created_ms = ctx.now_us / 1_000;
    let row = tx.query_opt(
        "INSERT INTO scorer_versions (scorer_id, version, serialized, created_ms)
         SELECT $1, coalesce(max(version), 0) + 1, $2, $3 FROM scorer_versions WHERE scorer_id = $1 RETURNING version",
        &[(&scorer_id).into(), serialized.into(), created_ms.into()],
    )?;
    let version = row.ok_or_else(|| missing(name, experiment_id))?.i64("version")?;
    let (name, serialized) = (name.to_owned(), serialized.to_owned());
    Ok(ScorerVersion { scorer_id, experiment_id: experiment, name, version, serialized, created_ms })
}

/// The newest version of each scorer of an experiment, by name.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx, experiment_id: &str) -> Result<Vec<ScorerVersion>, Error> {
    let experiment = active(tx, ctx, experiment_id)?;
    let found = newest(tx, ctx)?;
    Ok(found.into_iter().filter(|scorer| scorer.experiment_id == experiment).collect())
}

/// The same of several active experiments, or of all; those that are not there have none.
pub fn list_many(tx: &mut Tx<'_>, ctx: &Ctx, experiment_ids: Option<&[String]>) -> Result<Vec<ScorerVersion>, Error> {
    let mut found = newest(tx, ctx)?;
    if let Some(ids) = experiment_ids {
        let ids = ids.iter().map(|id| check::experiment_id(id)).collect::<Result<Vec<_>, _>>()?;
        found.retain(|scorer| ids.contains(&scorer.experiment_id));
    }
    Ok(found)
}

/// All versions of a scorer, the oldest first.
pub fn versions(tx: &mut Tx<'_>, ctx: &Ctx, experiment_id: &str, name: &str) -> Result<Vec<ScorerVersion>, Error> {
    let experiment = active(tx, ctx, experiment_id)?;
    let scorer_id = find(tx, experiment_id, experiment, name)?;
    let rows = tx.query(
        "SELECT s.scorer_id, s.experiment_id, s.name, v.version, v.serialized, v.created_ms FROM scorers s
         JOIN scorer_versions v ON v.scorer_id = s.scorer_id WHERE s.scorer_id = $1 ORDER BY v.version",
        &[scorer_id.into()],
    )?;
    let found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() { Err(missing(name, experiment_id)) } else { Ok(found) }
}

/// A version of a scorer; the newest if none is named.
pub fn get(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    experiment_id: &str,
    name: &str,
    version: Option<i64>,
) -> Result<ScorerVersion, Error> {
    let mut all = versions(tx, ctx, experiment_id, name)?;
    match version {
        None => all.pop().ok_or_else(|| missing(name, experiment_id)),
        Some(version) => all
            .into_iter()
            .find(|one| one.version == version)
            .ok_or_else(|| missing_version(name, version, experiment_id)),
    }
}

/// Deletes a version of a scorer, or the scorer.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, experiment_id: &str, name: &str, version: Option<i64>) -> Result<(), Error> {
    let found = get(tx, ctx, experiment_id, name, version)?;
    match version {
        None => tx.execute("DELETE FROM scorers WHERE scorer_id = $1", &[found.scorer_id.into()])?,
        Some(version) => tx.execute(
            "DELETE FROM scorer_versions WHERE scorer_id = $1 AND version = $2",
            &[found.scorer_id.into(), version.into()],
        )?,
    };
    Ok(())
}

fn active(tx: &mut Tx<'_>, ctx: &Ctx, experiment_id: &str) -> Result<i64, Error> {
    let found = experiment::get(tx, ctx, experiment_id)?;
    if found.stage == Stage::Deleted {
        return Err(Error::Deleted { what: "experiment", id: experiment_id.to_owned() });
    }
    check::experiment_id(&found.experiment_id)
}

fn find(tx: &mut Tx<'_>, experiment_id: &str, experiment: i64, name: &str) -> Result<String, Error> {
    let select = "SELECT scorer_id FROM scorers WHERE experiment_id = $1 AND name = $2";
    let row = tx.query_opt(select, &[experiment.into(), name.into()])?;
    Ok(row.ok_or_else(|| missing(name, experiment_id))?.text("scorer_id")?)
}

fn newest(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<ScorerVersion>, Error> {
    let rows = tx.query(
        "SELECT s.scorer_id, s.experiment_id, s.name, v.version, v.serialized, v.created_ms FROM scorers s
         JOIN scorer_versions v ON v.scorer_id = s.scorer_id
         JOIN experiments e ON e.experiment_id = s.experiment_id
         WHERE s.workspace = $1 AND e.lifecycle_stage = 'active'
           AND v.version = (SELECT max(version) FROM scorer_versions w WHERE w.scorer_id = s.scorer_id)
         ORDER BY s.experiment_id, s.name",
        &[(&ctx.workspace).into()],
    )?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<ScorerVersion, Error> {
    Ok(ScorerVersion {
        scorer_id: row.text("scorer_id")?,
        experiment_id: row.i64("experiment_id")?,
        name: row.text("name")?,
        version: row.i64("version")?,
        serialized: row.text("serialized")?,
        created_ms: row.i64("created_ms")?,
    })
}

fn missing(name: &str, experiment_id: &str) -> Error {
    Error::not_found(format!("Scorer with name '{name}' not found for experiment {experiment_id}."))
}

fn missing_version(name: &str, version: i64, experiment_id: &str) -> Error {
    Error::not_found(format!(
        "Scorer with name '{name}' and version {version} not found for experiment {experiment_id}."
    ))
}
