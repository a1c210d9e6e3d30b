//! What comes from another registry keeps its numbers and its times. The versions themselves are registered as always; here the
//! way is cleared for their numbers, and their times are set afterwards.

use db::Tx;
use kernel::ctx::Ctx;

use crate::model::{self, lock};
use crate::{Error, Result, name, version};

/// How a number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// There is such a version.
    There,
    /// There was one, or the number was passed over: it is never used again.
    Gone,
    /// The next version that is registered gets it.
    Next,
}

/// Sets the times of a model, in milliseconds since the epoch.
pub fn model_times(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, created_ms: i64, updated_ms: i64) -> Result<()> {
    let uid = model::uid(tx, ctx, name)?;
    tx.execute(
        "UPDATE registered_models SET created_ms = $2, updated_ms = $3 WHERE uid = $1",
        &[uid.into(), created_ms.into(), updated_ms.into()],
    )?;
    Ok(())
}

/// Clears the way for a number: those before it that the model never had are passed over. A version that is there gets these
/// times, in milliseconds since the epoch.
pub fn version(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    name: &str,
    number: &str,
    created_ms: i64,
    updated_ms: i64,
) -> Result<Number> {
    let wanted = name::version(number)?;
    if wanted < 1 {
        return Err(Error::invalid("version", format!("Parameter 'version' must be at least 1, not {number}")));
    }
    let locked = lock(tx, ctx, name)?;
    if version::find(tx, &locked.uid, wanted)?.is_some() {
        tx.execute(
            "UPDATE model_versions SET created_ms = $3, updated_ms = $4 WHERE model_uid = $1 AND version = $2",
            &[locked.uid.into(), wanted.into(), created_ms.into(), updated_ms.into()],
        )?;
        return Ok(Number::There);
    }
    let row = tx.query_opt(
        "SELECT max(version) AS version FROM model_versions WHERE model_uid = $1",
        &[locked.uid.as_str().into()],
    )?;
    let last = row.map(|row| row.opt_i64("version")).transpose()?.flatten().unwrap_or(0);
    if last >= wanted {
        return Ok(Number::Gone);
    }
    if last < wanted - 1 {
        // As a deleted version leaves it.
        tx.execute(
            "INSERT INTO model_versions (workspace, model_uid, version, stage, deleted, source, storage_location, run_id,
                 run_link, status, created_by, created_ms, updated_ms)
             VALUES ($1, $2, $3, 'None', TRUE, 'REDACTED-SOURCE-PATH', 'REDACTED-SOURCE-PATH', 'REDACTED-RUN-ID',
                 'REDACTED-RUN-LINK', 'READY', $4, $5, $5)",
            &[
                ctx.workspace.as_str().into(),
                locked.uid.into(),
                (wanted - 1).into(),
                ctx.principal.to_string().into(),
                created_ms.into(),
            ],
        )?;
    }
    Ok(Number::Next)
}
