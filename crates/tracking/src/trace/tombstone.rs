//! Traces that were deleted lately. Exporters send late and again: what comes of a deleted trace must not bring it back.

use db::Tx;
use kernel::clock::DAY_US;
use kernel::ctx::Ctx;

use crate::Error;

/// How long a deletion is remembered; no exporter tries for so long.
const MEMORY_MS: i64 = DAY_US / 1_000;

/// Remembers that a trace was deleted.
pub(super) fn put(tx: &mut Tx<'_>, ctx: &Ctx, trace_id: &str) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO deleted_traces (trace_id, deleted_ms) VALUES ($1, $2)
         ON CONFLICT (trace_id) DO UPDATE SET deleted_ms = excluded.deleted_ms",
        &[trace_id.into(), (ctx.now_us / 1_000).into()],
    )?;
    Ok(())
}

/// Forgets what was deleted long ago.
pub(super) fn forget(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<(), Error> {
    tx.execute("DELETE FROM deleted_traces WHERE deleted_ms < $1", &[(ctx.now_us / 1_000 - MEMORY_MS).into()])?;
    Ok(())
}

/// Whether a trace was deleted lately.
pub(super) fn is_there(tx: &mut Tx<'_>, trace_id: &str) -> Result<bool, Error> {
    let found = tx.query_opt("SELECT trace_id FROM deleted_traces WHERE trace_id = $1", &[trace_id.into()])?;
    Ok(found.is_some())
}
