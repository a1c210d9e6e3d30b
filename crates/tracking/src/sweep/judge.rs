//! What the rule of a sweep says of a trial, from the points that its run has logged since it was last asked.

use std::collections::BTreeMap;

use db::Tx;
use kernel::ctx::Ctx;

use super::definition::Stopping;
use super::stopping::{Asha, Median, Report, Verdict};
use super::trial::{self, Trial, TrialState};
use super::{Sweep, lease};
use crate::metric::{self, loaded, stored};
use crate::{Error, history};

/// Takes in what the run of a trial has logged: the trial's value, and the verdict if there is one. Once given, a verdict stays.
pub(super) fn update(tx: &mut Tx<'_>, ctx: &Ctx, sweep: &Sweep, trial: &mut Trial) -> Result<(), Error> {
    let metric = &sweep.definition.metric;
    metric::settle(tx, &trial.run_id)?;
    let Some(latest) = trial::latest(tx, &trial.run_id, metric)? else { return Ok(()) };
    trial.value = Some((latest.step, latest.value));
    let is_news = trial.judged.is_none_or(|judged| latest.step > judged);
    if trial.verdict.is_some() || !is_news || sweep.definition.stopping == Stopping::None {
        return Ok(());
    }
    // One report for each step that was not judged yet: of several points the first that was logged.
    let mut reports = BTreeMap::new();
    for point in history::get(tx, ctx, &trial.run_id, metric, None, None)?.items {
        if trial.judged.is_none_or(|judged| point.step > judged) {
            reports.entry(point.step).or_insert(point.value);
        }
    }
    for (step, value) in reports {
        trial.verdict = judge(tx, sweep, trial, Report { step, value })?;
        trial.judged = Some(step);
        if trial.verdict.is_some() {
            break;
        }
    }
    Ok(())
}

fn judge(tx: &mut Tx<'_>, sweep: &Sweep, trial: &Trial, report: Report) -> Result<Option<Verdict>, Error> {
    let goal = sweep.definition.goal;
    match sweep.definition.stopping {
        Stopping::None => Ok(None),
        Stopping::Asha { min_step, max_step, reduction } => {
            let mut rung = marks_of(tx, sweep, trial)?.len() as i64;
            let asha = Asha { goal, min_step, max_step, reduction };
            asha.judge(&mut rung, report, |rung, value| {
                put(tx, sweep, trial, rung, value)?;
                at(tx, sweep, rung, false)
            })
        }
        Stopping::Median { startup, warmup, interval, min_trials } => {
            let median = Median { goal, startup, warmup, interval, min_trials };
            put(tx, sweep, trial, report.step, report.value)?;
            if !median.is_due(lease::count(tx, sweep, TrialState::Finished)?, report.step, trial.judged) {
                return Ok(None);
            }
            let finished = at(tx, sweep, report.step, true)?;
            Ok(median.judge(&marks_of(tx, sweep, trial)?, &finished))
        }
    }
}

/// Records a value of a trial at a rung or a step; one that is there stays.
fn put(tx: &mut Tx<'_>, sweep: &Sweep, trial: &Trial, mark: i64, value: f64) -> Result<(), Error> {
    let (value, is_nan) = stored(value);
    tx.execute(
        "INSERT INTO sweep_marks (sweep_id, mark, number, value, is_nan) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (sweep_id, mark, number) DO NOTHING",
        &[(&sweep.sweep_id).into(), mark.into(), trial.number.into(), value.into(), is_nan.into()],
    )?;
    Ok(())
}

/// The values at a rung or a step, of all trials or of those that have finished.
fn at(tx: &mut Tx<'_>, sweep: &Sweep, mark: i64, finished: bool) -> Result<Vec<f64>, Error> {
    let key = [(&sweep.sweep_id).into(), mark.into()];
    let rows = if finished {
        tx.query(
            "SELECT m.value, m.is_nan FROM sweep_marks m
             JOIN sweep_trials t ON t.sweep_id = m.sweep_id AND t.number = m.number
             WHERE m.sweep_id = $1 AND m.mark = $2 AND t.state = 'finished'",
            &key,
        )?
    } else {
        tx.query("SELECT value, is_nan FROM sweep_marks WHERE sweep_id = $1 AND mark = $2", &key)?
    };
    rows.iter().map(loaded).collect()
}

/// The values of a trial.
fn marks_of(tx: &mut Tx<'_>, sweep: &Sweep, trial: &Trial) -> Result<Vec<f64>, Error> {
    let rows = tx.query(
        "SELECT value, is_nan FROM sweep_marks WHERE sweep_id = $1 AND number = $2 ORDER BY mark",
        &[(&sweep.sweep_id).into(), trial.number.into()],
    )?;
    rows.iter().map(loaded).collect()
}
