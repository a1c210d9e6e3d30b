//! Two-sample comparisons: tests with p-values that agree with SciPy, and distances.
//!
//! Everything is a pure function of its inputs. Inputs that a test has no answer for (an empty side, a single category) give `None`
//! instead of a `NaN`. Missing values are the caller's to remove; [`clean`] does it.

mod adjust;
mod counts;
mod distance;
pub mod evidently;
mod ks;

pub use adjust::benjamini_hochberg;
pub use counts::{Chi, chi_square, cramers_v, g_test, goodness_of_fit, goodness_of_fit_g, pool_rare};
pub use distance::{
    jensen_shannon, kullback_leibler, largest_difference, psi, psi_smoothed, total_variation, wasserstein,
};
pub(crate) use ks::asymptotic_p_value;
pub use ks::{Ks, Method, ks, ks_sorted};

/// The finite values, sorted.
pub fn clean(values: &[f64]) -> Vec<f64> {
    let mut kept: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    kept.sort_unstable_by(f64::total_cmp);
    kept
}
