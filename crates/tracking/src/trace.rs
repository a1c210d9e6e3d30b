//! Traces of calls to models and agents: what is known of each, its tags, and its links to runs and prompts. Their spans are in
//! [`span`], judgements of them in [`crate::assessment`].

mod end;
pub mod span;
mod tombstone;

use std::collections::HashMap;

use db::{Row, Sql, Tx};
use kernel::ctx::Ctx;

pub use self::end::end;
use crate::assessment::{self, Assessment, NewAssessment};
use crate::{Error, Pair, check, experiment, run};

/// How a trace ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nobody said.
    #[default]
    Unspecified,
    /// Well.
    Ok,
    /// With an error.
    Error,
    /// Not yet.
    InProgress,
}

impl State {
    /// All, with the numbers that the protocol gives them.
    pub const ALL: [(i64, Self); 4] = [(0, Self::Unspecified), (1, Self::Ok), (2, Self::Error), (3, Self::InProgress)];

    /// As stored, as searched for and as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "STATE_UNSPECIFIED",
            Self::Ok => "OK",
            Self::Error => "ERROR",
            Self::InProgress => "IN_PROGRESS",
        }
    }

    fn read(row: &Row) -> Result<Self, db::Error> {
        let text = row.str("state")?;
        let found = Self::ALL.into_iter().map(|(_, state)| state).find(|state| state.as_str() == text);
        found.ok_or_else(|| db::Error::corrupt("state", text))
    }
}

/// What is known of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// `tr-` and 32 hexadecimal digits.
    pub trace_id: String,
    /// The experiment.
    pub experiment_id: String,
    /// What the caller calls the request.
    pub client_request_id: Option<String>,
    /// When it began, milliseconds since the epoch.
    pub request_ms: i64,
    /// How long it took, milliseconds.
    pub duration_ms: Option<i64>,
    /// How it ended.
    pub state: State,
    /// The beginning of what was asked.
    pub request_preview: Option<String>,
    /// The beginning of what was answered.
    pub response_preview: Option<String>,
    /// By key; written once.
    pub metadata: Vec<Pair>,
    /// By key.
    pub tags: Vec<Pair>,
    /// The oldest first.
    pub assessments: Vec<Assessment>,
}

impl Trace {
    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str())
    }
}

/// The tag that names a trace.
pub const NAME_TAG: &str = "mlflow.traceName";
/// The tag that says where files of the trace go.
pub const ARTIFACTS_TAG: &str = "mlflow.artifactLocation";
/// The tag that says where its spans are.
pub const SPANS_TAG: &str = "mlflow.trace.spansLocation";
/// Set here and by nobody else.
const SYSTEM_TAGS: [&str; 4] =
    [ARTIFACTS_TAG, SPANS_TAG, "mlflow.trace.archiveLocation", "mlflow.trace.archivalFailure"];
/// The metadata that names the run in which a trace was made.
pub const RUN_KEY: &str = "mlflow.sourceRun";
/// The metadata that says that the client has said all it knows.
pub const FINALIZED_KEY: &str = "mlflow.trace.infoFinalized";

/// Most traces linked to a run at once.
const MAX_LINKS: usize = 100;

/// Takes what a client knows of a trace, before or after its spans came.
pub fn start(tx: &mut Tx<'_>, ctx: &Ctx, new: Trace, judged: Vec<NewAssessment>) -> Result<Trace, Error> {
    check_id(&new.trace_id)?;
    if tombstone::is_there(tx, &new.trace_id)? {
        return Err(Error::not_found(format!("Trace with ID '{}' was deleted.", new.trace_id)));
    }
    let (experiment_id, location) = experiment::active(tx, ctx, &new.experiment_id)?;
    claim(tx, ctx, &new.trace_id, experiment_id, new.request_ms)?;
    tx.execute(
        "UPDATE traces SET experiment_id = $1, client_request_id = $2, request_ms = $3, duration_ms = $4, state = $5,
             request_preview = $6, response_preview = $7, finalized = TRUE WHERE trace_id = $8",
        &[
            experiment_id.into(),
            new.client_request_id.into(),
            new.request_ms.into(),
            new.duration_ms.into(),
            new.state.as_str().into(),
            new.request_preview.into(),
            new.response_preview.into(),
            new.trace_id.as_str().into(),
        ],
    )?;
    for tag in new.tags.into_iter().filter(|tag| !SYSTEM_TAGS.contains(&tag.key.as_str())) {
        put_tag(tx, &new.trace_id, &check::tag(tag, |name| format!("tags.{name}"))?)?;
    }
    put_tag(tx, &new.trace_id, &artifacts_tag(&location, &new.trace_id))?;
    for pair in new.metadata.iter().chain([&Pair::new(FINALIZED_KEY, "true")]) {
        put_metadata(tx, &new.trace_id, pair)?;
    }
    for assessment in judged {
        assessment::create(tx, ctx, &new.trace_id, assessment)?;
    }
    get(tx, ctx, &new.trace_id)
}

/// Makes the row of a trace if there is none; one of another workspace is not to be had.
fn claim(tx: &mut Tx<'_>, ctx: &Ctx, trace_id: &str, experiment_id: i64, request_ms: i64) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO traces (trace_id, workspace, experiment_id, request_ms, state, finalized)
         VALUES ($1, $2, $3, $4, 'IN_PROGRESS', FALSE) ON CONFLICT (trace_id) DO NOTHING",
        &[trace_id.into(), ctx.workspace.as_str().into(), experiment_id.into(), request_ms.into()],
    )?;
    require(tx, ctx, trace_id)
}

/// A trace by id.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, trace_id: &str) -> Result<Trace, Error> {
    get_many(tx, ctx, &[trace_id.to_owned()])?.pop().ok_or_else(|| missing(trace_id))
}

/// Those of these traces that exist, in the order asked for.
pub fn get_many(tx: &mut Tx<'_>, ctx: &Ctx, trace_ids: &[String]) -> Result<Vec<Trace>, Error> {
    let mut sql = Sql::new();
    sql.push(COLUMNS).bind(ctx.workspace.as_str()).push(" AND t.trace_id IN ").bind_list(trace_ids);
    let mut found = fetch(tx, &sql)?;
    found.sort_by_key(|trace| trace_ids.iter().position(|id| *id == trace.trace_id));
    Ok(found)
}

/// Sets a tag.
pub fn set_tag(tx: &mut Tx<'_>, ctx: &Ctx, trace_id: &str, tag: Pair) -> Result<(), Error> {
    let tag = check::tag(tag, str::to_owned)?;
    changeable(&tag.key, "set")?;
    require(tx, ctx, trace_id)?;
    put_tag(tx, trace_id, &tag)
}

/// Deletes a tag; one that is not there is an error.
pub fn delete_tag(tx: &mut Tx<'_>, ctx: &Ctx, trace_id: &str, key: &str) -> Result<(), Error> {
    changeable(key, "deleted")?;
    require(tx, ctx, trace_id)?;
    let deleted =
        tx.execute("DELETE FROM trace_tags WHERE trace_id = $1 AND key = $2", &[trace_id.into(), key.into()])?;
    if deleted == 0 {
        return Err(Error::not_found(format!("No trace tag with key '{key}' for trace with ID '{trace_id}'")));
    }
    Ok(())
}

/// Which traces are to be deleted: these, or those that began no later than an instant.
#[derive(Clone, Debug, Default)]
pub struct Deletion {
    /// The experiment that they belong to.
    pub experiment_id: String,
    /// By id.
    pub trace_ids: Vec<String>,
    /// By time, milliseconds since the epoch.
    pub until_ms: Option<i64>,
    /// By time, at most so many, the oldest first.
    pub most: Option<i64>,
}

/// Deletes traces with all that belongs to them, and returns where their files are.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, wanted: &Deletion) -> Result<Vec<String>, Error> {
    let experiment_id = check::experiment_id(&wanted.experiment_id)?;
    let invalid = |message: &str| Err(Error::invalid("max_timestamp_millis", message));
    match (wanted.until_ms, wanted.trace_ids.is_empty(), wanted.most) {
        (None, true, _) => return invalid("Either `max_timestamp_millis` or `trace_ids` must be specified."),
        (Some(_), false, _) => return invalid("Only one of `max_timestamp_millis` and `trace_ids` can be specified."),
        (None, false, Some(_)) => {
            return Err(Error::invalid("max_traces", "`max_traces` can't be specified if `trace_ids` is specified."));
        }
        (Some(_), true, Some(most)) if most <= 0 => {
            let message = format!("`max_traces` must be a positive integer, received {most}.");
            return Err(Error::invalid("max_traces", message));
        }
        _ => {}
    }
    let mut sql = Sql::new();
    sql.push("SELECT t.trace_id, a.value AS files FROM traces t LEFT JOIN trace_tags a ON a.trace_id = t.trace_id AND a.key = ");
    sql.bind(ARTIFACTS_TAG).push(" WHERE t.workspace = ").bind(ctx.workspace.as_str());
    sql.push(" AND t.experiment_id = ").bind(experiment_id);
    match wanted.until_ms {
        Some(until_ms) => sql.push(" AND t.request_ms <= ").bind(until_ms),
        None => sql.push(" AND t.trace_id IN ").bind_list(&wanted.trace_ids),
    };
    sql.push(" ORDER BY t.request_ms, t.trace_id LIMIT ").bind(wanted.most.unwrap_or(crate::search::EVERYTHING));
    let rows = tx.query_built(&sql)?;
    tombstone::forget(tx, ctx)?;
    for row in &rows {
        tx.execute("DELETE FROM traces WHERE trace_id = $1", &[row.text("trace_id")?.into()])?;
        tombstone::put(tx, ctx, row.str("trace_id")?)?;
    }
    Ok(rows.iter().map(|row| Ok(row.opt_text("files")?.unwrap_or_default())).collect::<Result<_, db::Error>>()?)
}

/// Says that traces belong to a run; those that do not exist are passed over.
pub fn link_to_run(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, trace_ids: &[String]) -> Result<(), Error> {
    if trace_ids.len() > MAX_LINKS {
        let message = format!(
            "Cannot link more than {MAX_LINKS} traces to a run in a single request. Provided {} traces.",
            trace_ids.len()
        );
        return Err(Error::invalid("trace_ids", message));
    }
    run::info(tx, ctx, run_id)?;
    for trace in get_many(tx, ctx, trace_ids)? {
        link(tx, &trace.trace_id, "run", run_id)?;
    }
    Ok(())
}

/// Says that a trace used versions of prompts, each as `name/version`.
pub fn link_prompts(tx: &mut Tx<'_>, ctx: &Ctx, trace_id: &str, prompts: &[String]) -> Result<(), Error> {
    require(tx, ctx, trace_id)?;
    prompts.iter().try_for_each(|prompt| link(tx, trace_id, "prompt", prompt))
}

fn link(tx: &mut Tx<'_>, trace_id: &str, kind: &'static str, target: &str) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO trace_links (trace_id, kind, target) VALUES ($1, $2, $3)
         ON CONFLICT (trace_id, kind, target) DO NOTHING",
        &[trace_id.into(), kind.into(), target.into()],
    )?;
    Ok(())
}

/// An error if there is no such trace.
pub(crate) fn require(tx: &mut Tx<'_>, ctx: &Ctx, trace_id: &str) -> Result<(), Error> {
    let row = tx.query_opt(
        "SELECT trace_id FROM traces WHERE workspace = $1 AND trace_id = $2",
        &[ctx.workspace.as_str().into(), trace_id.into()],
    )?;
    row.map(|_| ()).ok_or_else(|| missing(trace_id))
}

fn missing(trace_id: &str) -> Error {
    Error::not_found(format!("Trace with ID '{trace_id}' not found."))
}

fn changeable(key: &str, verb: &str) -> Result<(), Error> {
    if SYSTEM_TAGS.contains(&key) {
        return Err(Error::invalid("key", format!("Tag '{key}' is immutable and cannot be {verb} on a trace.")));
    }
    Ok(())
}

/// It becomes a part of a path.
fn check_id(trace_id: &str) -> Result<(), Error> {
    let plain = trace_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if trace_id.is_empty() || trace_id.len() > 64 || !plain {
        return Err(Error::invalid("trace_id", format!("Invalid trace ID: '{trace_id}'")));
    }
    Ok(())
}

fn artifacts_tag(location: &str, trace_id: &str) -> Pair {
    Pair::new(ARTIFACTS_TAG, experiment::artifact_uri(location, &["traces", trace_id, "artifacts"]))
}

fn put_tag(tx: &mut Tx<'_>, trace_id: &str, tag: &Pair) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO trace_tags (trace_id, key, value) VALUES ($1, $2, $3)
         ON CONFLICT (trace_id, key) DO UPDATE SET value = excluded.value",
        &[trace_id.into(), (&tag.key).into(), (&tag.value).into()],
    )?;
    Ok(())
}

fn put_metadata(tx: &mut Tx<'_>, trace_id: &str, pair: &Pair) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO trace_metadata (trace_id, key, value) VALUES ($1, $2, $3)
         ON CONFLICT (trace_id, key) DO UPDATE SET value = excluded.value",
        &[trace_id.into(), (&pair.key).into(), (&pair.value).into()],
    )?;
    Ok(())
}

pub(crate) const COLUMNS: &str = "SELECT t.trace_id, t.experiment_id, t.client_request_id, t.request_ms, t.duration_ms,
    t.state, t.request_preview, t.response_preview FROM traces t WHERE t.workspace = ";

/// Runs a statement that begins with [`COLUMNS`] and completes each trace.
pub(crate) fn fetch(tx: &mut Tx<'_>, sql: &Sql) -> Result<Vec<Trace>, Error> {
    let mut traces = tx.query_built(sql)?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<String> = traces.iter().map(|trace| trace.trace_id.clone()).collect();
    let slots: HashMap<&str, usize> = ids.iter().enumerate().map(|(slot, id)| (id.as_str(), slot)).collect();
    let heads = [
        "SELECT trace_id, key, value FROM trace_tags WHERE trace_id IN ",
        "SELECT trace_id, key, value FROM trace_metadata WHERE trace_id IN ",
    ];
    for (kind, head) in heads.into_iter().enumerate() {
        let mut pairs = Sql::new();
        pairs.push(head).bind_list(&ids).push(" ORDER BY key");
        for row in tx.query_built(&pairs)? {
            if let Some(&slot) = slots.get(row.str("trace_id")?) {
                let pair = Pair::new(row.text("key")?, row.text("value")?);
                if kind == 0 { traces[slot].tags.push(pair) } else { traces[slot].metadata.push(pair) }
            }
        }
    }
    for assessment in assessment::of_traces(tx, &ids)? {
        if let Some(&slot) = slots.get(assessment.trace_id.as_str()) {
            traces[slot].assessments.push(assessment);
        }
    }
    Ok(traces)
}

fn read(row: &Row) -> Result<Trace, db::Error> {
    Ok(Trace {
        trace_id: row.text("trace_id")?,
        experiment_id: row.i64("experiment_id")?.to_string(),
        client_request_id: row.opt_text("client_request_id")?,
        request_ms: row.i64("request_ms")?,
        duration_ms: row.opt_i64("duration_ms")?,
        state: State::read(row)?,
        request_preview: row.opt_text("request_preview")?,
        response_preview: row.opt_text("response_preview")?,
        ..Trace::default()
    })
}
