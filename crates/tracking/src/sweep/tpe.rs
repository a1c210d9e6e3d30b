//! The tree-structured Parzen estimator (Bergstra et al. 2011; Watanabe 2023), as Optuna's `TPESampler` does it by default: trials
//! are split into a few good ones and the others, each half becomes a density ([`super::parzen`]), and of some draws from the good
//! one that is taken where good is likeliest against the others.
//!
//! Parameters that are always there are modelled together, one that has conditions on its own, among the trials that have it. Trials
//! under way count among the others, so that workers side by side do not all try the same place.

use super::definition::Goal;
use super::draw::Draws;
use super::parzen::{Axis, Mixture};
use super::space::{Checked, Settings, Space};

/// Until so many trials have ended, draws are independent.
const STARTUP: usize = 10;
/// Draws of which the best is taken.
const CANDIDATES: usize = 24;
/// The most trials that count as good.
const MAX_GOOD: usize = 25;

/// What is known of a trial.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) settings: Settings,
    pub(super) outcome: Outcome,
}

/// How a trial went so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    /// It is under way.
    Running,
    /// It ended with this value.
    Finished(f64),
    /// It was given up at this step with this value, if it had any.
    Pruned(Option<(i64, f64)>),
}

/// The values for a trial; `known` holds the trials before it in order, without those that failed.
pub(super) fn suggest(space: &Space, goal: Goal, seed: i64, trial: i64, known: &[Known]) -> Settings {
    let ended = known.iter().filter(|one| one.outcome != Outcome::Running).count();
    if ended < STARTUP {
        return space.draw(seed, trial);
    }
    let (good, other) = split(known, goal, ended.div_ceil(10).min(MAX_GOOD));
    let mut draws = Draws::new(seed, trial, "tpe");
    let mut settings = Settings::new();
    let together: Vec<&Checked> =
        space.0.iter().filter(|param| param.is_always_active() && !param.domain.is_single()).collect();
    settings.extend(best(&together, &good, &other, &mut draws));
    for param in &space.0 {
        if settings.contains_key(&param.name) || !param.is_active(&settings) {
            continue;
        }
        if param.domain.is_single() {
            let value = param.domain.draw(&mut Draws::new(seed, trial, &param.name));
            settings.insert(param.name.clone(), value);
        } else {
            settings.extend(best(&[param], &good, &other, &mut draws));
        }
    }
    settings
}

/// The good trials and the others, both in order of number.
fn split(known: &[Known], goal: Goal, good: usize) -> (Vec<&Known>, Vec<&Known>) {
    let mut ranked: Vec<(usize, (i64, i64, f64))> =
        known.iter().enumerate().filter_map(|(index, one)| Some((index, rank(one.outcome, goal)?))).collect();
    ranked
        .sort_by(|(_, one), (_, other)| one.0.cmp(&other.0).then(one.1.cmp(&other.1)).then(one.2.total_cmp(&other.2)));
    let mut is_good = vec![false; known.len()];
    for (index, _) in ranked.iter().take(good) {
        if let Some(flag) = is_good.get_mut(*index) {
            *flag = true;
        }
    }
    let pick = |wanted: bool| {
        known.iter().zip(&is_good).filter(|(_, good)| **good == wanted).map(|(one, _)| one).collect::<Vec<_>>()
    };
    (pick(true), pick(false))
}

/// The order in which trials are good: finished ones by value, then given up ones, the longest first.
fn rank(outcome: Outcome, goal: Goal) -> Option<(i64, i64, f64)> {
    Some(match outcome {
        Outcome::Running => return None,
        Outcome::Finished(value) => (0, 0, goal.cost(value)),
        Outcome::Pruned(Some((step, value))) if value.is_nan() => (1, step.saturating_neg(), f64::INFINITY),
        Outcome::Pruned(Some((step, value))) => (1, step.saturating_neg(), goal.cost(value)),
        Outcome::Pruned(None) => (1, 1, 0.0),
    })
}

/// Values for parameters that are modelled together.
fn best(params: &[&Checked], good: &[&Known], other: &[&Known], draws: &mut Draws) -> Settings {
    if params.is_empty() {
        return Settings::new();
    }
    let axes: Vec<Axis> = params.iter().map(|param| Axis::of(&param.domain)).collect();
    let good = Mixture::fit(&axes, &points(params, good));
    let other = Mixture::fit(&axes, &points(params, other));
    let mut best: Option<(f64, Vec<f64>)> = None;
    for _ in 0..CANDIDATES {
        let point = good.draw(draws);
        let gain = good.log_density(&point) - other.log_density(&point);
        if best.as_ref().is_none_or(|(most, _)| gain > *most) {
            best = Some((gain, point));
        }
    }
    let (_, point) = best.unwrap_or_default();
    params.iter().zip(point).map(|(param, number)| (param.name.clone(), param.domain.setting(number))).collect()
}

/// The trials that have all of these parameters, as points.
fn points(params: &[&Checked], trials: &[&Known]) -> Vec<Vec<f64>> {
    let point = |trial: &&Known| {
        params.iter().map(|param| param.domain.number(trial.settings.get(&param.name)?)).collect::<Option<Vec<f64>>>()
    };
    trials.iter().filter_map(point).collect()
}
