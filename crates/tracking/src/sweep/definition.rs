//! What a sweep is asked to do, as it was written down.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::space::{Param, Space};
use crate::{Error, check};

const MAX_NAME: usize = 250;
const MAX_TRIALS: i64 = 100_000;
const MAX_PARALLEL: i64 = 10_000;
const MAX_ATTEMPTS: i64 = 100;
const MAX_LEASE_SECONDS: i64 = 86_400;

/// The definition of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Unique in the workspace.
    pub name: String,
    /// The experiment of its runs, made if it is not there; by default that of the sweep's name.
    #[serde(default)]
    pub experiment: Option<String>,
    /// The metric that is to become small or great: the last value that a trial logs, in the order of steps.
    pub metric: String,
    /// Which of the two.
    #[serde(default)]
    pub goal: Goal,
    /// How values are chosen.
    #[serde(default)]
    pub method: Method,
    /// The same seed and the same results give the same trials.
    #[serde(default)]
    pub seed: i64,
    /// How much is tried.
    #[serde(default)]
    pub budget: Budget,
    /// When a trial is given up.
    #[serde(default)]
    pub stopping: Stopping,
    /// What is varied.
    pub space: BTreeMap<String, Param>,
}

/// Whether a small or a great value is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Small.
    #[default]
    Minimize,
    /// Great.
    Maximize,
}

impl Goal {
    /// The value with the sign that makes small values the better ones.
    pub(super) fn cost(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// How values are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Each combination once.
    Grid,
    /// Independent draws.
    Random,
    /// Draws near what was good so far: a tree-structured Parzen estimator.
    #[default]
    Bayes,
}

impl Method {
    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Random => "random",
            Self::Bayes => "bayes",
        }
    }
}

/// How much is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// The most trials; a grid without it is tried out whole.
    pub trials: Option<i64>,
    /// The most trials at a time.
    pub parallel: Option<i64>,
    /// How often a trial is begun again when its worker is lost, the first time included.
    pub attempts: i64,
    /// How long a worker may be silent before its trial is given to another, seconds.
    pub lease_seconds: i64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { trials: None, parallel: None, attempts: 3, lease_seconds: 60 }
    }
}

/// When a trial is given up. Resources are the steps of the sweep's metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "lowercase", deny_unknown_fields)]
pub enum Stopping {
    /// Never.
    #[default]
    None,
    /// Asynchronous successive halving: at `min_step`, `min_step * reduction` ... only the best `1 / reduction` go on.
    Asha {
        /// The first step at which is judged.
        #[serde(default = "one")]
        min_step: i64,
        /// A trial that reaches this step has had enough and ends well.
        #[serde(default)]
        max_step: Option<i64>,
        /// Of so many one goes on.
        #[serde(default = "four")]
        reduction: i64,
    },
    /// A trial whose best value is worse than the median of the finished ones at the same step is given up.
    Median {
        /// So many trials must have finished.
        #[serde(default = "five")]
        startup: i64,
        /// Steps before this one are not judged.
        #[serde(default)]
        warmup: i64,
        /// Only the first value in each so many steps is judged.
        #[serde(default = "one")]
        interval: i64,
        /// So many finished trials must have a value at the step.
        #[serde(default = "one")]
        min_trials: i64,
    },
}

fn one() -> i64 {
    1
}

fn four() -> i64 {
    4
}

fn five() -> i64 {
    5
}

impl Definition {
    /// The experiment of its runs.
    pub fn experiment(&self) -> &str {
        self.experiment.as_deref().unwrap_or(&self.name)
    }

    /// Checks everything and returns the space and the most trials there will be.
    pub(super) fn check(&self) -> Result<(Space, i64), Error> {
        self.check_names()?;
        self.check_budget()?;
        self.check_stopping()?;
        let space = Space::new(&self.space)?;
        let trials = match (self.method, self.budget.trials) {
            (Method::Grid, most) => most.unwrap_or(MAX_TRIALS).min(super::grid::size(&space)?),
            (_, Some(most)) => most,
            (_, None) => return Err(Error::Missing { path: "budget.trials".to_owned() }),
        };
        Ok((space, trials))
    }

    fn check_names(&self) -> Result<(), Error> {
        check::length(&self.name, MAX_NAME, || "name".to_owned())?;
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':');
        if self.name.trim().is_empty() || !self.name.chars().all(plain) || self.name.starts_with('.') {
            let reason = "a name has letters, digits, spaces and `_-.:`, and does not begin with a dot".to_owned();
            return Err(Error::Value { path: "name".to_owned(), value: check::json(&self.name), reason });
        }
        check::key(&self.metric, || "metric".to_owned())?;
        check::length(&self.metric, check::MAX_KEY, || "metric".to_owned())
    }

    fn check_budget(&self) -> Result<(), Error> {
        let Budget { trials, parallel, attempts, lease_seconds } = self.budget;
        within("budget.trials", trials.unwrap_or(1), 1, MAX_TRIALS)?;
        within("budget.parallel", parallel.unwrap_or(1), 1, MAX_PARALLEL)?;
        within("budget.attempts", attempts, 1, MAX_ATTEMPTS)?;
        within("budget.lease_seconds", lease_seconds, 1, MAX_LEASE_SECONDS)
    }

    fn check_stopping(&self) -> Result<(), Error> {
        match self.stopping {
            Stopping::None => Ok(()),
            Stopping::Asha { min_step, max_step, reduction } => {
                within("stopping.min_step", min_step, 1, i64::MAX)?;
                within("stopping.max_step", max_step.unwrap_or(min_step), min_step, i64::MAX)?;
                within("stopping.reduction", reduction, 2, 1_000)
            }
            Stopping::Median { startup, warmup, interval, min_trials } => {
                within("stopping.startup", startup, 0, MAX_TRIALS)?;
                within("stopping.warmup", warmup, 0, i64::MAX)?;
                within("stopping.interval", interval, 1, i64::MAX)?;
                within("stopping.min_trials", min_trials, 1, MAX_TRIALS)
            }
        }
    }
}

/// A number between two others, both included.
fn within(path: &str, value: i64, low: i64, high: i64) -> Result<(), Error> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let reason = if high == i64::MAX {
        format!("it must be at least {low}")
    } else {
        format!("it must be between {low} and {high}")
    };
    Err(Error::Value { path: path.to_owned(), value: value.to_string(), reason })
}

/// Names that differ only where the environment of a process cannot tell them apart.
pub(super) fn environment_names<'n>(names: impl Iterator<Item = &'n String>) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(environment_name(name)) {
            let reason = format!("two parameters would share the variable {}", environment_name(name));
            return Err(Error::Value { path: format!("space.{name}"), value: check::json(name), reason });
        }
    }
    Ok(())
}

/// The variable that carries a parameter to a process.
pub fn environment_name(param: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("RONDO_PARAM_{}", param.chars().map(plain).collect::<String>())
}
