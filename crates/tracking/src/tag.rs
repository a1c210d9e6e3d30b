//! Tags of runs.

use db::Tx;
use kernel::ctx::Ctx;

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
