//! Metrics that are means of a loss per row.

use super::{Measure, Metric};
use crate::special::{student_quantile, wilson};

/// Log loss of one row; the probability is kept away from 0 and 1 by the precision of a double, as scikit-learn does.
pub fn log_loss_of(p: f64, y: f64) -> f64 {
    let p = p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    if y >= 0.5 { -p.ln() } else { -(1.0 - p).ln() }
}

/// The mean of a loss with Student's interval.
pub(super) fn mean(metric: Metric, scores: &[f64], truths: &[f64], loss: impl Fn(f64, f64) -> f64) -> Measure {
    let (mean, half) = mean_and_half(scores, truths, loss);
    let floor = if metric == Metric::Bias { f64::NEG_INFINITY } else { 0.0 };
    Measure::new(metric, scores.len(), mean, half.map(|half| ((mean - half).max(floor), mean + half)))
}

/// Half the width of the interval is none for a single row.
fn mean_and_half(scores: &[f64], truths: &[f64], loss: impl Fn(f64, f64) -> f64) -> (f64, Option<f64>) {
    let n = scores.len() as f64;
    let losses = || scores.iter().zip(truths).map(|(p, y)| loss(*p, *y));
    let mean = losses().sum::<f64>() / n;
    let half = (n >= 2.0).then(|| {
        let square = losses().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
        student_quantile(0.975, n - 1.0) * (square / n).sqrt()
    });
    (mean, half)
}

/// The root of the mean square with the interval of the mean square, transformed by the root.
pub(super) fn root_mean_square(scores: &[f64], truths: &[f64]) -> Measure {
    let (square, half) = mean_and_half(scores, truths, |p, y| (p - y) * (p - y));
    let interval = half.map(|half| ((square - half).max(0.0).sqrt(), (square + half).sqrt()));
    Measure::new(Metric::Rmse, scores.len(), square.sqrt(), interval)
}

pub(super) fn accuracy_of(correct: usize, n: usize) -> Measure {
    Measure::new(Metric::Accuracy, n, correct as f64 / n as f64, Some(wilson(correct as u64, n as u64)))
}

/// Accuracy of chosen classes.
pub fn accuracy<C: PartialEq>(chosen: &[C], truths: &[C]) -> Option<Measure> {
    let correct = chosen.iter().zip(truths).filter(|(a, b)| a == b).count();
    (!chosen.is_empty()).then(|| accuracy_of(correct, chosen.len()))
}

/// Accuracy and log loss of class probabilities, row by row (`rows x classes`); truths are class numbers. The first of equally
/// probable classes is the chosen one. A truth outside the classes counts as probability 0.
pub fn multiclass(probabilities: &[f64], classes: usize, truths: &[usize]) -> Vec<Measure> {
    let n = truths.len();
    if n == 0 || classes == 0 || probabilities.len() != n * classes {
        return Vec::new();
    }
    let mut chosen = Vec::with_capacity(n);
    let mut of_truth = Vec::with_capacity(n);
    for (row, &truth) in probabilities.chunks_exact(classes).zip(truths) {
        let mut best = 0;
        for (class, p) in row.iter().enumerate() {
            if *p > row[best] {
                best = class;
            }
        }
        chosen.push(best);
        of_truth.push(row.get(truth).copied().unwrap_or(0.0));
    }
    let ones = vec![1.0; n];
    accuracy(&chosen, truths).into_iter().chain([mean(Metric::LogLoss, &of_truth, &ones, log_loss_of)]).collect()
}
