//! Resampling of metrics that are means over rows.

use super::{RESAMPLES, Resampled, Rows, stream};

/// Rows whose weights are made at a time: they stay in the first-level cache.
const CHUNK: usize = 2_048;
/// Sums are kept in this many lanes, which the compiler turns into vector registers. The order of additions is fixed by it.
const LANES: usize = 8;

/// The difference of two mean losses.
pub(super) fn of_loss(rows: &Rows<'_>, seed: u64, loss: impl Fn(f64, f64) -> f64) -> Resampled {
    let n = rows.truths.len() as f64;
    let losses = |scores: &[f64]| -> Vec<f64> { scores.iter().zip(rows.truths).map(|(p, y)| loss(*p, *y)).collect() };
    let (candidate, champion) = (losses(rows.candidate), losses(rows.champion));
    let differences: Vec<f64> = champion.iter().zip(&candidate).map(|(old, new)| old - new).collect();
    let resampled = (0..RESAMPLES).map(|resample| {
        let [weight, sum] = weighted_sums([&differences], stream(seed, resample));
        sum / weight
    });
    Resampled {
        candidate: candidate.iter().sum::<f64>() / n,
        champion: champion.iter().sum::<f64>() / n,
        difference: differences.iter().sum::<f64>() / n,
        differences: resampled.collect(),
    }
}

/// The difference of two root mean squared errors.
pub(super) fn of_root(rows: &Rows<'_>, seed: u64) -> Resampled {
    let n = rows.truths.len() as f64;
    let squares =
        |scores: &[f64]| -> Vec<f64> { scores.iter().zip(rows.truths).map(|(p, y)| (p - y) * (p - y)).collect() };
    let (candidate, champion) = (squares(rows.candidate), squares(rows.champion));
    let resampled = (0..RESAMPLES).map(|resample| {
        let [weight, new, old] = weighted_sums([&candidate, &champion], stream(seed, resample));
        (old / weight).sqrt() - (new / weight).sqrt()
    });
    let differences = resampled.collect();
    let (new, old) = ((candidate.iter().sum::<f64>() / n).sqrt(), (champion.iter().sum::<f64>() / n).sqrt());
    Resampled { candidate: new, champion: old, difference: old - new, differences }
}

/// The sum of the weights of a resample, then the weighted sum of each column.
fn weighted_sums<const COLUMNS: usize, const SUMS: usize>(columns: [&[f64]; COLUMNS], stream: u64) -> [f64; SUMS] {
    let rows = columns[0].len();
    let mut weights = [0_u16; CHUNK];
    let mut totals = [0.0; SUMS];
    let mut start = 0;
    while start < rows {
        let end = (start + CHUNK).min(rows);
        let weights = &mut weights[..end - start];
        crate::seed::fill(weights, stream, start);
        totals[0] += f64::from(weights.iter().map(|weight| u32::from(*weight)).sum::<u32>());
        for (total, column) in totals[1..].iter_mut().zip(columns) {
            *total += dot(weights, &column[start..end]);
        }
        start = end;
    }
    totals
}

fn dot(weights: &[u16], values: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (weight_blocks, value_blocks) = (weights.chunks_exact(LANES), values.chunks_exact(LANES));
    let rest: f64 =
        weight_blocks.remainder().iter().zip(value_blocks.remainder()).map(|(w, x)| f64::from(*w) * x).sum();
    for (weights, values) in weight_blocks.zip(value_blocks) {
        for lane in 0..LANES {
            lanes[lane] += f64::from(weights[lane]) * values[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest
}
