//! Random numbers of a trial, and the normal distribution that some of them follow.

use kernel::seed::{key, mix};
use libm::erfc;
use statrs::function::erf::erfc_inv;

/// A stream of numbers that depends only on the sweep's seed, the number of the trial and the name of the stream.
#[derive(Clone, Debug)]
pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn new(seed: i64, trial: i64, stream: &str) -> Self {
        Self(mix(mix(seed as u64).wrapping_add(trial as u64)) ^ key(stream))
    }

    /// A number in the open interval (0, 1), of 53 bits.
    pub(super) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        ((mix(self.0) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// An index below `count`, which is not 0.
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count.saturating_sub(1))
    }
}

/// The mass of the standard normal distribution between two points, exact in both tails.
pub(super) fn mass(low: f64, high: f64) -> f64 {
    if low > 0.0 { tail(low) - tail(high) } else { tail(-high) - tail(-low) }
}

/// The mass above a point.
fn tail(x: f64) -> f64 {
    0.5 * erfc(x * std::f64::consts::FRAC_1_SQRT_2)
}

/// A draw of a normal distribution that is cut off at both ends; its mean lies between them.
pub(super) fn truncated(mean: f64, deviation: f64, low: f64, high: f64, draws: &mut Draws) -> f64 {
    let (a, b) = (tail((mean - low) / deviation), tail((mean - high) / deviation));
    let p = a + draws.unit() * (b - a);
    (mean - deviation * std::f64::consts::SQRT_2 * erfc_inv(2.0 * p)).clamp(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_trial_and_name() {
        let first = |seed, trial, stream| Draws::new(seed, trial, stream).unit();
        assert_eq!(first(1, 2, "lr"), first(1, 2, "lr"));
        let all = [first(1, 2, "lr"), first(2, 2, "lr"), first(1, 3, "lr"), first(1, 2, "depth"), first(2, 1, "lr")];
        for (index, one) in all.iter().enumerate() {
            assert!((0.0..1.0).contains(one) && all.iter().skip(index + 1).all(|other| other != one), "{all:?}");
        }
    }

    /// Numbers of SciPy 1.17: `norm.cdf(b) - norm.cdf(a)`, in the upper tail by symmetry.
    #[test]
    fn a_mass_is_exact_in_the_tails() {
        let check = |low, high, expect: f64| {
            let got: f64 = mass(low, high);
            assert!((got / expect - 1.0).abs() < 1e-14, "{low} {high}: {got} {expect}");
        };
        check(-1.0, 1.0, 0.682_689_492_137_085_9);
        check(0.0, 2.0, 0.477_249_868_051_820_8);
        check(8.0, 9.0, 6.219_831_985_865_787e-16);
        check(-9.0, -8.0, 6.219_831_985_865_787e-16);
    }

    #[test]
    fn draws_follow_the_truncated_distribution() {
        let mut draws = Draws::new(7, 0, "x");
        let count = 20_000;
        let sample: Vec<f64> = (0..count).map(|_| truncated(1.0, 2.0, 0.0, 4.0, &mut draws)).collect();
        assert!(sample.iter().all(|x| (0.0..=4.0).contains(x)));
        // `scipy.stats.truncnorm(-0.5, 1.5, 1, 2)`: mean 1.71255, lower quartile 0.82281.
        let mean = sample.iter().sum::<f64>() / f64::from(count);
        assert!((mean - 1.71255).abs() < 0.03, "{mean}");
        let below = sample.iter().filter(|x| **x < 0.82281).count() as f64 / f64::from(count);
        assert!((below - 0.25).abs() < 0.01, "{below}");
    }
}
