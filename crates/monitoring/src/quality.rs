//! Quality: predictions against the truth. Every number comes with its n and a 95 % interval.
//!
//! Means of a per-row loss (log loss, Brier, MAE, bias) have Student's interval; RMSE the one of the mean square, transformed;
//! accuracy Wilson's; AUC DeLong's. The calibration error is no mean: its interval is a Poisson bootstrap, whose weights are
//! functions of the prediction ids, so that the same rows give the same interval.

mod auc;
mod calibration;
mod loss;

use serde::{Deserialize, Serialize};

pub use auc::{Auc, auc};
pub use calibration::{Calibration, calibration};
pub use loss::{accuracy, log_loss_of, multiclass};

use crate::task::Task;

/// A quality metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Area under the ROC curve.
    Auc,
    /// Mean negative log likelihood, nats.
    LogLoss,
    /// Mean squared error of the probability.
    Brier,
    /// Expected calibration error over 15 uniform bins.
    Ece,
    /// Share of correct classes.
    Accuracy,
    /// Mean absolute error.
    Mae,
    /// Root of the mean squared error.
    Rmse,
    /// Mean of prediction minus truth.
    Bias,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Auc, Self::LogLoss, Self::Brier, Self::Ece, Self::Accuracy, Self::Mae, Self::Rmse, Self::Bias];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auc => "auc",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::Ece => "ece",
            Self::Accuracy => "accuracy",
            Self::Mae => "mae",
            Self::Rmse => "rmse",
            Self::Bias => "bias",
        }
    }

    /// The metric of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == name)
    }

    /// True if a larger value is a better one.
    pub fn larger_is_better(self) -> bool {
        matches!(self, Self::Auc | Self::Accuracy)
    }
}

/// A metric measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What.
    pub metric: Metric,
    /// The value; none if these rows do not have one (AUC with a single class).
    pub value: Option<f64>,
    /// Lower bound of the 95 % interval; none if it cannot be told (fewer than two rows).
    pub low: Option<f64>,
    /// Upper bound.
    pub high: Option<f64>,
    /// Rows measured.
    pub n: u64,
    /// True while outcomes may still arrive.
    pub provisional: bool,
}

impl Measure {
    /// A measure; what is not finite is not there.
    pub(crate) fn new(metric: Metric, n: usize, value: f64, interval: Option<(f64, f64)>) -> Self {
        let finite = |x: f64| x.is_finite().then_some(x);
        Self {
            metric,
            value: finite(value),
            low: interval.and_then(|(low, _)| finite(low)),
            high: interval.and_then(|(_, high)| finite(high)),
            n: n as u64,
            provisional: false,
        }
    }

    /// Value and bounds, if all are there.
    pub fn complete(&self) -> Option<(f64, f64, f64)> {
        Some((self.value?, self.low?, self.high?))
    }
}

/// Everything that can be measured from scores and truths (see [`Task::truth`]) for a task. `ids` are the prediction ids.
/// Rows whose score or truth is not finite must not be among them. Nothing comes out for multiclass: see [`multiclass`].
pub fn measure(task: &Task, scores: &[f64], truths: &[f64], ids: &[&str]) -> Vec<Measure> {
    match task {
        Task::Binary { .. } => binary(scores, truths, ids),
        Task::Regression => regression(scores, truths),
        Task::Multiclass => Vec::new(),
    }
}

/// AUC, log loss, Brier and calibration error of probabilities of the positive class; truths are 0 or 1.
pub fn binary(scores: &[f64], truths: &[f64], ids: &[&str]) -> Vec<Measure> {
    let n = scores.len();
    if n == 0 {
        return Vec::new();
    }
    let area = auc(scores, truths);
    let calibrated = calibration(scores, truths, 15);
    vec![
        Measure::new(Metric::Auc, n, area.map_or(f64::NAN, |area| area.value), area.and_then(Auc::interval)),
        loss::mean(Metric::LogLoss, scores, truths, log_loss_of),
        loss::mean(Metric::Brier, scores, truths, |p, y| (p - y) * (p - y)),
        Measure::new(Metric::Ece, n, calibrated.ece, calibration::interval(scores, truths, ids)),
        loss::accuracy_of(scores.iter().zip(truths).filter(|(p, y)| (**p >= 0.5) == (**y >= 0.5)).count(), n),
    ]
}

/// MAE, RMSE and bias of predicted numbers.
pub fn regression(scores: &[f64], truths: &[f64]) -> Vec<Measure> {
    if scores.is_empty() {
        return Vec::new();
    }
    vec![
        loss::mean(Metric::Mae, scores, truths, |p, y| (p - y).abs()),
        loss::root_mean_square(scores, truths),
        loss::mean(Metric::Bias, scores, truths, |p, y| p - y),
    ]
}
