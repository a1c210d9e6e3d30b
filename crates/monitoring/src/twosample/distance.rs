//! Distances between two distributions: how much has changed, whatever the number of rows.

/// Population stability index of shares, `sum (a - b) ln(a / b)`. Both shares of a bin must be positive to count.
pub fn psi(a: &[f64], b: &[f64]) -> f64 {
    let terms = a.iter().zip(b).filter(|(a, b)| **a > 0.0 && **b > 0.0);
    terms.map(|(a, b)| (a - b) * (a / b).ln()).sum()
}

/// Population stability index of counts, each raised by a half so that an empty bin is rare, not impossible. `None` if a sample
/// is empty.
pub fn psi_smoothed(a: &[u64], b: &[u64]) -> Option<f64> {
    Some(psi(&smoothed(a)?, &smoothed(b)?))
}

fn smoothed(counts: &[u64]) -> Option<Vec<f64>> {
    let n = counts.iter().sum::<u64>() as f64;
    let total = n + 0.5 * counts.len() as f64;
    (n > 0.0).then(|| counts.iter().map(|&count| (count as f64 + 0.5) / total).collect())
}

/// Jensen-Shannon distance with logarithms of a base: the square root of the divergence, as in SciPy. Shares are normed to 1.
pub fn jensen_shannon(a: &[f64], b: &[f64], base: f64) -> Option<f64> {
    let (sum_a, sum_b) = (a.iter().sum::<f64>(), b.iter().sum::<f64>());
    if sum_a <= 0.0 || sum_b <= 0.0 {
        return None;
    }
    let half = |own: f64, middle: f64| if own > 0.0 { own * (own / middle).ln() } else { 0.0 };
    let divergence: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| {
            let (a, b) = (a / sum_a, b / sum_b);
            half(a, f64::midpoint(a, b)) + half(b, f64::midpoint(a, b))
        })
        .sum();
    Some((divergence.max(0.0) / base.ln() / 2.0).sqrt())
}

/// Kullback-Leibler divergence of `b` from `a` in nats, both normed to 1; infinite where `b` is 0 and `a` is not.
pub fn kullback_leibler(a: &[f64], b: &[f64]) -> Option<f64> {
    let (sum_a, sum_b) = (a.iter().sum::<f64>(), b.iter().sum::<f64>());
    if sum_a <= 0.0 || sum_b <= 0.0 {
        return None;
    }
    let terms = a.iter().zip(b).filter(|(a, _)| **a > 0.0);
    Some(terms.map(|(a, b)| a / sum_a * ((a / sum_a) / (b / sum_b)).ln()).sum())
}

/// Total variation distance: the share of rows that would have to change their category.
pub fn total_variation(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
}

/// The largest difference of a share.
pub fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Wasserstein-1 distance of two sorted samples: the area between their distribution functions. `None` if a sample is empty.
pub fn wasserstein(a: &[f64], b: &[f64]) -> Option<f64> {
    let mut at = a.first()?.min(*b.first()?);
    let (step_a, step_b) = (1.0 / a.len() as f64, 1.0 / b.len() as f64);
    let (mut i, mut j, mut area) = (0, 0, 0.0);
    while i < a.len() || j < b.len() {
        let next = match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) => x.min(*y),
            (Some(x), None) => *x,
            (None, Some(y)) => *y,
            (None, None) => break,
        };
        area += (next - at) * (i as f64 * step_a - j as f64 * step_b).abs();
        at = next;
        while i < a.len() && a[i] == at {
            i += 1;
        }
        while j < b.len() && b[j] == at {
            j += 1;
        }
    }
    Some(area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_samples_are_no_distance_apart() {
        let shares = [0.2, 0.3, 0.5];
        assert_eq!(psi(&shares, &shares), 0.0);
        assert_eq!(jensen_shannon(&shares, &shares, 2.0), Some(0.0));
        assert_eq!(total_variation(&shares, &shares), 0.0);
        assert_eq!(wasserstein(&[1.0, 2.0], &[1.0, 1.0, 2.0, 2.0]), Some(0.0));
    }

    #[test]
    fn disjoint_samples_are_as_far_as_the_distance_goes() {
        assert_eq!(jensen_shannon(&[1.0, 0.0], &[0.0, 1.0], 2.0), Some(1.0));
        assert_eq!(total_variation(&[1.0, 0.0], &[0.0, 1.0]), 1.0);
        assert_eq!(wasserstein(&[0.0], &[3.0]), Some(3.0));
        assert_eq!(kullback_leibler(&[1.0, 0.0], &[0.0, 1.0]), Some(f64::INFINITY));
    }

    #[test]
    fn an_empty_sample_has_no_distance() {
        assert_eq!(wasserstein(&[], &[1.0]), None);
        assert_eq!(psi_smoothed(&[0, 0], &[1, 2]), None);
        assert_eq!(jensen_shannon(&[0.0], &[1.0], 2.0), None);
    }
}
