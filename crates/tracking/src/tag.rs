//! Tags of runs.

use db::Tx;
use kernel::ctx::Ctx;
use serde_json::{Map, Value as Json};

use crate::{Error, Pair, check, run};

/// Sets a tag; `mlflow.runName` renames the run.
pub fn set(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, tag: Pair) -> Result<(), Error> {
    let tag = check::tag(tag, str::to_owned)?;
    run::active(tx, ctx, run_id)?;
    put(tx, run_id, &tag)
}

/// Deletes a tag; one that is not there is an error.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, key: &str) -> Result<(), Error> {
    run::active(tx, ctx, run_id)?;
    let deleted = tx.execute("DELETE FROM run_tags WHERE run_id = $1 AND key = $2", &[run_id.into(), key.into()])?;
    if deleted == 0 {
        return Err(Error::not_found(format!("No tag with name: {key} in run with id {run_id}")));
    }
    Ok(())
}

/// Writes a tag that was checked, of a run that was checked.
pub(crate) fn put(tx: &mut Tx<'_>, run_id: &str, tag: &Pair) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO run_tags (run_id, key, value) VALUES ($1, $2, $3)
         ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value",
        &[run_id.into(), (&tag.key).into(), (&tag.value).into()],
    )?;
    if tag.key == run::NAME_TAG && !tag.value.is_empty() {
        tx.execute("UPDATE runs SET name = $2 WHERE run_id = $1", &[run_id.into(), (&tag.value).into()])?;
    }
    Ok(())
}

/// The tag that lists the models a run logged, for clients before MLflow 3.
const MODELS_TAG: &str = "mlflow.log-model.history";

/// Adds a model to the list in the run's tag: what identifies it, and its flavours without their configuration.
pub fn append_model(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, mut model: Map<String, Json>) -> Result<(), Error> {
    run::active(tx, ctx, run_id)?;
    model.retain(|name, _| {
        matches!(name.as_str(), "run_id" | "utc_time_created" | "artifact_path" | "model_uuid" | "flavors")
    });
    for flavor in model.get_mut("flavors").and_then(Json::as_object_mut).into_iter().flat_map(Map::values_mut) {
        if let Some(flavor) = flavor.as_object_mut() {
            flavor.remove("config");
        }
    }
    let row =
        tx.query_opt("SELECT value FROM run_tags WHERE run_id = $1 AND key = $2", &[run_id.into(), MODELS_TAG.into()])?;
    let before = row.map(|row| row.text("value")).transpose()?.unwrap_or_default();
    let mut models: Vec<Json> = serde_json::from_str(&before).unwrap_or_default();
    models.push(Json::Object(model));
    // Not cut at the usual length: a list that is cut is no list.
    put(tx, run_id, &Pair::new(MODELS_TAG, Json::Array(models).to_string()))
}
