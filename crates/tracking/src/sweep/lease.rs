//! Trials in the hands of workers. A worker claims a trial under a lease, whose token it makes up itself so that a claim whose answer was
//! lost can be repeated; it keeps it by beating, and ends or releases it. A lease that ran out is lost as soon as somebody asks for
//! work: the trial is then another's, and who comes back with the old lease is refused. Until then a late beat revives it. Leases run by the
//! database's clock, so the servers in front of one database need not agree on the time.

use db::Tx;
use kernel::ctx::Ctx;

use super::definition::Definition;
use super::stopping::Verdict;
use super::trial::{self, Birth, Trial, TrialState};
use super::{Proposal, State, Sweep, best, enter, judge, row};
use crate::metric::{self, Metric};
use crate::{Error, Stage, check, run};

const MAX_WORKER: usize = 250;

/// Who asks for work.
#[derive(Clone, Debug)]
pub struct Claim {
    /// For people: host and process.
    pub worker: String,
    /// A token that nobody else has.
    pub lease: String,
    /// Who the runs are said to be of.
    pub user: String,
    /// Values for a new trial; without them no new trial is made.
    pub proposal: Option<Proposal>,
}

/// What a claim gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Claimed {
    /// A trial.
    Trial(Box<Trial>),
    /// Nothing now; perhaps later.
    Wait,
    /// Nothing ever again: the sweep is over.
    Over,
    /// A new trial is to be made: come back with [`super::propose`]'s answer.
    Propose,
}

/// What a worker is told when it beats.
#[derive(Clone, Debug, PartialEq)]
pub struct Beat {
    /// Why to end the process, if it is to end.
    pub stop: Option<Stop>,
    /// Until when the lease is good, microseconds since the epoch.
    pub lease_until_us: i64,
}

/// Why a trial is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The rule gave it up.
    Pruned,
    /// It has reached the last step.
    Enough,
    /// The sweep was cancelled.
    Cancelled,
}

impl Stop {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pruned => "pruned",
            Self::Enough => "enough",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How the process of a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, well.
    Finished,
    /// By itself, badly.
    Failed(String),
    /// Its worker ended it, because it was told to or for this reason.
    Killed(Option<String>),
}

/// Takes a trial: that of this lease, one whose worker was lost, or a new one.
pub fn claim(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, claim: Claim) -> Result<(Sweep, Claimed), Error> {
    for (path, text) in [("worker", &claim.worker), ("lease", &claim.lease)] {
        if text.is_empty() {
            return Err(Error::Missing { path: path.to_owned() });
        }
        check::length(text, MAX_WORKER, || path.to_owned())?;
    }
    let mut sweep = row::locked(tx, ctx, name)?;
    settle(tx, ctx, &mut sweep)?;
    let claimed = take(tx, ctx, &mut sweep, &claim)?;
    row::save(tx, &sweep)?;
    Ok((sweep, claimed))
}

fn take(tx: &mut Tx<'_>, ctx: &Ctx, sweep: &mut Sweep, claim: &Claim) -> Result<Claimed, Error> {
    let running = trial::in_state(tx, &sweep.sweep_id, TrialState::Running)?;
    if let Some(own) = running.iter().find(|trial| trial.lease == claim.lease) {
        return Ok(Claimed::Trial(Box::new(own.clone())));
    }
    if sweep.state.is_over() {
        return Ok(Claimed::Over);
    }
    let is_full = sweep.definition.budget.parallel.is_some_and(|most| running.len() as i64 >= most);
    if is_full || sweep.state != State::Running {
        return Ok(Claimed::Wait);
    }
    let waiting = trial::in_state(tx, &sweep.sweep_id, TrialState::Waiting)?.into_iter().next();
    let taken = match waiting {
        Some(trial) => trial,
        None if sweep.made >= sweep.trials => return Ok(Claimed::Wait),
        None => match &claim.proposal {
            Some(proposal) if proposal.number == sweep.made => {
                let Proposal { number, seen, settings } = proposal;
                let birth = Birth { sweep, number: *number, seen: *seen, settings, user: &claim.user };
                let new = trial::create(tx, ctx, &birth)?;
                sweep.made += 1;
                new
            }
            _ => return Ok(Claimed::Propose),
        },
    };
    let taken = Trial {
        state: TrialState::Running,
        attempt: taken.attempt + 1,
        worker: claim.worker.clone(),
        lease: claim.lease.clone(),
        lease_until_us: until(tx, &sweep.definition)?,
        ..taken
    };
    trial::save(tx, &sweep.sweep_id, &taken)?;
    trial::tell_run(tx, ctx, &taken)?;
    Ok(Claimed::Trial(Box::new(taken)))
}

/// Keeps a lease, and learns whether the trial is to end.
pub fn beat(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, number: i64, lease: &str) -> Result<Beat, Error> {
    let sweep = row::locked(tx, ctx, name)?;
    let mut trial = trial::get(tx, &sweep.sweep_id, name, number)?;
    if trial.state == TrialState::Cancelled && trial.lease == lease {
        return Ok(Beat { stop: Some(Stop::Cancelled), lease_until_us: trial.lease_until_us });
    }
    held(&sweep, &trial, lease)?;
    judge::update(tx, ctx, &sweep, &mut trial)?;
    trial.lease_until_us = until(tx, &sweep.definition)?;
    trial::save(tx, &sweep.sweep_id, &trial)?;
    let stop = trial.verdict.map(|verdict| match verdict {
        Verdict::Pruned => Stop::Pruned,
        Verdict::Enough => Stop::Enough,
    });
    Ok(Beat { stop, lease_until_us: trial.lease_until_us })
}

/// Ends a trial; repeated by the same lease it changes nothing.
pub fn end(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, number: i64, lease: &str, how: &End) -> Result<Trial, Error> {
    let mut sweep = row::locked(tx, ctx, name)?;
    let mut trial = trial::get(tx, &sweep.sweep_id, name, number)?;
    if trial.state.is_over() && trial.lease == lease {
        return Ok(trial);
    }
    held(&sweep, &trial, lease)?;
    let given = trial.verdict;
    judge::update(tx, ctx, &sweep, &mut trial)?;
    let has_value = trial.value.is_some_and(|(_, value)| !value.is_nan());
    let metric = &sweep.definition.metric;
    let (state, error) = match (how, given) {
        (End::Failed(error), _) => (TrialState::Failed, Some(error.clone())),
        (End::Killed(_), Some(Verdict::Pruned)) => (TrialState::Pruned, None),
        (End::Killed(reason), None) => {
            (TrialState::Failed, Some(reason.clone().unwrap_or_else(|| "its worker ended it".to_owned())))
        }
        (End::Finished, _) | (End::Killed(_), Some(Verdict::Enough)) if has_value => (TrialState::Finished, None),
        _ if trial.value.is_some() => {
            (TrialState::Failed, Some(format!("the last value of `{metric}` is not a number")))
        }
        _ => (TrialState::Failed, Some(format!("it did not log `{metric}`"))),
    };
    over(tx, ctx, &mut sweep, &mut trial, state, error)?;
    settle(tx, ctx, &mut sweep)?;
    row::save(tx, &sweep)?;
    Ok(trial)
}

/// Gives a trial back, to be begun anew by another worker; this attempt does not count.
pub fn release(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, number: i64, lease: &str) -> Result<(), Error> {
    let mut sweep = row::locked(tx, ctx, name)?;
    let mut trial = trial::get(tx, &sweep.sweep_id, name, number)?;
    held(&sweep, &trial, lease)?;
    trial.attempt -= 1;
    give_back(tx, ctx, &mut sweep, &mut trial)?;
    settle(tx, ctx, &mut sweep)?;
    row::save(tx, &sweep)
}

/// How many trials are in a state.
pub(super) fn count(tx: &mut Tx<'_>, sweep: &Sweep, state: TrialState) -> Result<i64, Error> {
    let row = tx.query_opt(
        "SELECT COUNT(*) AS count FROM sweep_trials WHERE sweep_id = $1 AND state = $2",
        &[(&sweep.sweep_id).into(), state.as_str().into()],
    )?;
    Ok(row.map(|row| row.i64("count")).transpose()?.unwrap_or_default())
}

/// Takes trials from workers that were silent for too long, and ends the sweep if nothing is left.
pub(super) fn settle(tx: &mut Tx<'_>, ctx: &Ctx, sweep: &mut Sweep) -> Result<(), Error> {
    let now_us = tx.now_us()?;
    for mut lost in trial::in_state(tx, &sweep.sweep_id, TrialState::Running)? {
        if lost.lease_until_us >= now_us {
            continue;
        }
        judge::update(tx, ctx, sweep, &mut lost)?;
        if lost.attempt >= sweep.definition.budget.attempts {
            let error = format!("its worker was lost {} times", lost.attempt);
            over(tx, ctx, sweep, &mut lost, TrialState::Failed, Some(error))?;
        } else {
            give_back(tx, ctx, sweep, &mut lost)?;
        }
    }
    if sweep.state == State::Stopping {
        for mut waiting in trial::in_state(tx, &sweep.sweep_id, TrialState::Waiting)? {
            over(tx, ctx, sweep, &mut waiting, TrialState::Cancelled, None)?;
        }
    }
    if sweep.state.is_over() || sweep.ended < sweep.made {
        return Ok(());
    }
    match sweep.state {
        State::Stopping => enter(tx, ctx, sweep, State::Stopped),
        _ if sweep.made >= sweep.trials => enter(tx, ctx, sweep, State::Finished),
        _ => Ok(()),
    }
}

/// Ends all trials that are not over.
pub(super) fn cancel_all(tx: &mut Tx<'_>, ctx: &Ctx, sweep: &mut Sweep) -> Result<(), Error> {
    for state in [TrialState::Running, TrialState::Waiting] {
        for mut trial in trial::in_state(tx, &sweep.sweep_id, state)? {
            over(tx, ctx, sweep, &mut trial, TrialState::Cancelled, None)?;
        }
    }
    Ok(())
}

fn give_back(tx: &mut Tx<'_>, ctx: &Ctx, sweep: &mut Sweep, trial: &mut Trial) -> Result<(), Error> {
    // A verdict was over the values of an attempt that is gone, but the next one would come to the same place.
    trial.state = TrialState::Waiting;
    trial.lease.clear();
    trial::save(tx, &sweep.sweep_id, trial)?;
    trial::tell_run(tx, ctx, trial)
}

fn over(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    sweep: &mut Sweep,
    trial: &mut Trial,
    state: TrialState,
    error: Option<String>,
) -> Result<(), Error> {
    (trial.state, trial.error) = (state, error);
    (trial.place, trial.ended_us) = (Some(sweep.ended), Some(ctx.now_us));
    sweep.ended += 1;
    trial::save(tx, &sweep.sweep_id, trial)?;
    trial::tell_run(tx, ctx, trial)?;
    tell_best(tx, ctx, sweep, trial)
}

/// Logs the best value so far on the run of the sweep, if this trial changed it.
fn tell_best(tx: &mut Tx<'_>, ctx: &Ctx, sweep: &Sweep, trial: &Trial) -> Result<(), Error> {
    if trial.state != TrialState::Finished {
        return Ok(());
    }
    let finished = trial::in_state(tx, &sweep.sweep_id, TrialState::Finished)?;
    let is_best = best(sweep.definition.goal, &finished).is_some_and(|best| best.number == trial.number);
    let (Some((_, value)), true, Some(step)) = (trial.value, is_best, trial.place) else { return Ok(()) };
    match run::info(tx, ctx, &sweep.run_id) {
        Ok(info) if info.stage == Stage::Active => {}
        Ok(_) | Err(Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    }
    let key = sweep.definition.metric.clone();
    metric::log(tx, ctx, &sweep.run_id, Metric { key, value, timestamp_ms: ctx.now_ms(), step, ..Metric::default() })
}

/// Refuses who does not hold a trial.
fn held(sweep: &Sweep, trial: &Trial, lease: &str) -> Result<(), Error> {
    if trial.state == TrialState::Running && trial.lease == lease {
        return Ok(());
    }
    Err(Error::LeaseLost { sweep: sweep.definition.name.clone(), number: trial.number, state: trial.state.as_str() })
}

fn until(tx: &mut Tx<'_>, definition: &Definition) -> Result<i64, Error> {
    Ok(tx.now_us()?.saturating_add(definition.budget.lease_seconds.saturating_mul(kernel::clock::SECOND_US)))
}
