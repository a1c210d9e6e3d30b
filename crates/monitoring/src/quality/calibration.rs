//! Calibration: do things that are said to happen in 30 % of cases happen in 30 % of cases?

use crate::profile::quantile;
use crate::seed;

/// Resamples behind the interval of the calibration error.
const RESAMPLES: u64 = 200;
/// Bins of the calibration error.
const BINS: usize = 15;

/// Calibration over uniform bins of the probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Expected calibration error: mean distance of mean probability and share, weighted by the rows of a bin.
    pub ece: f64,
    /// The largest distance.
    pub mce: f64,
    /// Rows, mean probability and share of positives of each bin; an empty bin is zero.
    pub bins: Vec<(u64, f64, f64)>,
}

/// Calibration of probabilities; truths are 0 or 1. The bin of p is `floor(p * bins)`, 1 belongs to the last.
pub fn calibration(scores: &[f64], truths: &[f64], bins: usize) -> Calibration {
    let mut sums = vec![(0_u64, 0.0, 0.0); bins];
    for (p, y) in scores.iter().zip(truths) {
        let bin = &mut sums[bin_of(*p, bins)];
        *bin = (bin.0 + 1, bin.1 + p, bin.2 + y);
    }
    let n = scores.len() as f64;
    let (mut ece, mut mce) = (0.0, 0.0_f64);
    for (count, p, y) in &mut sums {
        if *count > 0 {
            let rows = *count as f64;
            (*p, *y) = (*p / rows, *y / rows);
            ece += rows / n * (*p - *y).abs();
            mce = mce.max((*p - *y).abs());
        }
    }
    Calibration { ece, mce, bins: sums }
}

fn bin_of(p: f64, bins: usize) -> usize {
    ((p * bins as f64).max(0.0) as usize).min(bins - 1)
}

/// The 95 % interval of the calibration error: a Poisson bootstrap with weights from the prediction ids. The error of a resample is
/// too large by about as much as the error of the sample is, so the quantiles are mirrored at the estimate (the basic bootstrap).
/// Near perfect calibration that is not enough, as the error of a sample cannot be zero: the lower bound is zero unless
/// [`is_rejected`].
pub(super) fn interval(scores: &[f64], truths: &[f64], ids: &[&str]) -> Option<(f64, f64)> {
    if scores.len() < 2 || ids.len() != scores.len() {
        return None;
    }
    let estimate = calibration(scores, truths, BINS).ece;
    // gaps of a bin add up over its rows, so a row is its bin and p - y
    let rows: Vec<(u64, usize, f64)> =
        scores.iter().zip(truths).zip(ids).map(|((p, y), id)| (seed::key(id), bin_of(*p, BINS), p - y)).collect();
    let mut gaps = vec![[0.0; BINS]; RESAMPLES as usize];
    let mut weights = vec![0.0; RESAMPLES as usize];
    for (key, bin, gap) in rows {
        for four in 0..RESAMPLES / 4 {
            let bits = seed::mix(key.wrapping_add(four.wrapping_mul(0xd134_2543_de82_ef95)));
            for lane in 0..4 {
                let weight = f64::from(seed::poisson((bits >> (16 * lane)) as u16));
                let resample = (4 * four + lane) as usize;
                gaps[resample][bin] += weight * gap;
                weights[resample] += weight;
            }
        }
    }
    let mut errors: Vec<f64> = gaps
        .iter()
        .zip(&weights)
        .filter(|(_, weight)| **weight > 0.0)
        .map(|(gaps, weight)| gaps.iter().map(|gap: &f64| gap.abs()).sum::<f64>() / weight)
        .collect();
    errors.sort_unstable_by(f64::total_cmp);
    let mirrored = |p: f64| (2.0 * estimate - quantile(&errors, p)).clamp(0.0, 1.0);
    let low = if is_rejected(scores, truths) { mirrored(0.975).min(estimate) } else { 0.0 };
    (!errors.is_empty()).then(|| (low, mirrored(0.025).max(estimate)))
}

/// True if perfect calibration is rejected at 5 %: the gaps of the bins, squared, in units of the variance that the probabilities
/// themselves say they have. A bin with a variance below 1 is joined to the next.
fn is_rejected(scores: &[f64], truths: &[f64]) -> bool {
    let mut sums = [(0.0, 0.0); BINS];
    for (p, y) in scores.iter().zip(truths) {
        let (gap, variance) = &mut sums[bin_of(*p, BINS)];
        *gap += p - y;
        *variance += (p * (1.0 - p)).max(0.0);
    }
    let (mut statistic, mut degrees) = (0.0, 0.0);
    let mut held = (0.0, 0.0);
    for (gap, variance) in sums {
        held = (held.0 + gap, held.1 + variance);
        if held.1 >= 1.0 {
            statistic += held.0 * held.0 / held.1;
            degrees += 1.0;
            held = (0.0, 0.0);
        }
    }
    // what is left over is too certain of itself for the chi-square distribution: wrong is wrong
    let certain = held.0 * held.0 > 16.0 * held.1.max(0.25);
    certain || crate::special::chi_square_sf(statistic, degrees) <= 0.05
}
