//! The distribution of numbers.

use serde::{Deserialize, Serialize};

/// At most this many sorted values are kept.
pub(super) const MAX_SAMPLE: usize = 5_000;
/// At most this many bins.
const MAX_BINS: usize = 64;

/// The distribution of the finite values of a numeric column. All statistics are 0 when there are no values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numeric {
    /// Finite values.
    pub n: u64,
    /// Values that are missing or not finite.
    pub missing: u64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation (divisor n).
    pub std: f64,
    /// Skewness (third standardised moment).
    pub skewness: f64,
    /// Excess kurtosis (fourth standardised moment less 3).
    pub kurtosis: f64,
    /// The nine inner deciles, without repetitions; values belong to the bin up to and including an edge.
    pub deciles: Vec<f64>,
    /// Values in the bins between the deciles, one more than edges.
    pub decile_counts: Vec<u64>,
    /// Edges of at most 64 bins at quantiles, without repetitions.
    pub edges: Vec<f64>,
    /// Values in these bins.
    pub counts: Vec<u64>,
    /// The values, sorted; if there are more than 5,000, as many evenly spaced ones.
    pub sample: Vec<f64>,
}

impl Numeric {
    /// Of a column; `NaN` and infinities are missing.
    pub fn of(values: &[f64]) -> Self {
        let sorted = crate::twosample::clean(values);
        let n = sorted.len();
        let (mean, [m2, m3, m4]) = moments(&sorted);
        let std = m2.sqrt();
        let standard = |moment: f64, power: i32| if std > 0.0 { moment / std.powi(power) } else { 0.0 };
        let deciles = quantile_edges(&sorted, 10);
        let edges = quantile_edges(&sorted, MAX_BINS);
        Self {
            n: n as u64,
            missing: (values.len() - n) as u64,
            min: sorted.first().copied().unwrap_or(0.0),
            max: sorted.last().copied().unwrap_or(0.0),
            mean,
            std,
            skewness: standard(m3, 3),
            kurtosis: if std > 0.0 { standard(m4, 4) - 3.0 } else { 0.0 },
            decile_counts: bin_counts(&sorted, &deciles),
            deciles,
            counts: bin_counts(&sorted, &edges),
            edges,
            sample: spaced(&sorted, MAX_SAMPLE),
        }
    }

    /// True if the sample holds all values.
    pub fn is_whole(&self) -> bool {
        self.sample.len() as u64 == self.n
    }

    /// True if there is one and the same value only.
    pub fn is_constant(&self) -> bool {
        self.n > 0 && self.min == self.max
    }

    /// A quantile of the values (linear between order statistics, as NumPy does); 0 without values.
    pub fn quantile(&self, p: f64) -> f64 {
        quantile(&self.sample, p)
    }

    /// A scale that one wild value cannot blow up nor a lump of equal values shrink to nothing: the larger of the standard
    /// deviation and IQR / 1.349, which is the standard deviation of a normal distribution.
    pub fn scale(&self) -> f64 {
        let iqr = self.quantile(0.75) - self.quantile(0.25);
        self.std.max(iqr / 1.349)
    }
}

/// The mean and the central moments of order 2, 3 and 4 of sorted values, in two passes.
fn moments(values: &[f64]) -> (f64, [f64; 3]) {
    let n = values.len() as f64;
    if values.is_empty() {
        return (0.0, [0.0; 3]);
    }
    if values.first() == values.last() {
        // rounding must not give a constant a spread
        return (values[0], [0.0; 3]);
    }
    // divided first: the sum of many finite values may not be finite
    let mean = values.iter().map(|x| x / n).sum::<f64>();
    let mut sums = [0.0; 3];
    for x in values {
        let d = x - mean;
        sums[0] += d * d;
        sums[1] += d * d * d;
        sums[2] += d * d * d * d;
    }
    let finite = |sum: f64| if (sum / n).is_finite() { sum / n } else { f64::MAX };
    (mean, sums.map(finite))
}

/// The quantile of sorted values.
pub(crate) fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = p.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// The inner edges of `bins` bins of equal share: values of the data, so that ties fall on one side. Where the first edge is the
/// smallest value another goes just below it, so that what is smaller than all of the data has a bin.
fn quantile_edges(sorted: &[f64], bins: usize) -> Vec<f64> {
    if sorted.is_empty() {
        return Vec::new();
    }
    let mut edges: Vec<f64> = (1..bins).map(|index| sorted[(index * sorted.len()).div_ceil(bins).max(1) - 1]).collect();
    edges.dedup();
    if edges.first() == sorted.first() {
        edges.insert(0, sorted[0].next_down().max(f64::MIN));
        edges.dedup();
    }
    edges
}

/// Counts of the bins `(.., e1], (e1, e2], .., (ek, ..)`.
pub(crate) fn bin_counts(sorted: &[f64], edges: &[f64]) -> Vec<u64> {
    let mut counts = Vec::with_capacity(edges.len() + 1);
    let mut before = 0;
    for edge in edges {
        let up_to = sorted.partition_point(|x| x <= edge);
        counts.push((up_to - before) as u64);
        before = up_to;
    }
    counts.push((sorted.len() - before) as u64);
    counts
}

/// At most `most` values: all, or the middles of as many equal parts.
fn spaced(sorted: &[f64], most: usize) -> Vec<f64> {
    let n = sorted.len();
    if n <= most {
        return sorted.to_vec();
    }
    (0..most).map(|index| sorted[(2 * index + 1) * n / (2 * most)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_agree_with_numpy() {
        // numpy mean, std; scipy.stats skew, kurtosis
        let numeric = Numeric::of(&[2.0, f64::NAN, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0, f64::INFINITY]);
        assert_eq!((numeric.n, numeric.missing, numeric.min, numeric.max), (8, 2, 2.0, 9.0));
        assert_eq!((numeric.mean, numeric.std), (5.0, 2.0));
        assert!((numeric.skewness - 0.65625).abs() < 1e-15);
        assert!((numeric.kurtosis - -0.21875).abs() < 1e-15);
    }

    #[test]
    fn bins_hold_every_value_once_and_have_room_below() {
        let values: Vec<f64> = (0..1_000).map(|x| f64::from(x % 7)).collect();
        let numeric = Numeric::of(&values);
        assert_eq!(numeric.counts.iter().sum::<u64>(), 1_000);
        assert_eq!(numeric.decile_counts.iter().sum::<u64>(), 1_000);
        assert_eq!(numeric.decile_counts[0], 0, "below the smallest value");
        let constant = Numeric::of(&[3.0; 50]);
        assert_eq!(constant.decile_counts, [0, 50, 0]);
        assert!(constant.is_constant());
        assert_eq!(Numeric::of(&[0.1; 300]).scale(), 0.0);
    }

    #[test]
    fn a_large_column_is_kept_as_its_quantiles() {
        let values: Vec<f64> = (0..100_000).map(f64::from).collect();
        let numeric = Numeric::of(&values);
        assert_eq!(numeric.sample.len(), MAX_SAMPLE);
        assert!(!numeric.is_whole());
        assert!((numeric.quantile(0.5) - 49_999.5).abs() <= 20.0);
        assert!((numeric.scale() - numeric.std.max(50_000.0 / 1.349)).abs() < 20.0);
    }

    #[test]
    fn wild_values_stay_finite() {
        let numeric = Numeric::of(&[f64::MAX, f64::MAX, -f64::MAX, f64::MIN_POSITIVE]);
        assert!(numeric.mean.is_finite() && numeric.std.is_finite() && numeric.kurtosis.is_finite());
    }
}
