//! Area under the ROC curve: exact, ties counted half, with the variance of DeLong, DeLong and Clarke-Pearson (1988).

use crate::special::Z_95;

/// The area and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Auc {
    /// The area.
    pub value: f64,
    /// DeLong's standard error; none with fewer than two rows of a class.
    pub standard_error: Option<f64>,
}

impl Auc {
    /// The 95 % interval, within 0 and 1.
    pub fn interval(self) -> Option<(f64, f64)> {
        let half = Z_95 * self.standard_error?;
        Some(((self.value - half).max(0.0), (self.value + half).min(1.0)))
    }
}

/// The area for scores and truths (at least a half is positive); `None` if one of the classes is absent.
pub fn auc(scores: &[f64], truths: &[f64]) -> Option<Auc> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_unstable_by(|a, b| scores[*a as usize].total_cmp(&scores[*b as usize]).then(a.cmp(b)));
    let positive = |row: u32| truths[row as usize] >= 0.5;
    let positives = order.iter().filter(|row| positive(**row)).count();
    let negatives = order.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let (p, q) = (positives as f64, negatives as f64);
    // placements: for a positive the share of negatives below it, for a negative the share of positives above it
    let mut sums = [[0.0_f64; 2]; 2];
    let centre = area(&order, scores, &positive, p * q);
    for_each_tie(&order, scores, &positive, |below, here| {
        let of_positive = (below[0] as f64 + here[0] as f64 / 2.0) / q;
        let of_negative = (p - below[1] as f64 - here[1] as f64 / 2.0) / p;
        for (class, placement) in [(1, of_positive), (0, of_negative)] {
            let d = placement - centre;
            sums[class][0] += here[class] as f64 * d;
            sums[class][1] += here[class] as f64 * d * d;
        }
    });
    let variance = |class: usize, n: f64| (sums[class][1] - sums[class][0] * sums[class][0] / n) / (n - 1.0);
    let error = (positives > 1 && negatives > 1).then(|| (variance(1, p) / p + variance(0, q) / q).max(0.0).sqrt());
    Some(Auc { value: centre, standard_error: error })
}

fn area(order: &[u32], scores: &[f64], positive: &impl Fn(u32) -> bool, pairs: f64) -> f64 {
    let mut halves = 0_u128;
    for_each_tie(order, scores, positive, |below, here| {
        halves += u128::from(here[1]) * u128::from(2 * below[0] + here[0]);
    });
    halves as f64 / 2.0 / pairs
}

/// Visits the groups of equal scores, upwards: the negatives and positives below, and those of the group.
fn for_each_tie(
    order: &[u32],
    scores: &[f64],
    positive: &impl Fn(u32) -> bool,
    mut visit: impl FnMut([u64; 2], [u64; 2]),
) {
    let mut below = [0, 0];
    for group in order.chunk_by(|a, b| scores[*a as usize] == scores[*b as usize]) {
        let positives = group.iter().filter(|row| positive(**row)).count() as u64;
        let here = [group.len() as u64 - positives, positives];
        visit(below, here);
        below = [below[0] + here[0], below[1] + here[1]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_class_has_no_area() {
        assert_eq!(auc(&[0.1, 0.2], &[1.0, 1.0]), None);
        assert_eq!(auc(&[], &[]), None);
    }

    #[test]
    fn ties_count_half() {
        assert_eq!(auc(&[0.5, 0.5], &[0.0, 1.0]).unwrap().value, 0.5);
        assert_eq!(auc(&[0.1, 0.5, 0.5, 0.9], &[0.0, 0.0, 1.0, 1.0]).unwrap().value, 0.875);
        let perfect = auc(&[0.1, 0.2, 0.8, 0.9], &[0.0, 0.0, 1.0, 1.0]).unwrap();
        assert_eq!((perfect.value, perfect.standard_error), (1.0, Some(0.0)));
    }
}
