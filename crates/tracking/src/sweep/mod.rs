//! Sweeps: what values of some parameters make a metric small or great, found out by trying.
//!
//! A sweep is a run, its trials are runs below it. Workers claim trials under a lease ([`lease`]), which they keep by beating; the
//! trial of a worker that falls silent is given to another. What a trial is worth is read from the metric that its run logs, whoever
//! logs it. Every change takes the row of the sweep first, so that the workers of one sweep are served one after the other.
//!
//! - [`definition`], `space`, `domain`: what is asked;
//! - `grid`, `draw`, `tpe` and `parzen`: which values come next;
//! - [`stopping`]: when a trial is given up.
//!
//! Which values trial `n` gets is a function of the definition, the seed, `n` and the trials that had ended when it was made; the last
//! is kept with each trial, so every choice can be computed again ([`propose`] and [`recompute`]).

pub mod definition;
mod domain;
mod draw;
mod grid;
mod judge;
pub mod lease;
mod parzen;
mod row;
pub mod space;
pub mod stopping;
#[cfg(test)]
mod tests;
mod tpe;
pub mod trial;

use db::Tx;
use kernel::ctx::Ctx;
use kernel::event::{NewEvent, kind};
use serde_json::json;

use crate::run::{NewRun, Status};
use crate::{Error, Pair, experiment, run};

pub use definition::{Definition, Goal, Method, environment_name};
pub use space::{Setting, Settings};
pub use trial::{Trial, TrialState};

use tpe::{Known, Outcome};

/// The tag of a run that says that it is a sweep, and its name.
pub const SWEEP_TAG: &str = "rondo.sweep.name";

/// How a sweep goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Workers get trials.
    Running,
    /// They get none for now; those under way go on.
    Paused,
    /// They get no more; it is over when those under way are.
    Stopping,
    /// It was stopped.
    Stopped,
    /// Everything was tried.
    Finished,
    /// It was ended together with the trials under way.
    Cancelled,
}

impl State {
    const ALL: [Self; 6] =
        [Self::Running, Self::Paused, Self::Stopping, Self::Stopped, Self::Finished, Self::Cancelled];

    /// As stored and as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether no trial is under way and none will be.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Stopped | Self::Finished | Self::Cancelled)
    }
}

/// A sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// A UUIDv7.
    pub sweep_id: String,
    /// What it was asked.
    pub definition: Definition,
    /// The experiment of its runs.
    pub experiment_id: String,
    /// The run above those of its trials.
    pub run_id: String,
    /// How it goes.
    pub state: State,
    /// How many trials there will be.
    pub trials: i64,
    /// How many there are.
    pub made: i64,
    /// How many of them are over.
    pub ended: i64,
    /// Microseconds since the epoch.
    pub created_us: i64,
    /// Microseconds since the epoch.
    pub ended_us: Option<i64>,
}

/// Makes a sweep with its run. The same definition again is the same sweep; another one under the name is refused.
pub fn create(tx: &mut Tx<'_>, ctx: &Ctx, definition: Definition, user: &str) -> Result<Sweep, Error> {
    let (_, trials) = definition.check()?;
    if let Some(there) = row::find(tx, ctx, &definition.name)? {
        if there.definition == definition {
            return Ok(there);
        }
        return Err(Error::SweepExists { name: definition.name });
    }
    let experiment_id = experiment_of(tx, ctx, definition.experiment())?;
    let new = NewRun {
        experiment_id: experiment_id.clone(),
        user_id: user.to_owned(),
        run_name: definition.name.clone(),
        start_ms: ctx.now_ms(),
        tags: vec![Pair::new(SWEEP_TAG, &definition.name), Pair::new("mlflow.user", user)],
    };
    let run_id = run::create(tx, ctx, new)?.info.run_id;
    let sweep = Sweep {
        sweep_id: kernel::id::new(),
        definition,
        experiment_id,
        run_id,
        state: State::Running,
        trials,
        made: 0,
        ended: 0,
        created_us: ctx.now_us,
        ended_us: None,
    };
    row::insert(tx, ctx, &sweep)?;
    let payload = json!({ "definition": sweep.definition, "run_id": sweep.run_id });
    let subject = format!("sweep/{}", sweep.definition.name);
    db::events::emit(tx, ctx, NewEvent { kind: kind::SWEEP_CREATED, subject, model: None, payload })?;
    Ok(sweep)
}

/// The sweep of that name.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Sweep, Error> {
    row::find(tx, ctx, name)?.ok_or_else(|| missing(name))
}

/// All sweeps, the newest first.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Sweep>, Error> {
    row::all(tx, ctx)
}

/// The trials of a sweep by number.
pub fn trials(tx: &mut Tx<'_>, sweep: &Sweep) -> Result<Vec<Trial>, Error> {
    trial::all(tx, &sweep.sweep_id)
}

/// The best of trials that have finished; of equal ones the first.
pub fn best(goal: Goal, trials: &[Trial]) -> Option<&Trial> {
    let finished = trials.iter().filter(|trial| trial.state == TrialState::Finished);
    let costs = finished.filter_map(|trial| Some((goal.cost(trial.value?.1), trial)));
    costs.min_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, trial)| trial)
}

/// Gives workers no more trials for now.
pub fn pause(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Sweep, Error> {
    let mut sweep = row::locked(tx, ctx, name)?;
    match sweep.state {
        State::Paused => Ok(sweep),
        State::Running => {
            enter(tx, ctx, &mut sweep, State::Paused)?;
            Ok(sweep)
        }
        state => Err(Error::SweepState { name: name.to_owned(), state: state.as_str(), doing: "paused" }),
    }
}

/// Gives workers trials again; with `trials` more of them than were planned.
pub fn resume(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, trials: Option<i64>) -> Result<Sweep, Error> {
    let mut sweep = row::locked(tx, ctx, name)?;
    let refused = |state: State| Error::SweepState { name: name.to_owned(), state: state.as_str(), doing: "resumed" };
    if sweep.state == State::Cancelled {
        return Err(refused(sweep.state));
    }
    if trials.is_some() {
        let mut wanted = sweep.definition.clone();
        wanted.budget.trials = trials;
        let (_, planned) = wanted.check()?;
        sweep.trials = planned.max(sweep.made);
    }
    if sweep.state == State::Finished && sweep.made >= sweep.trials {
        return Err(refused(sweep.state));
    }
    if sweep.state != State::Running {
        enter(tx, ctx, &mut sweep, State::Running)?;
    }
    lease::settle(tx, ctx, &mut sweep)?;
    row::save(tx, &sweep)?;
    Ok(sweep)
}

/// Gives workers no more trials; those under way go on.
pub fn stop(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Sweep, Error> {
    let mut sweep = row::locked(tx, ctx, name)?;
    if matches!(sweep.state, State::Finished | State::Cancelled) {
        return Err(Error::SweepState { name: name.to_owned(), state: sweep.state.as_str(), doing: "stopped" });
    }
    if matches!(sweep.state, State::Running | State::Paused) {
        enter(tx, ctx, &mut sweep, State::Stopping)?;
    }
    lease::settle(tx, ctx, &mut sweep)?;
    row::save(tx, &sweep)?;
    Ok(sweep)
}

/// Ends a sweep and the trials under way; their workers learn it with their next beat.
pub fn cancel(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Sweep, Error> {
    let mut sweep = row::locked(tx, ctx, name)?;
    if matches!(sweep.state, State::Finished | State::Stopped) {
        return Err(Error::SweepState { name: name.to_owned(), state: sweep.state.as_str(), doing: "cancelled" });
    }
    if sweep.state != State::Cancelled {
        lease::cancel_all(tx, ctx, &mut sweep)?;
        enter(tx, ctx, &mut sweep, State::Cancelled)?;
    }
    row::save(tx, &sweep)?;
    Ok(sweep)
}

/// Forgets a sweep that is over; its runs stay.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<(), Error> {
    let sweep = row::locked(tx, ctx, name)?;
    if !sweep.state.is_over() {
        return Err(Error::SweepState { name: name.to_owned(), state: sweep.state.as_str(), doing: "deleted" });
    }
    row::delete(tx, &sweep)
}

/// Values for the next trial, to be handed to [`lease::claim`].
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    number: i64,
    seen: i64,
    settings: Settings,
}

/// Computes the values of the next trial. It may take milliseconds and needs no lock: a claim takes it only if no other worker has
/// made the trial meanwhile. `None` if there is none.
pub fn propose(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Option<Proposal>, Error> {
    let sweep = get(tx, ctx, name)?;
    let settings = settings(tx, &sweep, sweep.made, sweep.ended)?;
    Ok(settings.map(|settings| Proposal { number: sweep.made, seen: sweep.ended, settings }))
}

/// Computes the values of a trial again, from what was known when it was made.
pub fn recompute(tx: &mut Tx<'_>, sweep: &Sweep, trial: &Trial) -> Result<Option<Settings>, Error> {
    settings(tx, sweep, trial.number, trial.seen)
}

fn settings(tx: &mut Tx<'_>, sweep: &Sweep, number: i64, seen: i64) -> Result<Option<Settings>, Error> {
    let (space, _) = sweep.definition.check()?;
    let Definition { method, goal, seed, .. } = sweep.definition;
    Ok(match method {
        Method::Grid => grid::nth(&space, number)?,
        Method::Random => Some(space.draw(seed, number)),
        Method::Bayes => {
            let known: Vec<Known> = trial::all(tx, &sweep.sweep_id)?
                .into_iter()
                .take_while(|trial| trial.number < number)
                .filter_map(|trial| known(trial, seen))
                .collect();
            Some(tpe::suggest(&space, goal, seed, number, &known))
        }
    })
}

/// What was known of a trial when so many had ended; nothing is learnt from one that failed.
fn known(trial: Trial, seen: i64) -> Option<Known> {
    let had_ended = trial.place.is_some_and(|place| place < seen);
    let outcome = match (had_ended, trial.state) {
        (false, _) => Outcome::Running,
        (true, TrialState::Finished) => Outcome::Finished(trial.value?.1),
        (true, TrialState::Pruned) => Outcome::Pruned(trial.value),
        (true, _) => return None,
    };
    Some(Known { settings: trial.settings, outcome })
}

/// Moves a sweep to a state, with its run and its event.
fn enter(tx: &mut Tx<'_>, ctx: &Ctx, sweep: &mut Sweep, state: State) -> Result<(), Error> {
    let from = std::mem::replace(&mut sweep.state, state);
    sweep.ended_us = state.is_over().then_some(ctx.now_us);
    let (status, end_ms) = match state {
        State::Running | State::Paused | State::Stopping => (Status::Running, None),
        State::Stopped | State::Finished => (Status::Finished, Some(ctx.now_ms())),
        State::Cancelled => (Status::Killed, Some(ctx.now_ms())),
    };
    trial::set_status(tx, &sweep.run_id, status, end_ms)?;
    row::save(tx, sweep)?;
    let payload = json!({ "from": from.as_str(), "to": state.as_str() });
    let subject = format!("sweep/{}", sweep.definition.name);
    db::events::emit(tx, ctx, NewEvent { kind: kind::SWEEP_CHANGED, subject, model: None, payload })?;
    Ok(())
}

fn experiment_of(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<String, Error> {
    match experiment::get_by_name(tx, ctx, name) {
        Ok(there) => Ok(there.experiment_id),
        Err(Error::NotFound { .. }) => experiment::create(tx, ctx, name, None, &[]),
        Err(error) => Err(error),
    }
}

fn missing(name: &str) -> Error {
    Error::not_found(format!("there is no sweep `{name}`"))
}
