//! The end of a trace, as clients before MLflow 3 told it: apart from its beginning.

use db::Tx;
use kernel::ctx::Ctx;

use super::{SYSTEM_TAGS, State, Trace, get, put_metadata, put_tag};
use crate::{Error, Pair, check};

/// Says how and when (milliseconds since the epoch) a trace ended; metadata and tags are added to those that are there.
pub fn end(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    trace_id: &str,
    (state, end_ms): (State, i64),
    metadata: &[Pair],
    tags: Vec<Pair>,
) -> Result<Trace, Error> {
    let known = get(tx, ctx, trace_id)?;
    tx.execute(
        "UPDATE traces SET state = $1, duration_ms = $2 WHERE trace_id = $3",
        &[state.as_str().into(), end_ms.saturating_sub(known.request_ms).into(), trace_id.into()],
    )?;
    for tag in tags.into_iter().filter(|tag| !SYSTEM_TAGS.contains(&tag.key.as_str())) {
        put_tag(tx, trace_id, &check::tag(tag, |name| format!("tags.{name}"))?)?;
    }
    for pair in metadata {
        put_metadata(tx, trace_id, pair)?;
    }
    get(tx, ctx, trace_id)
}
