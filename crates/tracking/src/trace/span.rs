//! Spans: the steps of a trace, as they were exported. What a client did not say of the trace itself is taken from them.

use std::collections::{BTreeMap, HashMap};

use db::{Sql, Tx};
use kernel::ctx::Ctx;

use super::{NAME_TAG, RUN_KEY, SPANS_TAG, State, artifacts_tag, check_id, claim, put_tag, tombstone};
use crate::{Error, Pair, check, experiment, run};

/// A span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    /// The trace.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// The span around it; the root has none.
    pub parent_id: Option<String>,
    /// Its name.
    pub name: String,
    /// What the client calls its kind (`LLM`, `CHAIN` ...).
    pub kind: Option<String>,
    /// `OK`, `ERROR` or `UNSET`.
    pub status: &'static str,
    /// Nanoseconds since the epoch.
    pub start_ns: i64,
    /// Nanoseconds since the epoch; `None` while it runs.
    pub end_ns: Option<i64>,
    /// What went in, as text.
    pub inputs: Option<String>,
    /// What came out, as text.
    pub outputs: Option<String>,
    /// All of it, in the form in which it is given back. Opaque here, but searchable as text.
    pub content: String,
}

/// The longest preview, characters.
const MAX_PREVIEW: usize = 1_000;

/// Keeps spans, of any traces. One that came before is replaced; one of a trace that was deleted is passed over.
pub fn log(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    experiment_id: &str,
    run_id: Option<&str>,
    spans: Vec<Span>,
) -> Result<(), Error> {
    let (experiment, location) = experiment::active(tx, ctx, experiment_id)?;
    run_id.map_or(Ok(()), |run_id| run::info(tx, ctx, run_id).map(|_| ()))?;
    let mut traces: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for span in spans {
        traces.entry(span.trace_id.clone()).or_default().push(span);
    }
    for (trace_id, spans) in traces {
        check_id(&trace_id)?;
        if tombstone::is_there(tx, &trace_id)? {
            continue;
        }
        let began_ns = spans.iter().map(|span| span.start_ns).min().unwrap_or_default();
        claim(tx, ctx, &trace_id, experiment, began_ns / 1_000_000)?;
        for span in &spans {
            put(tx, span)?;
        }
        put_tag(tx, &trace_id, &Pair::new(SPANS_TAG, "TRACKING_STORE"))?;
        keep_tag(tx, &trace_id, &artifacts_tag(&location, &trace_id))?;
        if let Some(run_id) = run_id {
            keep_metadata(tx, &trace_id, RUN_KEY, run_id)?;
        }
        describe(tx, &trace_id, spans.iter().find(|span| span.parent_id.is_none()))?;
    }
    Ok(())
}

fn put(tx: &mut Tx<'_>, span: &Span) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO trace_spans (trace_id, span_id, parent_id, name, kind, status, start_ns, end_ns, content)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (trace_id, span_id) DO UPDATE SET parent_id = excluded.parent_id, name = excluded.name,
             kind = excluded.kind, status = excluded.status, start_ns = excluded.start_ns, end_ns = excluded.end_ns,
             content = excluded.content",
        &[
            (&span.trace_id).into(),
            (&span.span_id).into(),
            span.parent_id.as_deref().into(),
            (&span.name).into(),
            span.kind.as_deref().into(),
            span.status.into(),
            span.start_ns.into(),
            span.end_ns.into(),
            (&span.content).into(),
        ],
    )?;
    Ok(())
}

/// Says of the trace what its spans say, unless a client has said it.
fn describe(tx: &mut Tx<'_>, trace_id: &str, root: Option<&Span>) -> Result<(), Error> {
    let row = tx.query_opt("SELECT finalized FROM traces WHERE trace_id = $1", &[trace_id.into()])?;
    if row.map(|row| row.bool("finalized")).transpose()?.unwrap_or(true) {
        return Ok(());
    }
    let row = tx.query_opt(
        "SELECT min(start_ns) AS start_ns, max(end_ns) AS end_ns FROM trace_spans WHERE trace_id = $1",
        &[trace_id.into()],
    )?;
    let Some(row) = row else { return Ok(()) };
    let (start_ms, end_ms) = (row.opt_i64("start_ns")?.unwrap_or(0) / 1_000_000, row.opt_i64("end_ns")?);
    let duration_ms = end_ms.map(|end_ns| end_ns / 1_000_000 - start_ms);
    tx.execute(
        "UPDATE traces SET request_ms = $1, duration_ms = $2 WHERE trace_id = $3",
        &[start_ms.into(), duration_ms.into(), trace_id.into()],
    )?;
    let Some(root) = root else { return Ok(()) };
    let state = if root.status == "ERROR" { State::Error } else { State::Ok };
    let preview = |text: &Option<String>| text.clone().map(|text| check::truncated(text, MAX_PREVIEW));
    tx.execute(
        "UPDATE traces SET state = $1, request_preview = $2, response_preview = $3 WHERE trace_id = $4",
        &[state.as_str().into(), preview(&root.inputs).into(), preview(&root.outputs).into(), trace_id.into()],
    )?;
    keep_tag(tx, trace_id, &Pair::new(NAME_TAG, root.name.as_str()))?;
    keep_metadata(tx, trace_id, "mlflow.trace_schema.version", "3")?;
    for (key, text) in [("mlflow.traceInputs", &root.inputs), ("mlflow.traceOutputs", &root.outputs)] {
        if let Some(text) = preview(text) {
            keep_metadata(tx, trace_id, key, &text)?;
        }
    }
    Ok(())
}

fn keep_tag(tx: &mut Tx<'_>, trace_id: &str, tag: &Pair) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO trace_tags (trace_id, key, value) VALUES ($1, $2, $3) ON CONFLICT (trace_id, key) DO NOTHING",
        &[trace_id.into(), (&tag.key).into(), (&tag.value).into()],
    )?;
    Ok(())
}

fn keep_metadata(tx: &mut Tx<'_>, trace_id: &str, key: &'static str, value: &str) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO trace_metadata (trace_id, key, value) VALUES ($1, $2, $3) ON CONFLICT (trace_id, key) DO NOTHING",
        &[trace_id.into(), key.into(), value.into()],
    )?;
    Ok(())
}

/// The contents of the spans of traces, by trace, the earliest first. The traces are known to be the caller's.
pub fn of_traces(tx: &mut Tx<'_>, trace_ids: &[String]) -> Result<HashMap<String, Vec<String>>, Error> {
    let mut sql = Sql::new();
    sql.push("SELECT trace_id, content FROM trace_spans WHERE trace_id IN ").bind_list(trace_ids);
    sql.push(" ORDER BY start_ns, span_id");
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for row in tx.query_built(&sql)? {
        found.entry(row.text("trace_id")?).or_default().push(row.text("content")?);
    }
    Ok(found)
}
