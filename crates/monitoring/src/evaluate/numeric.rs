//! Numbers of a window against numbers of a reference.

use kernel::frame::ColumnKind;

use super::column::{blank, ratio, share};
use crate::profile::{Numeric, bin_counts};
use crate::report::{Bins, ColumnDrift, Status};
use crate::twosample::{Ks, Method, clean, ks_sorted, psi_smoothed, wasserstein};

/// Compares; drift itself is decided by the caller, who knows how many features there are.
pub(super) fn compare(name: &str, reference: &Numeric, values: &[f64], min_rows: u64) -> ColumnDrift {
    let window = clean(values);
    let n = window.len() as u64;
    let mut out = blank(name, ColumnKind::Number, Status::Ok);
    out.n = n;
    out.n_reference = reference.n;
    out.missing = share(values.len() as u64 - n, values.len() as u64, ratio(reference.missing, reference.n));
    if n < min_rows || reference.n < min_rows {
        out.status = Status::InsufficientData;
        return out;
    }
    let inside = window.partition_point(|x| *x <= reference.max) - window.partition_point(|x| *x < reference.min);
    out.unseen = share(n - inside as u64, n, 0.0);
    out.mean = Some((window.iter().map(|x| x / n as f64).sum(), reference.mean));
    if reference.is_constant() && window.first() == window.last() && window.first() == Some(&reference.min) {
        out.status = Status::Constant;
        return out;
    }
    if let Some(result) = test(reference, &window) {
        out.method = Some(if result.exact { "ks_exact" } else { "ks_asymptotic" }.to_owned());
        out.statistic = Some(result.statistic);
        out.p_value = Some(result.p_value);
    }
    let counts = bin_counts(&window, &reference.deciles);
    out.psi = psi_smoothed(&reference.decile_counts, &counts).filter(|psi| psi.is_finite());
    let (effect_name, effect) = effect(reference, &window);
    out.effect_name = Some(effect_name.to_owned());
    out.effect = effect.filter(|effect| effect.is_finite());
    out.bins = Some(Bins {
        labels: reference.deciles.iter().map(ToString::to_string).collect(),
        reference: reference.decile_counts.clone(),
        window: counts,
    });
    out
}

/// Kolmogorov-Smirnov. Where the reference keeps only some of its values, its distribution function is off by at most half a step
/// (and one value); the statistic is lowered by that, so that the p-value with the full size is never too small.
fn test(reference: &Numeric, window: &[f64]) -> Option<Ks> {
    if reference.is_whole() {
        return ks_sorted(&reference.sample, window, Method::Bounded);
    }
    let coarse = ks_sorted(&reference.sample, window, Method::Asymptotic)?;
    let error = 0.5 / reference.sample.len() as f64 + 1.0 / reference.n as f64;
    let statistic = (coarse.statistic - error).max(0.0);
    let p_value = crate::twosample::asymptotic_p_value(reference.n as f64, window.len() as f64, statistic);
    Some(Ks { statistic, p_value, exact: false })
}

/// The Wasserstein distance in robust standard deviations of the reference; for a constant reference the share of other values.
fn effect(reference: &Numeric, window: &[f64]) -> (&'static str, Option<f64>) {
    let scale = reference.scale();
    if scale > 0.0 {
        return ("wasserstein_sigma", wasserstein(&reference.sample, window).map(|distance| distance / scale));
    }
    let same = window.partition_point(|x| *x <= reference.max) - window.partition_point(|x| *x < reference.max);
    ("changed_share", Some(1.0 - same as f64 / window.len() as f64))
}
