//! Verdicts: what an evaluation says of a version for a pointer. A verdict is written once; the only thing that may follow is one
//! decision by a person.

use db::{Row, Tx};
use kernel::ctx::Ctx;
use kernel::event::{NewEvent, kind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::pointer::Pointer;
use crate::{Error, Result, model, name, policy, version};

/// Where a verdict stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The evaluation holds the version fit; nobody has decided yet.
    Passed,
    /// It does not.
    Failed,
    /// Passed, and a person agreed.
    Approved,
    /// Passed, and a person refused.
    Rejected,
}

impl State {
    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }

    fn read(text: &str) -> Result<Self> {
        [Self::Passed, Self::Failed, Self::Approved, Self::Rejected]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| db::Error::corrupt("state", text).into())
    }
}

/// What a verdict is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// The model's files.
    pub model: Option<String>,
    /// The rows it was measured on.
    pub data: Option<String>,
    /// The code that trained it.
    pub code: Option<String>,
    /// The thresholds it was held to: [`crate::policy::Policy::thresholds_digest`].
    pub thresholds: Option<String>,
}

/// A verdict to be recorded.
#[derive(Clone, Debug, Default)]
pub struct NewVerdict {
    /// The model.
    pub model: String,
    /// The version that was measured.
    pub version: String,
    /// The pointer it is to hold, as text.
    pub pointer: String,
    /// The version it was compared with; `None` if nothing ever held the pointer.
    pub champion: Option<String>,
    /// What the evaluation says.
    pub passed: bool,
    /// What was compared.
    pub metric: Option<String>,
    /// Candidate against champion, positive is better.
    pub difference: Option<f64>,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end of its interval.
    pub high: Option<f64>,
    /// How many rows.
    pub rows: i64,
    /// The same per slice, as JSON.
    pub slices: Value,
    /// What it is bound to.
    pub digests: Digests,
    /// Everything else a reader needs; `reason` is the one-line summary.
    pub evidence: Value,
}

/// A verdict as recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Its id.
    pub id: String,
    /// The model, by the name it had.
    pub model: String,
    /// The version that was measured.
    pub version: String,
    /// The pointer it is to hold.
    pub pointer: Pointer,
    /// The version it was compared with.
    pub champion: Option<String>,
    /// What the evaluation said.
    pub passed: bool,
    /// Where it stands now.
    pub state: State,
    /// What was compared.
    pub metric: Option<String>,
    /// Candidate against champion, positive is better.
    pub difference: Option<f64>,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end of its interval.
    pub high: Option<f64>,
    /// How many rows.
    pub rows: i64,
    /// The same per slice.
    pub slices: Value,
    /// What it is bound to.
    pub digests: Digests,
    /// Everything else.
    pub evidence: Value,
    /// When, in microseconds since the epoch.
    pub created_us: i64,
    /// Who measured.
    pub created_by: String,
    /// Who approved.
    pub approved_by: Option<String>,
    /// When, in microseconds since the epoch.
    pub approved_us: Option<i64>,
    /// What the one who decided said.
    pub note: Option<String>,
    /// The model's revision when it was recorded.
    #[serde(skip)]
    pub(crate) revision: i64,
}

impl Verdict {
    /// The one-line summary of the evaluation.
    pub fn reason(&self) -> &str {
        self.evidence["reason"].as_str().unwrap_or("no reason was recorded")
    }
}

/// Records a verdict. One that passed must have finite numbers: what cannot be measured has not passed.
pub fn record(tx: &mut Tx<'_>, ctx: &Ctx, new: NewVerdict) -> Result<Verdict> {
    let pointer: Pointer = new.pointer.parse()?;
    let number = name::version(&new.version)?;
    let locked = model::lock(tx, ctx, &new.model)?;
    version::load(tx, &locked.name, &locked.uid, number)?;
    let champion = new.champion.as_deref().map(name::version).transpose()?;
    let numbers = [new.difference, new.low, new.high];
    if new.passed && numbers.iter().flatten().any(|number| !number.is_finite()) {
        return Err(Error::invalid("difference", "a verdict that passed must have finite numbers"));
    }
    let [difference, low, high] = numbers.map(|number| number.filter(|number| number.is_finite()));
    let state = if new.passed { State::Passed } else { State::Failed };
    let id = kernel::id::new();
    tx.execute(
        "INSERT INTO verdicts (id, workspace, model_uid, model, version, pointer, champion, revision, state, metric,
             difference, low, high, n_rows, slices, digests, evidence, created_us, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
        &[
            id.as_str().into(),
            ctx.workspace.as_str().into(),
            locked.uid.as_str().into(),
            locked.name.as_str().into(),
            number.into(),
            pointer.to_string().into(),
            champion.into(),
            locked.revision.into(),
            state.as_str().into(),
            new.metric.as_deref().into(),
            difference.into(),
            low.into(),
            high.into(),
            new.rows.into(),
            new.slices.to_string().into(),
            json!(new.digests).to_string().into(),
            new.evidence.to_string().into(),
            ctx.now_us.into(),
            ctx.principal.to_string().into(),
        ],
    )?;
    let verdict = get(tx, ctx, &id)?;
    announce(tx, ctx, &verdict)?;
    Ok(verdict)
}

fn announce(tx: &mut Tx<'_>, ctx: &Ctx, verdict: &Verdict) -> Result<()> {
    let payload = json!({
        "verdict_id": verdict.id, "version": verdict.version, "champion": verdict.champion, "pointer": verdict.pointer,
        "summary": verdict.reason(), "metric": verdict.metric, "difference": verdict.difference, "low": verdict.low,
        "high": verdict.high, "rows": verdict.rows, "digests": verdict.digests,
    });
    let kind = if verdict.passed { kind::VERDICT_PASSED } else { kind::VERDICT_FAILED };
    let subject = format!("model/{}", verdict.model);
    db::events::emit(tx, ctx, NewEvent { kind, subject, model: Some(verdict.model.clone()), payload })?;
    Ok(())
}

/// A person's decision on a verdict that passed. The event says whether two pairs of eyes have seen the version: whether the one
/// who decides is another than the one who registered it.
pub fn approve(tx: &mut Tx<'_>, ctx: &Ctx, id: &str, approved: bool, note: Option<&str>) -> Result<Verdict> {
    let state = if approved { State::Approved } else { State::Rejected };
    if approved {
        check_four_eyes(tx, ctx, id)?;
    }
    let changed = tx.execute(
        "UPDATE verdicts SET state = $1, decided_us = $2, decided_by = $3, note = $4
         WHERE workspace = $5 AND id = $6 AND state = 'passed'",
        &[
            state.as_str().into(),
            ctx.now_us.into(),
            ctx.principal.to_string().into(),
            note.into(),
            ctx.workspace.as_str().into(),
            id.into(),
        ],
    )?;
    let verdict = get(tx, ctx, id)?;
    if changed == 0 {
        return Err(Error::VerdictDecided { id: id.to_owned(), state: verdict.state.as_str() });
    }
    let author = version::get(tx, ctx, &verdict.model, &verdict.version).ok().map(|version| version.created_by);
    let payload = json!({
        "version": verdict.version, "pointer": verdict.pointer, "verdict_id": verdict.id, "approved": approved,
        "note": note, "four_eyes": author.is_some_and(|author| author != ctx.principal.to_string()),
    });
    let subject = format!("model/{}", verdict.model);
    let model = Some(verdict.model.clone());
    db::events::emit(tx, ctx, NewEvent { kind: kind::APPROVAL_GIVEN, subject, model, payload })?;
    Ok(verdict)
}

/// Refuses a yes of the one who registered the version, if the policy wants another's. A no is always welcome.
fn check_four_eyes(tx: &mut Tx<'_>, ctx: &Ctx, id: &str) -> Result<()> {
    let verdict = get(tx, ctx, id)?;
    if !policy::get(tx, ctx, &verdict.model)?.four_eyes {
        return Ok(());
    }
    let who = ctx.principal.to_string();
    let author = version::get(tx, ctx, &verdict.model, &verdict.version)?.created_by;
    if author == who {
        return Err(Error::SamePerson { who, model: verdict.model, version: verdict.version });
    }
    Ok(())
}

const SELECT: &str =
    "SELECT id, model, version, pointer, champion, revision, state, metric, difference, low, high, n_rows,
    slices, digests, evidence, created_us, created_by, decided_us, decided_by, note FROM verdicts ";

/// A verdict by id.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, id: &str) -> Result<Verdict> {
    let mut sql = db::Sql::new();
    sql.push(SELECT).push("WHERE workspace = ").bind(ctx.workspace.as_str()).push(" AND id = ").bind(id);
    let row = tx.query_built(&sql)?.into_iter().next();
    row.as_ref().map(read).ok_or_else(|| Error::VerdictNotFound(id.to_owned()))?
}

/// The verdicts on a model, newest first.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, limit: i64) -> Result<Vec<Verdict>> {
    let uid = model::uid(tx, ctx, model)?;
    let mut sql = db::Sql::new();
    sql.push(SELECT).push("WHERE model_uid = ").bind(uid).push(" ORDER BY created_us DESC, id DESC LIMIT ").bind(limit);
    tx.query_built(&sql)?.iter().map(read).collect()
}

/// The last word on a version for a pointer.
pub(crate) fn latest(tx: &mut Tx<'_>, uid: &str, version: i64, pointer: &Pointer) -> Result<Option<Verdict>> {
    let mut sql = db::Sql::new();
    sql.push(SELECT).push("WHERE model_uid = ").bind(uid).push(" AND version = ").bind(version);
    sql.push(" AND pointer = ").bind(pointer.to_string()).push(" ORDER BY created_us DESC, id DESC LIMIT 1");
    tx.query_built(&sql)?.first().map(read).transpose()
}

/// The last verdict on a version for a pointer, if it passed, was not rejected, and was against this champion. Whether it is still
/// fresh is for the gate to say.
pub fn latest_passing(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    model: &str,
    version: &str,
    pointer: &Pointer,
    champion: Option<&str>,
) -> Result<Option<Verdict>> {
    let uid = model::uid(tx, ctx, model)?;
    let last = latest(tx, &uid, name::version(version)?, pointer)?;
    Ok(last
        .filter(|last| matches!(last.state, State::Passed | State::Approved) && last.champion.as_deref() == champion))
}

fn read(row: &Row) -> Result<Verdict> {
    let json = |column: &'static str| -> Result<Value> {
        Ok(serde_json::from_str(row.str(column)?).map_err(|error| db::Error::corrupt(column, error))?)
    };
    let state = State::read(row.str("state")?)?;
    let decided_by = row.opt_text("decided_by")?.filter(|_| state == State::Approved);
    let decided_us = row.opt_i64("decided_us")?.filter(|_| state == State::Approved);
    Ok(Verdict {
        id: row.text("id")?,
        model: row.text("model")?,
        version: row.i64("version")?.to_string(),
        pointer: row.str("pointer")?.parse()?,
        champion: row.opt_i64("champion")?.map(|version| version.to_string()),
        passed: state != State::Failed,
        state,
        metric: row.opt_text("metric")?,
        difference: row.opt_f64("difference")?,
        low: row.opt_f64("low")?,
        high: row.opt_f64("high")?,
        rows: row.i64("n_rows")?,
        slices: json("slices")?,
        digests: serde_json::from_value(json("digests")?).map_err(|error| db::Error::corrupt("digests", error))?,
        evidence: json("evidence")?,
        created_us: row.i64("created_us")?,
        created_by: row.text("created_by")?,
        approved_by: decided_by,
        approved_us: decided_us,
        note: row.opt_text("note")?,
        revision: row.i64("revision")?,
    })
}
