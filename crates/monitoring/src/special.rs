//! Special functions: tails of the distributions that tests need, to about 1e-12 relative.

mod kolmogorov;

use statrs::distribution::{ContinuousCDF, StudentsT};

pub use kolmogorov::{kolmogorov_sf, smirnov_sf};

/// `ln(2 pi)`.
pub(crate) const LN_2PI: f64 = 1.837_877_066_409_345_3;

/// Upper tail of the chi-square distribution; 1 for a statistic of 0 or without degrees of freedom.
pub fn chi_square_sf(statistic: f64, degrees: f64) -> f64 {
    if statistic <= 0.0 || degrees <= 0.0 {
        return 1.0;
    }
    if statistic.is_infinite() {
        return 0.0;
    }
    statrs::function::gamma::checked_gamma_ur(degrees / 2.0, statistic / 2.0).unwrap_or(1.0).clamp(0.0, 1.0)
}

/// Upper tail of the standard normal distribution.
pub fn normal_sf(z: f64) -> f64 {
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

/// The quantile of the standard normal distribution.
pub fn normal_quantile(p: f64) -> f64 {
    -std::f64::consts::SQRT_2 * statrs::function::erf::erfc_inv(2.0 * p)
}

/// The quantile of Student's t distribution; the normal one beyond a million degrees of freedom or if there are none.
pub fn student_quantile(p: f64, degrees: f64) -> f64 {
    if degrees > 1e6 {
        return normal_quantile(p);
    }
    StudentsT::new(0.0, 1.0, degrees).map_or_else(|_| normal_quantile(p), |t| t.inverse_cdf(p))
}

/// The 97.5 % point of the standard normal distribution.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % interval of a share.
pub fn wilson(count: u64, n: u64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, p, z2) = (n as f64, count as f64 / n as f64, Z_95 * Z_95);
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z_95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // the bounds of none and all are 0 and 1 but for rounding
    let low = if count == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if count as f64 == n { 1.0 } else { (centre + half).min(1.0) };
    (low, high)
}

/// `ln(n!) - ln(sqrt(2 pi n) (n / e)^n)`: the error of Stirling's formula (Loader 2000), the key to binomial
/// probabilities without cancellation.
pub(crate) fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        // lgamma of small arguments is exact to the last digits, and so is this difference
        return libm::lgamma(n + 1.0) - (n + 0.5) * n.max(f64::MIN_POSITIVE).ln() + n - 0.5 * LN_2PI;
    }
    let r = 1.0 / (n * n);
    (1.0 / 12.0
        - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r * (1.0 / 1680.0 - r * (1.0 / 1188.0 - r * 691.0 / 360_360.0)))))
        / n
}

/// Rows of three numbers, as SciPy gave them.
#[cfg(test)]
fn golden(text: &str) -> Vec<[f64; 3]> {
    let row = |line: &str| {
        let numbers: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        [numbers[0], numbers[1], numbers[2]]
    };
    text.lines().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(have: f64, want: f64, relative: f64) {
        assert!((have - want).abs() <= relative * want.abs(), "{have:e} is not {want:e}");
    }

    #[test]
    fn tails_agree_with_scipy() {
        for [degrees, statistic, want] in golden(include_str!("../tests/golden/chi_square.csv")) {
            near(chi_square_sf(statistic, degrees), want, 1e-11);
        }
        assert_eq!(chi_square_sf(0.0, 3.0), 1.0);
        assert_eq!(chi_square_sf(f64::INFINITY, 3.0), 0.0);
        // scipy.stats.norm.sf, norm.ppf, t.ppf
        near(normal_sf(1.0), 0.15865525393145707, 1e-14);
        near(normal_sf(20.0), 2.7536241186061556e-89, 1e-12);
        near(normal_quantile(0.975), Z_95, 1e-14);
        near(student_quantile(0.975, 1.0), 12.706204736432099, 1e-9);
        near(student_quantile(0.975, 7.0), 2.364624251592784, 1e-9);
        near(student_quantile(0.975, 3333.0), 1.9606759912291272, 1e-9);
    }

    #[test]
    fn wilson_agrees_with_statsmodels() {
        // statsmodels.stats.proportion.proportion_confint(364, 500, method="wilson")
        let (low, high) = wilson(364, 500);
        near(low, 0.6873673929547526, 1e-12);
        near(high, 0.7651559077947796, 1e-12);
        assert_eq!(wilson(0, 0), (0.0, 1.0));
        assert_eq!(wilson(0, 50).0, 0.0);
        assert_eq!(wilson(50, 50).1, 1.0);
    }

    #[test]
    fn stirling_error_is_smooth_where_the_formulas_meet() {
        near(stirling_error(15.999_999), stirling_error(16.0), 1e-6);
        near(stirling_error(1.0), 0.081061466795327, 1e-11);
        near(stirling_error(100.0), 0.000833330555634908, 1e-12);
    }
}
