//! Tests on counts of categories in two samples.

use crate::special::chi_square_sf;

/// A statistic that follows the chi-square distribution if nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chi {
    /// The statistic.
    pub statistic: f64,
    /// Its p-value.
    pub p_value: f64,
    /// Degrees of freedom.
    pub degrees: u32,
}

/// Pearson's test that two samples have the same distribution (`scipy.stats.chi2_contingency` without correction). Categories that
/// neither has are left out; `None` if fewer than two are left, or a sample is empty.
pub fn chi_square(a: &[u64], b: &[u64]) -> Option<Chi> {
    homogeneity(a, b, |observed, expected| (observed - expected) * (observed - expected) / expected)
}

/// The likelihood-ratio test of the same (`lambda_="log-likelihood"`).
pub fn g_test(a: &[u64], b: &[u64]) -> Option<Chi> {
    homogeneity(
        a,
        b,
        |observed, expected| if observed > 0.0 { 2.0 * observed * (observed / expected).ln() } else { 0.0 },
    )
}

fn homogeneity(a: &[u64], b: &[u64], term: impl Fn(f64, f64) -> f64) -> Option<Chi> {
    let (n_a, n_b) = (a.iter().sum::<u64>() as f64, b.iter().sum::<u64>() as f64);
    if n_a == 0.0 || n_b == 0.0 {
        return None;
    }
    let (mut statistic, mut categories) = (0.0, 0_u32);
    for (&in_a, &in_b) in a.iter().zip(b).filter(|(in_a, in_b)| **in_a + **in_b > 0) {
        let both = (in_a + in_b) as f64;
        statistic += term(in_a as f64, both * n_a / (n_a + n_b)) + term(in_b as f64, both * n_b / (n_a + n_b));
        categories += 1;
    }
    let degrees = categories.checked_sub(1).filter(|degrees| *degrees > 0)?;
    // the likelihood ratio of equal shares may round to just below zero
    let statistic = statistic.max(0.0);
    Some(Chi { statistic, p_value: chi_square_sf(statistic, f64::from(degrees)), degrees })
}

/// Pearson's test of observed counts against the shares of a reference that is taken to be exact (`scipy.stats.chisquare` with the
/// reference scaled to the sample, as Evidently does). It ignores the noise of the reference; prefer [`chi_square`].
pub fn goodness_of_fit(reference: &[u64], observed: &[u64]) -> Option<Chi> {
    against(reference, observed, |observed, expected| {
        if observed == expected { 0.0 } else { (observed - expected) * (observed - expected) / expected }
    })
}

/// The likelihood-ratio test of the same.
pub fn goodness_of_fit_g(reference: &[u64], observed: &[u64]) -> Option<Chi> {
    against(
        reference,
        observed,
        |observed, expected| if observed > 0.0 { 2.0 * observed * (observed / expected).ln() } else { 0.0 },
    )
}

fn against(reference: &[u64], observed: &[u64], term: impl Fn(f64, f64) -> f64) -> Option<Chi> {
    let (n_ref, n) = (reference.iter().sum::<u64>() as f64, observed.iter().sum::<u64>() as f64);
    let degrees = (reference.len() as u32).checked_sub(1).filter(|degrees| *degrees > 0)?;
    if n_ref == 0.0 || n == 0.0 {
        return None;
    }
    let expected = reference.iter().map(|&count| count as f64 * (n / n_ref));
    let statistic =
        observed.iter().zip(expected).map(|(&observed, expected)| term(observed as f64, expected)).sum::<f64>();
    let statistic = statistic.max(0.0);
    Some(Chi { statistic, p_value: chi_square_sf(statistic, f64::from(degrees)), degrees })
}

/// Cramer's V of two samples: 0 the same, 1 nothing in common.
pub fn cramers_v(a: &[u64], b: &[u64]) -> Option<f64> {
    let n = (a.iter().sum::<u64>() + b.iter().sum::<u64>()) as f64;
    Some((chi_square(a, b)?.statistic / n).sqrt())
}

/// Merges rare categories into one, so that the chi-square distribution describes the statistics above: a category stays alone when
/// at least `least` of it are expected in both samples. If the rest is itself rarer than that it joins the smallest that stayed.
/// Only the sum of the two samples decides, so the tests keep their level.
pub fn pool_rare(a: &[u64], b: &[u64], least: f64) -> (Vec<u64>, Vec<u64>) {
    let (n_a, n_b) = (a.iter().sum::<u64>() as f64, b.iter().sum::<u64>() as f64);
    let share = n_a.min(n_b) / (n_a + n_b).max(1.0);
    let frequent = |both: u64| both as f64 * share >= least;
    let (mut kept_a, mut kept_b, mut rest) = (Vec::new(), Vec::new(), (0, 0));
    for (&in_a, &in_b) in a.iter().zip(b) {
        if frequent(in_a + in_b) {
            kept_a.push(in_a);
            kept_b.push(in_b);
        } else {
            rest = (rest.0 + in_a, rest.1 + in_b);
        }
    }
    if rest.0 + rest.1 > 0 {
        let smallest = (0..kept_a.len()).min_by_key(|&index| kept_a[index] + kept_b[index]);
        match smallest {
            Some(index) if !frequent(rest.0 + rest.1) => {
                kept_a[index] += rest.0;
                kept_b[index] += rest.1;
            }
            _ => {
                kept_a.push(rest.0);
                kept_b.push(rest.1);
            }
        }
    }
    (kept_a, kept_b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_tested_has_no_answer() {
        assert_eq!(chi_square(&[3], &[4]), None);
        assert_eq!(chi_square(&[3, 0], &[4, 0]), None);
        assert_eq!(chi_square(&[0, 0], &[4, 1]), None);
        assert_eq!(g_test(&[], &[]), None);
        assert_eq!(goodness_of_fit(&[5], &[5]), None);
    }

    #[test]
    fn a_category_the_reference_does_not_have_is_impossible_for_the_goodness_of_fit_alone() {
        assert_eq!(goodness_of_fit(&[50, 50, 0], &[50, 49, 1]).unwrap().p_value, 0.0);
        assert!(chi_square(&[50, 50, 0], &[50, 49, 1]).unwrap().p_value > 0.5);
    }

    #[test]
    fn rare_categories_are_pooled_and_none_is_lost() {
        let (a, b) = pool_rare(&[100, 3, 2, 4, 0], &[90, 2, 4, 3, 1], 5.0);
        assert_eq!((a, b), (vec![100, 9], vec![90, 10]));
        // a rest that is still rare joins the smallest that stayed
        let (a, b) = pool_rare(&[100, 20, 1], &[90, 30, 1], 5.0);
        assert_eq!((a, b), (vec![100, 21], vec![90, 31]));
        assert_eq!(pool_rare(&[1], &[1], 5.0), (vec![1], vec![1]));
        assert_eq!(pool_rare(&[], &[], 5.0), (vec![], vec![]));
    }
}
