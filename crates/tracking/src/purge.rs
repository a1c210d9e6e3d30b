//! What lies in the bin goes for good: rows of deleted runs, logged models and experiments, of every workspace.
//!
//! Each removal checks again that its thing is still in the bin, so one that was restored meanwhile stays.

use db::{Row, Tx};

use crate::Error;

/// A thing in the bin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binned {
    /// Its id.
    pub id: String,
    /// Where its files are, as a URI.
    pub artifacts: String,
}

/// Deleted runs that were deleted at or before an instant, in milliseconds since the epoch.
pub fn runs(tx: &mut Tx<'_>, until_ms: i64) -> Result<Vec<Binned>, Error> {
    let rows = tx.query(
        "SELECT run_id AS id, artifact_uri AS artifacts FROM runs
         WHERE lifecycle_stage = 'deleted' AND deleted_ms <= $1 ORDER BY run_id",
        &[until_ms.into()],
    )?;
    rows.iter().map(read).collect()
}

/// Deleted logged models, and those of deleted experiments, by the same rule.
pub fn logged_models(tx: &mut Tx<'_>, until_ms: i64) -> Result<Vec<Binned>, Error> {
    let rows = tx.query(
        "SELECT m.model_id AS id, m.artifact_location AS artifacts
         FROM logged_models m JOIN experiments e ON e.experiment_id = m.experiment_id
         WHERE (m.lifecycle_stage = 'deleted' AND m.updated_ms <= $1)
            OR (e.lifecycle_stage = 'deleted' AND e.updated_ms <= $1) ORDER BY m.model_id",
        &[until_ms.into()],
    )?;
    rows.iter().map(read).collect()
}

/// Deleted experiments by the same rule; the default one stays, clients expect it.
pub fn experiments(tx: &mut Tx<'_>, until_ms: i64) -> Result<Vec<i64>, Error> {
    let rows = tx.query(
        "SELECT experiment_id FROM experiments
         WHERE lifecycle_stage = 'deleted' AND updated_ms <= $1 AND experiment_id <> 0 ORDER BY experiment_id",
        &[until_ms.into()],
    )?;
    rows.iter().map(|row| Ok(row.i64("experiment_id")?)).collect()
}

/// Removes a deleted run and everything that belongs to it; false if it is not in the bin.
pub fn remove_run(tx: &mut Tx<'_>, run_id: &str) -> Result<bool, Error> {
    const PARTS: [&str; 9] = [
        "DELETE FROM metric_waiting WHERE run_id = $1",
        "DELETE FROM metric_points WHERE series IN (SELECT series FROM metric_series WHERE run_id = $1)",
        "DELETE FROM metric_blocks WHERE series IN (SELECT series FROM metric_series WHERE run_id = $1)",
        "DELETE FROM metric_series WHERE run_id = $1",
        "DELETE FROM run_params WHERE run_id = $1",
        "DELETE FROM run_tags WHERE run_id = $1",
        "DELETE FROM run_dataset_tags WHERE run_id = $1",
        "DELETE FROM run_datasets WHERE run_id = $1",
        "DELETE FROM run_models WHERE run_id = $1",
    ];
    let deleted = "SELECT run_id FROM runs WHERE run_id = $1 AND lifecycle_stage = 'deleted'";
    if tx.query_opt(deleted, &[run_id.into()])?.is_none() {
        return Ok(false);
    }
    for part in PARTS {
        tx.execute(part, &[run_id.into()])?;
    }
    tx.execute("DELETE FROM runs WHERE run_id = $1", &[run_id.into()])?;
    Ok(true)
}

/// Removes a logged model that is deleted or whose experiment is; false if neither is so.
pub fn remove_logged_model(tx: &mut Tx<'_>, model_id: &str) -> Result<bool, Error> {
    const PARTS: [&str; 4] = [
        "DELETE FROM logged_model_params WHERE model_id = $1",
        "DELETE FROM logged_model_tags WHERE model_id = $1",
        "DELETE FROM logged_model_metrics WHERE model_id = $1",
        "DELETE FROM run_models WHERE model_id = $1",
    ];
    let deleted = "SELECT m.model_id FROM logged_models m JOIN experiments e ON e.experiment_id = m.experiment_id
                   WHERE m.model_id = $1 AND (m.lifecycle_stage = 'deleted' OR e.lifecycle_stage = 'deleted')";
    if tx.query_opt(deleted, &[model_id.into()])?.is_none() {
        return Ok(false);
    }
    for part in PARTS {
        tx.execute(part, &[model_id.into()])?;
    }
    tx.execute("DELETE FROM logged_models WHERE model_id = $1", &[model_id.into()])?;
    Ok(true)
}

/// Removes a deleted experiment that has no runs and no logged models left; false if it has, or is not in the bin.
pub fn remove_experiment(tx: &mut Tx<'_>, experiment_id: i64) -> Result<bool, Error> {
    let empty = "SELECT experiment_id FROM experiments e WHERE experiment_id = $1 AND lifecycle_stage = 'deleted'
                 AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.experiment_id = e.experiment_id)
                 AND NOT EXISTS (SELECT 1 FROM logged_models m WHERE m.experiment_id = e.experiment_id)";
    if tx.query_opt(empty, &[experiment_id.into()])?.is_none() {
        return Ok(false);
    }
    // what belongs to a trace goes along
    tx.execute("DELETE FROM traces WHERE experiment_id = $1", &[experiment_id.into()])?;
    tx.execute("DELETE FROM sweeps WHERE experiment_id = $1", &[experiment_id.into()])?;
    tx.execute("DELETE FROM datasets WHERE experiment_id = $1", &[experiment_id.into()])?;
    tx.execute("DELETE FROM experiment_tags WHERE experiment_id = $1", &[experiment_id.into()])?;
    tx.execute("DELETE FROM experiments WHERE experiment_id = $1", &[experiment_id.into()])?;
    Ok(true)
}

/// Whether a run or a logged model of this id exists, in the bin or not.
pub fn is_known(tx: &mut Tx<'_>, id: &str) -> Result<bool, Error> {
    let found = tx.query_opt(
        "SELECT 1 AS one FROM runs WHERE run_id = $1 UNION ALL SELECT 1 AS one FROM logged_models WHERE model_id = $1",
        &[id.into()],
    )?;
    Ok(found.is_some())
}

fn read(row: &Row) -> Result<Binned, Error> {
    Ok(Binned { id: row.text("id")?, artifacts: row.text("artifacts")? })
}
