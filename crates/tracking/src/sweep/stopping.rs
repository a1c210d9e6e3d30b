//! When a trial is given up: the rules, over what other trials had at the same place. The decisions are those of Optuna's
//! `SuccessiveHalvingPruner` and `MedianPruner`.

use super::definition::Goal;
use crate::Error;

/// What a rule says of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not good enough.
    Pruned,
    /// It has reached the last step.
    Enough,
}

/// A value of the sweep's metric at a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) step: i64,
    /// It may be NaN.
    pub(super) value: f64,
}

/// Successive halving.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asha {
    pub(super) goal: Goal,
    pub(super) min_step: i64,
    pub(super) max_step: Option<i64>,
    pub(super) reduction: i64,
}

impl Asha {
    /// Judges a report of a trial that has passed `rung` rungs. `mark` records the trial's value at a rung and returns those of all
    /// trials there, this one included.
    pub(super) fn judge(
        &self,
        rung: &mut i64,
        report: Report,
        mut mark: impl FnMut(i64, f64) -> Result<Vec<f64>, Error>,
    ) -> Result<Option<Verdict>, Error> {
        if self.max_step.is_some_and(|last| report.step >= last) {
            return Ok(Some(Verdict::Enough));
        }
        while report.step >= self.step_of(*rung) {
            if report.value.is_nan() {
                return Ok(Some(Verdict::Pruned));
            }
            let competing = mark(*rung, report.value)?;
            *rung += 1;
            if !self.goes_on(report.value, &competing) {
                return Ok(Some(Verdict::Pruned));
            }
        }
        Ok(None)
    }

    fn step_of(&self, rung: i64) -> i64 {
        let factor = u32::try_from(rung).ok().and_then(|rung| self.reduction.checked_pow(rung));
        factor.map_or(i64::MAX, |factor| self.min_step.saturating_mul(factor))
    }

    /// Whether a value is among the best part; the first few need only be the best of all so far.
    fn goes_on(&self, value: f64, competing: &[f64]) -> bool {
        let mut costs: Vec<f64> = competing.iter().map(|value| self.goal.cost(*value)).collect();
        costs.sort_by(f64::total_cmp);
        let places = (competing.len() / self.reduction.max(1) as usize).max(1);
        costs.get(places - 1).is_none_or(|worst| self.goal.cost(value) <= *worst)
    }
}

/// The median of the finished trials.
#[derive(Clone, Copy, Debug)]
pub(super) struct Median {
    pub(super) goal: Goal,
    pub(super) startup: i64,
    pub(super) warmup: i64,
    pub(super) interval: i64,
    pub(super) min_trials: i64,
}

impl Median {
    /// Whether a report is judged at all; `before` is the greatest other step of the trial.
    pub(super) fn is_due(&self, finished: i64, step: i64, before: Option<i64>) -> bool {
        if finished == 0 || finished < self.startup || step < self.warmup {
            return false;
        }
        let lower = (step - self.warmup) / self.interval * self.interval + self.warmup;
        before.unwrap_or(-1) < lower
    }

    /// Judges the values of a trial up to a step against those of the finished trials at that step.
    pub(super) fn judge(&self, own: &[f64], finished: &[f64]) -> Option<Verdict> {
        let numbers = |values: &[f64]| -> Vec<f64> {
            let mut costs: Vec<f64> =
                values.iter().filter(|value| !value.is_nan()).map(|value| self.goal.cost(*value)).collect();
            costs.sort_by(f64::total_cmp);
            costs
        };
        let Some(best) = numbers(own).first().copied() else { return Some(Verdict::Pruned) };
        if (finished.len() as i64) < self.min_trials {
            return None;
        }
        let median = median(&numbers(finished))?;
        (best > median).then_some(Verdict::Pruned)
    }
}

/// The median of sorted numbers.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    // As NumPy interpolates; half of each, so that great numbers do not overflow.
    let lower = *sorted.get(middle.checked_sub(1)?)?;
    Some(lower + (upper - lower) * 0.5)
}
