//! A density over some parameters: a mixture of a broad kernel, the prior, and a kernel at each observed point. A kernel is the
//! product of a truncated normal distribution for each range and of weights for each choice. The numbers are those of Optuna 5.0's
//! `_ParzenEstimator`.

use super::domain::{Domain, Range};
use super::draw::{Draws, mass, truncated};

/// So many of the latest points count fully; older ones count less the older they are.
const RECENT: usize = 25;
/// A kernel is never narrower than this part of the range.
const NARROWEST: f64 = 100.0;

/// A parameter.
#[derive(Clone, Debug)]
pub(super) enum Axis {
    /// A range.
    Range(Range),
    /// A choice of so many.
    Choice(usize),
}

impl Axis {
    pub(super) fn of(domain: &Domain) -> Self {
        match domain {
            Domain::Range(range) => Self::Range(range.clone()),
            Domain::Choice(values) => Self::Choice(values.len()),
        }
    }
}

/// A density.
#[derive(Clone, Debug)]
pub(super) struct Mixture {
    /// Of each kernel; they sum to 1. The last is the prior.
    weights: Vec<f64>,
    axes: Vec<Kernels>,
}

/// What one axis contributes to each kernel.
#[derive(Clone, Debug)]
enum Kernels {
    /// Mean, deviation and the logarithm of what makes the truncated density sum to 1.
    Normal { range: Range, kernels: Vec<(f64, f64, f64)> },
    /// The chosen index and the weights of the others and of it.
    Choice { chosen: Vec<Option<usize>>, other: f64, same: f64, count: usize },
}

impl Mixture {
    /// The density that observed points suggest; each has a number for each axis, the oldest first.
    pub(super) fn fit(axes: &[Axis], points: &[Vec<f64>]) -> Self {
        let mut weights = ages(points.len());
        weights.push(1.0);
        let total: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= total;
        }
        let column = |index: usize| points.iter().filter_map(move |point| point.get(index).copied());
        let kernels = axes.iter().enumerate().map(|(index, axis)| match axis {
            Axis::Range(range) => Kernels::normal(range, column(index)),
            Axis::Choice(count) => Kernels::choice(*count, column(index)),
        });
        Self { weights, axes: kernels.collect() }
    }

    /// A draw.
    pub(super) fn draw(&self, draws: &mut Draws) -> Vec<f64> {
        let mut left = draws.unit();
        let last = self.weights.len().saturating_sub(1);
        let passed = |weight: &&f64| {
            left -= **weight;
            left >= 0.0
        };
        let kernel = self.weights.iter().take_while(passed).count().min(last);
        self.axes.iter().map(|axis| axis.draw(kernel, draws)).collect()
    }

    /// The logarithm of the density at a point; of the mass where values are discrete.
    pub(super) fn log_density(&self, point: &[f64]) -> f64 {
        let mut logs: Vec<f64> = self.weights.iter().map(|weight| weight.ln()).collect();
        for (axis, at) in self.axes.iter().zip(point) {
            axis.add_log_density(*at, &mut logs);
        }
        let greatest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if greatest == f64::NEG_INFINITY {
            return greatest;
        }
        logs.iter().map(|log| (log - greatest).exp()).sum::<f64>().ln() + greatest
    }
}

impl Kernels {
    fn normal(range: &Range, observed: impl Iterator<Item = f64>) -> Self {
        let (low, high) = range.ends();
        let means: Vec<f64> = observed.map(|at| if range.log { at.ln() } else { at }).collect();
        let mut shapes: Vec<(f64, f64)> = means.iter().copied().zip(deviations(&means, low, high)).collect();
        shapes.push(range.normal.unwrap_or((0.5 * (low + high), high - low)));
        let whole = |(mean, deviation): (f64, f64)| {
            let inside = mass((low - mean) / deviation, (high - mean) / deviation).ln();
            let scale = if range.step.is_some() { 0.0 } else { deviation.ln() + 0.5 * std::f64::consts::TAU.ln() };
            (mean, deviation, -inside - scale)
        };
        Self::Normal { range: range.clone(), kernels: shapes.into_iter().map(whole).collect() }
    }

    fn choice(count: usize, observed: impl Iterator<Item = f64>) -> Self {
        let mut chosen: Vec<Option<usize>> = observed.map(|index| Some(index as usize)).collect();
        let base = 1.0 / (chosen.len() + 1) as f64;
        let total = 1.0 + base * count as f64;
        chosen.push(None);
        Self::Choice { chosen, other: base / total, same: (1.0 + base) / total, count }
    }

    fn draw(&self, kernel: usize, draws: &mut Draws) -> f64 {
        match self {
            Self::Normal { range, kernels } => {
                let (low, high) = range.ends();
                let (mean, deviation, _) =
                    kernels.get(kernel).copied().unwrap_or((0.5 * (low + high), high - low, 0.0));
                let at = truncated(mean, deviation, low, high, draws);
                range.nearest(if range.log { at.exp() } else { at })
            }
            Self::Choice { chosen, other, same, count } => {
                let Some(chosen) = chosen.get(kernel).copied().flatten() else { return draws.below(*count) as f64 };
                let mut left = draws.unit();
                for index in 0..*count {
                    left -= if index == chosen { *same } else { *other };
                    if left < 0.0 {
                        return index as f64;
                    }
                }
                count.saturating_sub(1) as f64
            }
        }
    }

    /// Adds the logarithm of each kernel at a point.
    fn add_log_density(&self, at: f64, logs: &mut [f64]) {
        match self {
            Self::Normal { range, kernels } => {
                let place = |at: f64| if range.log { at.ln() } else { at };
                let cell = range.step.map(|step| (place(at - step / 2.0), place(at + step / 2.0)));
                let at = place(at);
                for (log, (mean, deviation, scale)) in logs.iter_mut().zip(kernels) {
                    *log += scale
                        + match cell {
                            Some((left, right)) => mass((left - mean) / deviation, (right - mean) / deviation).ln(),
                            None => -0.5 * ((at - mean) / deviation).powi(2),
                        };
                }
            }
            Self::Choice { chosen, other, same, count } => {
                for (log, chosen) in logs.iter_mut().zip(chosen) {
                    *log += match chosen {
                        Some(chosen) if *chosen == at as usize => *same,
                        Some(_) => *other,
                        None => 1.0 / *count as f64,
                    }
                    .ln();
                }
            }
        }
    }
}

/// The weights of points by age, the oldest first.
fn ages(count: usize) -> Vec<f64> {
    let old = count.saturating_sub(RECENT);
    let oldest = 1.0 / count.max(1) as f64;
    let ramp = |index: usize| match old {
        1 => oldest,
        _ => oldest + (1.0 - oldest) * index as f64 / (old - 1) as f64,
    };
    (0..old).map(ramp).chain(std::iter::repeat_n(1.0, count - old)).collect()
}

/// How wide the kernel of each point is: as far as the farther of its neighbours, within bounds.
fn deviations(means: &[f64], low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..means.len()).collect();
    let mean = |index: usize| means.get(index).copied().unwrap_or(low);
    order.sort_by(|one, other| mean(*one).total_cmp(&mean(*other)));
    let width = high - low;
    let narrowest = width / NARROWEST.min(2.0 + means.len() as f64);
    let mut found = vec![width; means.len()];
    for (place, index) in order.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|place| order.get(place)).map(|index| mean(*index));
        let after = order.get(place + 1).map(|index| mean(*index));
        let here = mean(*index);
        let reach = match (before, after) {
            (Some(before), Some(after)) => (here - before).max(after - here),
            (Some(before), None) => here - before,
            (None, Some(after)) => after - here,
            (None, None) => (here - low).max(high - here),
        };
        if let Some(found) = found.get_mut(*index) {
            *found = reach.clamp(narrowest, width);
        }
    }
    found
}
