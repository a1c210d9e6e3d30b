//! Trials: one choice of values, tried in a run of its own.

use db::{Row, Tx, Value};
use kernel::ctx::Ctx;

use super::space::Settings;
use super::stopping::Verdict;
use crate::metric::{self, Metric, stored};
use crate::run::{NewRun, Status};
use crate::{Error, Pair, run, tag};

/// How a trial goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialState {
    /// Its worker was lost; it waits for another.
    Waiting,
    /// A worker has it.
    Running,
    /// It ended with a value.
    Finished,
    /// The rule of the sweep gave it up.
    Pruned,
    /// It ended without a value.
    Failed,
    /// The sweep was ended before it.
    Cancelled,
}

impl TrialState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Running, Self::Finished, Self::Pruned, Self::Failed, Self::Cancelled];

    /// As stored and as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Pruned => "pruned",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen to it.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }

    /// The status of its run.
    fn status(self) -> Status {
        match self {
            Self::Waiting | Self::Running => Status::Running,
            Self::Finished => Status::Finished,
            Self::Failed => Status::Failed,
            Self::Pruned | Self::Cancelled => Status::Killed,
        }
    }
}

/// A trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// From 0, without gaps.
    pub number: i64,
    /// Its run.
    pub run_id: String,
    /// What is tried.
    pub settings: Settings,
    /// How it goes.
    pub state: TrialState,
    /// How often it was begun.
    pub attempt: i64,
    /// How many trials had ended when it was made.
    pub seen: i64,
    /// Its place among the trials that have ended, from 0.
    pub place: Option<i64>,
    /// Who has it or had it last.
    pub worker: String,
    /// Until when, microseconds since the epoch.
    pub lease_until_us: i64,
    /// What the rule said.
    pub verdict: Option<Verdict>,
    /// The last value of the sweep's metric and its step; it may be NaN. While it runs: as of the last beat.
    pub value: Option<(i64, f64)>,
    /// Why it failed.
    pub error: Option<String>,
    /// Microseconds since the epoch.
    pub started_us: i64,
    /// Microseconds since the epoch.
    pub ended_us: Option<i64>,
    pub(super) lease: String,
    /// The last step that was judged.
    pub(super) judged: Option<i64>,
}

/// The tag of a run that says whose trial it is: `NAME/NUMBER`.
pub const TRIAL_TAG: &str = "rondo.sweep.trial";
/// The tag of a run that says how its trial went.
pub const STATE_TAG: &str = "rondo.sweep.state";
/// The tag of a run that says why its trial failed.
const ERROR_TAG: &str = "rondo.sweep.error";
const PARENT_TAG: &str = "mlflow.parentRunId";

/// All trials of a sweep by number.
pub(super) fn all(tx: &mut Tx<'_>, sweep_id: &str) -> Result<Vec<Trial>, Error> {
    let rows = tx.query("SELECT * FROM sweep_trials WHERE sweep_id = $1 ORDER BY number", &[sweep_id.into()])?;
    rows.iter().map(read).collect()
}

/// The trials of a sweep in a state, by number.
pub(super) fn in_state(tx: &mut Tx<'_>, sweep_id: &str, state: TrialState) -> Result<Vec<Trial>, Error> {
    let rows = tx.query(
        "SELECT * FROM sweep_trials WHERE sweep_id = $1 AND state = $2 ORDER BY number",
        &[sweep_id.into(), state.as_str().into()],
    )?;
    rows.iter().map(read).collect()
}

/// A trial by its number.
pub(super) fn get(tx: &mut Tx<'_>, sweep_id: &str, name: &str, number: i64) -> Result<Trial, Error> {
    let row = tx.query_opt(
        "SELECT * FROM sweep_trials WHERE sweep_id = $1 AND number = $2",
        &[sweep_id.into(), number.into()],
    )?;
    let missing = || Error::not_found(format!("sweep `{name}` has no trial {number}"));
    read(&row.ok_or_else(missing)?)
}

/// Whose a new trial is.
pub(super) struct Birth<'a> {
    pub(super) sweep: &'a super::Sweep,
    pub(super) number: i64,
    pub(super) seen: i64,
    pub(super) settings: &'a Settings,
    pub(super) user: &'a str,
}

/// Makes a trial with its run; it waits until it is taken.
pub(super) fn create(tx: &mut Tx<'_>, ctx: &Ctx, birth: &Birth<'_>) -> Result<Trial, Error> {
    let Birth { sweep, number, .. } = birth;
    let new = NewRun {
        experiment_id: sweep.experiment_id.clone(),
        user_id: birth.user.to_owned(),
        run_name: format!("{}-{number}", sweep.definition.name),
        start_ms: ctx.now_ms(),
        tags: vec![
            Pair::new(PARENT_TAG, &sweep.run_id),
            Pair::new("mlflow.user", birth.user),
            Pair::new(TRIAL_TAG, format!("{}/{number}", sweep.definition.name)),
            Pair::new(STATE_TAG, TrialState::Running.as_str()),
        ],
    };
    let run_id = run::create(tx, ctx, new)?.info.run_id;
    let params = birth.settings.iter().map(|(name, value)| Pair::new(name, value.to_string())).collect();
    crate::batch::log(tx, ctx, &run_id, crate::batch::Batch { params, ..crate::batch::Batch::default() })?;
    let settings =
        serde_json::to_string(birth.settings).map_err(|error| db::Error::corrupt("settings", error.to_string()))?;
    tx.execute(
        "INSERT INTO sweep_trials
            (sweep_id, number, run_id, settings, state, attempt, seen, worker, lease, lease_until_us, is_nan, started_us)
         VALUES ($1, $2, $3, $4, 'waiting', 0, $5, '', '', 0, $6, $7)",
        &[
            (&sweep.sweep_id).into(),
            (*number).into(),
            run_id.into(),
            settings.into(),
            birth.seen.into(),
            false.into(),
            ctx.now_us.into(),
        ],
    )?;
    get(tx, &sweep.sweep_id, &sweep.definition.name, *number)
}

/// Writes everything that changes in a trial's life.
pub(super) fn save(tx: &mut Tx<'_>, sweep_id: &str, trial: &Trial) -> Result<(), Error> {
    let value = trial.value.map(|(_, value)| stored(value));
    tx.execute(
        "UPDATE sweep_trials SET state = $3, attempt = $4, place = $5, worker = $6, lease = $7, lease_until_us = $8,
            verdict = $9, judged = $10, step = $11, value = $12, is_nan = $13, error = $14, ended_us = $15
         WHERE sweep_id = $1 AND number = $2",
        &[
            sweep_id.into(),
            trial.number.into(),
            trial.state.as_str().into(),
            trial.attempt.into(),
            trial.place.into(),
            (&trial.worker).into(),
            (&trial.lease).into(),
            trial.lease_until_us.into(),
            trial.verdict.map(verdict_text).into(),
            trial.judged.into(),
            trial.value.map(|(step, _)| step).into(),
            value.map(|(value, _)| value).into(),
            value.is_some_and(|(_, is_nan)| is_nan).into(),
            trial.error.clone().into(),
            trial.ended_us.into(),
        ],
    )?;
    Ok(())
}

/// Brings the run of a trial to the trial's state, if the run is still there.
pub(super) fn tell_run(tx: &mut Tx<'_>, ctx: &Ctx, trial: &Trial) -> Result<(), Error> {
    let end_ms = trial.state.is_over().then(|| ctx.now_ms());
    if !set_status(tx, &trial.run_id, trial.state.status(), end_ms)? {
        return Ok(());
    }
    tag::put(tx, &trial.run_id, &Pair::new(STATE_TAG, trial.state.as_str()))?;
    match &trial.error {
        Some(error) => tag::put(tx, &trial.run_id, &crate::check::tag(Pair::new(ERROR_TAG, error), str::to_owned)?),
        None => Ok(()),
    }
}

/// Sets how a run goes, deleted or not; false if it is not there any more.
pub(super) fn set_status(tx: &mut Tx<'_>, run_id: &str, status: Status, end_ms: Option<i64>) -> Result<bool, Error> {
    let changed = tx.execute(
        "UPDATE runs SET status = $2, end_ms = $3 WHERE run_id = $1",
        &[run_id.into(), status.as_str().into(), Value::from(end_ms)],
    )?;
    Ok(changed > 0)
}

/// The last point of a run's metric, by step.
pub(super) fn latest(tx: &mut Tx<'_>, run_id: &str, key: &str) -> Result<Option<Metric>, Error> {
    let row = tx.query_opt(
        "SELECT key, value, is_nan, timestamp_ms, step FROM metric_series WHERE run_id = $1 AND key = $2",
        &[run_id.into(), key.into()],
    )?;
    row.as_ref().map(metric::read).transpose()
}

fn verdict_text(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pruned => "pruned",
        Verdict::Enough => "enough",
    }
}

fn read(row: &Row) -> Result<Trial, Error> {
    let (state, settings) = (row.str("state")?, row.str("settings")?);
    let verdict = match row.opt_text("verdict")?.as_deref() {
        None => None,
        Some("pruned") => Some(Verdict::Pruned),
        Some("enough") => Some(Verdict::Enough),
        Some(other) => return Err(db::Error::corrupt("verdict", other).into()),
    };
    let value = if row.bool("is_nan")? { Some(f64::NAN) } else { row.opt_f64("value")? };
    Ok(Trial {
        number: row.i64("number")?,
        run_id: row.text("run_id")?,
        settings: serde_json::from_str(settings).map_err(|_| db::Error::corrupt("settings", settings))?,
        state: TrialState::ALL
            .into_iter()
            .find(|one| one.as_str() == state)
            .ok_or_else(|| db::Error::corrupt("state", state))?,
        attempt: row.i64("attempt")?,
        seen: row.i64("seen")?,
        place: row.opt_i64("place")?,
        worker: row.text("worker")?,
        lease_until_us: row.i64("lease_until_us")?,
        verdict,
        value: row.opt_i64("step")?.zip(value),
        error: row.opt_text("error")?,
        started_us: row.i64("started_us")?,
        ended_us: row.opt_i64("ended_us")?,
        lease: row.text("lease")?,
        judged: row.opt_i64("judged")?,
    })
}
