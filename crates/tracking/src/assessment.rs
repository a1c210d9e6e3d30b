//! Assessments: what people, code and judges say of a trace or of one of its spans.

use db::{Row, Sql, Tx};
use kernel::ctx::Ctx;
use serde_json::Value as Json;

use crate::{Error, trace};

/// What kind of judgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A judgement of what was answered.
    #[default]
    Feedback,
    /// What should have been answered.
    Expectation,
    /// A reference to a known problem.
    Issue,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 3] = [Self::Feedback, Self::Expectation, Self::Issue];

    /// As stored and as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Feedback => "feedback",
            Self::Expectation => "expectation",
            Self::Issue => "issue",
        }
    }
}

/// An assessment as it comes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewAssessment {
    /// What is judged: `correctness`, say.
    pub name: String,
    /// What kind.
    pub kind: Kind,
    /// The judgement itself, in the shape in which it is given back: an object, of which `value` is searched.
    pub body: Json,
    /// `HUMAN`, `LLM_JUDGE` or `CODE`.
    pub source_type: String,
    /// Who of them.
    pub source_id: String,
    /// Why.
    pub rationale: Option<String>,
    /// Further facts: an object of texts.
    pub metadata: Option<Json>,
    /// The span that is judged; otherwise the trace.
    pub span_id: Option<String>,
    /// The assessment that this one replaces.
    pub overrides: Option<String>,
    /// When it was made, milliseconds since the epoch; now otherwise.
    pub created_ms: Option<i64>,
}

/// An assessment.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// `a-` and 32 hexadecimal digits.
    pub assessment_id: String,
    /// What it judges.
    pub trace_id: String,
    /// What was said.
    pub said: NewAssessment,
    /// False once another one overrides it.
    pub valid: bool,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
    /// Milliseconds since the epoch.
    pub updated_ms: i64,
}

/// What is to change; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// See [`NewAssessment::name`].
    pub name: Option<String>,
    /// See [`NewAssessment::body`]; the kind stays.
    pub body: Option<(Kind, Json)>,
    /// See [`NewAssessment::rationale`].
    pub rationale: Option<String>,
    /// Added to what is there.
    pub metadata: Option<Json>,
}

/// The longest name, characters.
const MAX_NAME: usize = 250;

/// Keeps a judgement; one that it overrides stays, marked as no longer valid.
pub fn create(tx: &mut Tx<'_>, ctx: &Ctx, trace_id: &str, new: NewAssessment) -> Result<Assessment, Error> {
    check_name(&new.name)?;
    trace::require(tx, ctx, trace_id)?;
    if let Some(overridden) = &new.overrides {
        get(tx, ctx, trace_id, overridden)?;
        set_valid(tx, overridden, false)?;
    }
    let id = format!("a-{}", kernel::id::random_hex());
    let created_ms = new.created_ms.unwrap_or(ctx.now_ms());
    let (text, number) = searchable(&new.body);
    tx.execute(
        "INSERT INTO assessments (assessment_id, trace_id, name, kind, body, value_text, value_number, source_type,
             source_id, rationale, metadata, span_id, overrides, valid, created_ms, updated_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, TRUE, $14, $14)",
        &[
            (&id).into(),
            trace_id.into(),
            new.name.into(),
            new.kind.as_str().into(),
            new.body.to_string().into(),
            text.into(),
            number.into(),
            new.source_type.into(),
            new.source_id.into(),
            new.rationale.into(),
            new.metadata.map(|metadata| metadata.to_string()).into(),
            new.span_id.into(),
            new.overrides.into(),
            created_ms.into(),
        ],
    )?;
    get(tx, ctx, trace_id, &id)
}

/// An assessment of a trace.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, trace_id: &str, id: &str) -> Result<Assessment, Error> {
    trace::require(tx, ctx, trace_id)?;
    let mut sql = Sql::new();
    sql.push(COLUMNS).push("trace_id = ").bind(trace_id).push(" AND assessment_id = ").bind(id);
    let found = tx.query_built(&sql)?.first().map(read).transpose()?;
    let missing = || Error::not_found(format!("Assessment with ID '{id}' not found for trace '{trace_id}'"));
    found.ok_or_else(missing)
}

/// Changes what is given.
pub fn update(tx: &mut Tx<'_>, ctx: &Ctx, trace_id: &str, id: &str, change: Change) -> Result<Assessment, Error> {
    let said = get(tx, ctx, trace_id, id)?.said;
    let body = match change.body {
        Some((kind, _)) if kind != said.kind => {
            let (from, to) = (said.kind.as_str(), kind.as_str());
            let message = format!("Cannot update {to} value on a {from} assessment. Please create a new one instead.");
            return Err(Error::invalid("assessment", message));
        }
        Some((_, body)) => body,
        None => said.body,
    };
    let name = change.name.unwrap_or(said.name);
    check_name(&name)?;
    let metadata = match (said.metadata, change.metadata) {
        (Some(Json::Object(mut old)), Some(Json::Object(new))) => {
            old.extend(new);
            Some(Json::Object(old))
        }
        (old, new) => new.or(old),
    };
    let (text, number) = searchable(&body);
    tx.execute(
        "UPDATE assessments SET name = $1, body = $2, value_text = $3, value_number = $4, rationale = $5, metadata = $6,
             updated_ms = $7 WHERE assessment_id = $8",
        &[
            name.into(),
            body.to_string().into(),
            text.into(),
            number.into(),
            change.rationale.or(said.rationale).into(),
            metadata.map(|metadata| metadata.to_string()).into(),
            ctx.now_ms().into(),
            id.into(),
        ],
    )?;
    get(tx, ctx, trace_id, id)
}

/// Deletes an assessment; what it overrode is valid again.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, trace_id: &str, id: &str) -> Result<(), Error> {
    let gone = get(tx, ctx, trace_id, id)?;
    tx.execute("DELETE FROM assessments WHERE assessment_id = $1", &[id.into()])?;
    gone.said.overrides.map_or(Ok(()), |overridden| set_valid(tx, &overridden, true))
}

fn set_valid(tx: &mut Tx<'_>, id: &str, valid: bool) -> Result<(), Error> {
    tx.execute("UPDATE assessments SET valid = $1 WHERE assessment_id = $2", &[valid.into(), id.into()])?;
    Ok(())
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() || name.chars().count() > MAX_NAME {
        let message = format!("Invalid assessment name '{name}': it must have 1 to {MAX_NAME} characters.");
        return Err(Error::invalid("assessment_name", message));
    }
    Ok(())
}

/// What a search compares with: a text as it is, anything else as JSON; and a number as a number too.
fn searchable(body: &Json) -> (Option<String>, Option<f64>) {
    match body.get("value") {
        None | Some(Json::Null) => (None, None),
        Some(Json::String(text)) => (Some(text.clone()), None),
        Some(value) => (Some(value.to_string()), value.as_f64()),
    }
}

const COLUMNS: &str = "SELECT assessment_id, trace_id, name, kind, body, source_type, source_id, rationale, metadata,
    span_id, overrides, valid, created_ms, updated_ms FROM assessments WHERE ";

/// The assessments of traces, the oldest first.
pub(crate) fn of_traces(tx: &mut Tx<'_>, trace_ids: &[String]) -> Result<Vec<Assessment>, Error> {
    let mut sql = Sql::new();
    sql.push(COLUMNS).push("trace_id IN ").bind_list(trace_ids).push(" ORDER BY created_ms, assessment_id");
    tx.query_built(&sql)?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Assessment, Error> {
    let json = |text: &str| serde_json::from_str(text).map_err(|error| db::Error::corrupt("body", error));
    let kind = row.str("kind")?;
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
    let created_ms = row.i64("created_ms")?;
    Ok(Assessment {
        assessment_id: row.text("assessment_id")?,
        trace_id: row.text("trace_id")?,
        said: NewAssessment {
            name: row.text("name")?,
            kind: kind.ok_or_else(|| db::Error::corrupt("kind", "unknown"))?,
            body: json(row.str("body")?)?,
            source_type: row.text("source_type")?,
            source_id: row.text("source_id")?,
            rationale: row.opt_text("rationale")?,
            metadata: row.opt_str("metadata")?.map(json).transpose()?,
            span_id: row.opt_text("span_id")?,
            overrides: row.opt_text("overrides")?,
            created_ms: Some(created_ms),
        },
        valid: row.bool("valid")?,
        created_ms,
        updated_ms: row.i64("updated_ms")?,
    })
}
