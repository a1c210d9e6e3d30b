//! Sweeps: what is tried, and the trials in the hands of workers.

use access::Permission::{Edit, View};
use axum::Json;
use axum::extract::{Path, State};
use conductor::House;
use db::Tx;
use kernel::ctx::Principal;
use serde::Deserialize;
use serde_json::{Value, json};
use tracking::sweep::lease::{self, Claim, Claimed, End};
use tracking::sweep::stopping::Verdict;
use tracking::sweep::{self, Definition, Sweep, Trial};

use super::{Answer, Body, Error, Query, Routes};
use crate::principal::Caller;
use crate::route::{get, post};

/// How often a claim looks for values again when another worker was faster.
const PROPOSALS: usize = 20;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/sweeps", get(View, list).post(Edit, create))
        .route("/sweeps/{name}", get(View, one).delete(Edit, delete))
        .route("/sweeps/{name}/trials", get(View, trials))
        .route("/sweeps/{name}/pause", post(Edit, pause))
        .route("/sweeps/{name}/resume", post(Edit, resume))
        .route("/sweeps/{name}/stop", post(Edit, stop))
        .route("/sweeps/{name}/cancel", post(Edit, cancel))
        .route("/sweeps/{name}/claim", post(Edit, claim))
        .route("/sweeps/{name}/trials/{number}/beat", post(Edit, beat))
        .route("/sweeps/{name}/trials/{number}/end", post(Edit, end))
        .route("/sweeps/{name}/trials/{number}/release", post(Edit, release))
}

async fn list(State(house): State<House>, Caller(who): Caller) -> Answer {
    let ctx = house.ctx(who);
    let sweeps = house
        .db
        .read(move |tx| {
            let sweeps = sweep::list(tx, &ctx)?;
            sweeps.iter().map(|sweep| summary(tx, sweep)).collect::<Result<Vec<Value>, tracking::Error>>()
        })
        .await?;
    Ok(Json(json!({ "sweeps": sweeps })))
}

/// `POST /sweeps`: the definition; the same again is the same sweep.
async fn create(State(house): State<House>, Caller(who): Caller, Body(definition): Body<Definition>) -> Answer {
    let (user, ctx) = (name_of(&who), house.ctx(who));
    changed(house, move |tx| sweep::create(tx, &ctx, definition, &user)).await
}

async fn one(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    changed_by_nobody(house, move |tx| sweep::get(tx, &ctx, &name)).await
}

async fn delete(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    house.db.write(move |tx| sweep::delete(tx, &ctx, &name)).await?;
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    after: Option<i64>,
    limit: Option<usize>,
}

/// `GET /sweeps/NAME/trials?after=&limit=`: by number, from behind one.
async fn trials(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Query(part): Query<Part>,
) -> Answer {
    let ctx = house.ctx(who);
    let (after, limit) = (part.after.unwrap_or(-1), part.limit.unwrap_or(1_000).clamp(1, 10_000));
    let found = house
        .db
        .read(move |tx| {
            let sweep = sweep::get(tx, &ctx, &name)?;
            sweep::trials(tx, &sweep)
        })
        .await?;
    let shown: Vec<Value> = found.iter().filter(|trial| trial.number > after).take(limit).map(show).collect();
    Ok(Json(json!({ "trials": shown })))
}

async fn pause(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    changed(house, move |tx| sweep::pause(tx, &ctx, &name)).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Resume {
    trials: Option<i64>,
}

/// `POST /sweeps/NAME/resume {"trials"?}`: goes on, with another budget if one is named.
async fn resume(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Body(resume): Body<Resume>,
) -> Answer {
    let ctx = house.ctx(who);
    changed(house, move |tx| sweep::resume(tx, &ctx, &name, resume.trials)).await
}

async fn stop(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    changed(house, move |tx| sweep::stop(tx, &ctx, &name)).await
}

async fn cancel(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    changed(house, move |tx| sweep::cancel(tx, &ctx, &name)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    worker: String,
    lease: String,
}

/// `POST /sweeps/NAME/claim {"worker", "lease"}`: a trial, or whether to come again. The lease is a text that the worker makes up; the
/// same again is the same trial.
async fn claim(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Body(ask): Body<Ask>,
) -> Answer {
    let (user, ctx) = (name_of(&who), house.ctx(who));
    let mut proposal = None;
    for _ in 0..PROPOSALS {
        let claim = Claim {
            worker: ask.worker.clone(),
            lease: ask.lease.clone(),
            user: user.clone(),
            proposal: proposal.take(),
        };
        let (of, by) = (name.clone(), ctx.clone());
        let (sweep, claimed) = house.db.write(move |tx| lease::claim(tx, &by, &of, claim)).await?;
        match claimed {
            Claimed::Propose => {
                let (of, by) = (name.clone(), ctx.clone());
                proposal = house.db.read(move |tx| sweep::propose(tx, &by, &of)).await?;
            }
            Claimed::Trial(trial) => return Ok(Json(given(&sweep, Some(&trial)))),
            Claimed::Wait | Claimed::Over => return Ok(Json(given(&sweep, None))),
        }
    }
    // Everybody else was faster: whoever waits a moment finds fewer of them.
    let ctx = ctx.clone();
    let sweep = house.db.read(move |tx| sweep::get(tx, &ctx, &name)).await?;
    Ok(Json(given(&sweep, None)))
}

fn given(sweep: &Sweep, trial: Option<&Trial>) -> Value {
    json!({
        "state": sweep.state.as_str(), "over": sweep.state.is_over(), "experiment_id": sweep.experiment_id,
        "lease_seconds": sweep.definition.budget.lease_seconds, "trial": trial.map(show),
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    lease: String,
}

/// `POST .../beat {"lease"}`: keeps the lease; `stop` says why the trial is to end, if it is.
async fn beat(
    State(house): State<House>,
    Caller(who): Caller,
    Path((name, number)): Path<(String, String)>,
    Body(held): Body<Held>,
) -> Answer {
    let (ctx, number) = (house.ctx(who), number_of(&number)?);
    let beat = house.db.write(move |tx| lease::beat(tx, &ctx, &name, number, &held.lease)).await?;
    Ok(Json(json!({ "stop": beat.stop.map(lease::Stop::as_str), "lease_until_us": beat.lease_until_us })))
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Finished,
    Failed,
    Killed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ended {
    lease: String,
    outcome: Outcome,
    error: Option<String>,
}

/// `POST .../end {"lease", "outcome": finished|failed|killed, "error"?}`: how the process ended; repeated it changes nothing.
async fn end(
    State(house): State<House>,
    Caller(who): Caller,
    Path((name, number)): Path<(String, String)>,
    Body(ended): Body<Ended>,
) -> Answer {
    let (ctx, number) = (house.ctx(who), number_of(&number)?);
    let how = match ended.outcome {
        Outcome::Finished => End::Finished,
        Outcome::Failed => End::Failed(ended.error.unwrap_or_else(|| "its process failed".to_owned())),
        Outcome::Killed => End::Killed(ended.error),
    };
    let trial = house.db.write(move |tx| lease::end(tx, &ctx, &name, number, &ended.lease, &how)).await?;
    Ok(Json(show(&trial)))
}

/// `POST .../release {"lease"}`: gives the trial back unfinished.
async fn release(
    State(house): State<House>,
    Caller(who): Caller,
    Path((name, number)): Path<(String, String)>,
    Body(held): Body<Held>,
) -> Answer {
    let (ctx, number) = (house.ctx(who), number_of(&number)?);
    house.db.write(move |tx| lease::release(tx, &ctx, &name, number, &held.lease)).await?;
    Ok(Json(json!({})))
}

/// Does something to a sweep and shows it.
async fn changed(
    house: House,
    work: impl FnOnce(&mut Tx<'_>) -> Result<Sweep, tracking::Error> + Send + 'static,
) -> Answer {
    let shown = house.db.write(move |tx| work(tx).and_then(|sweep| summary(tx, &sweep))).await?;
    house.nudge();
    Ok(Json(shown))
}

async fn changed_by_nobody(
    house: House,
    work: impl FnOnce(&mut Tx<'_>) -> Result<Sweep, tracking::Error> + Send + 'static,
) -> Answer {
    Ok(Json(house.db.read(move |tx| work(tx).and_then(|sweep| summary(tx, &sweep))).await?))
}

fn summary(tx: &mut Tx<'_>, sweep: &Sweep) -> Result<Value, tracking::Error> {
    let trials = sweep::trials(tx, sweep)?;
    let count = |state| trials.iter().filter(|trial| trial.state == state).count();
    let counts: serde_json::Map<String, Value> =
        sweep::TrialState::ALL.into_iter().map(|state| (state.as_str().to_owned(), json!(count(state)))).collect();
    let best = sweep::best(sweep.definition.goal, &trials);
    Ok(json!({
        "name": sweep.definition.name, "state": sweep.state.as_str(), "definition": sweep.definition,
        "experiment_id": sweep.experiment_id, "run_id": sweep.run_id, "trials": sweep.trials, "made": sweep.made,
        "ended": sweep.ended, "counts": counts, "best": best.map(show), "created_us": sweep.created_us,
        "ended_us": sweep.ended_us,
    }))
}

fn show(trial: &Trial) -> Value {
    let verdict = trial.verdict.map(|verdict| match verdict {
        Verdict::Pruned => "pruned",
        Verdict::Enough => "enough",
    });
    let texts: serde_json::Map<String, Value> =
        trial.settings.iter().map(|(name, value)| (name.clone(), json!(value.to_string()))).collect();
    json!({
        "number": trial.number, "run_id": trial.run_id, "state": trial.state.as_str(), "settings": trial.settings,
        "params": texts, "attempt": trial.attempt, "worker": trial.worker, "lease_until_us": trial.lease_until_us,
        "verdict": verdict, "step": trial.value.map(|(step, _)| step), "value": trial.value.map(|(_, value)| value),
        "error": trial.error, "started_us": trial.started_us, "ended_us": trial.ended_us,
    })
}

/// Who runs are said to be of.
fn name_of(who: &Principal) -> String {
    match who {
        Principal::Person(name) | Principal::Service(name) => name.clone(),
        Principal::System(name) => (*name).to_owned(),
    }
}

fn number_of(text: &str) -> Result<i64, Error> {
    text.parse().map_err(|_| Error::invalid("number", format!("`{text}` is not the number of a trial")))
}
