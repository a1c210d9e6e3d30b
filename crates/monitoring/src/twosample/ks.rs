//! The two-sample Kolmogorov-Smirnov test, two-sided. The switch between exact and asymptotic is SciPy's (`ks_2samp`), so that
//! p-values agree.

use crate::special::kolmogorov_sf;

/// Samples no larger than this are tested exactly by [`Method::Auto`].
const EXACT_UP_TO: usize = 10_000;
/// [`Method::Bounded`] does not walk over more cells of the lattice than this (about 5 ms).
const CELLS: f64 = 1e6;

/// How the p-value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// As SciPy's `method="auto"`: exact up to 10,000 values a side.
    Auto,
    /// From the distribution of one sample of the harmonic size.
    Asymptotic,
    /// Exact where that takes no more than a few milliseconds; for monitors, which must keep pace.
    Bounded,
}

/// The result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ks {
    /// The largest distance between the two distribution functions.
    pub statistic: f64,
    /// The probability of at least that distance if nothing has changed.
    pub p_value: f64,
    /// True if the p-value is exact.
    pub exact: bool,
}

/// Compares two samples; values that are not finite are left out. `None` if a side is empty.
pub fn ks(a: &[f64], b: &[f64], method: Method) -> Option<Ks> {
    ks_sorted(&super::clean(a), &super::clean(b), method)
}

/// Compares two sorted samples of finite values. `None` if a side is empty.
pub fn ks_sorted(a: &[f64], b: &[f64], method: Method) -> Option<Ks> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let statistic = largest_gap(a, b);
    let (large, small) = (a.len().max(b.len()), a.len().min(b.len()));
    let exact = match method {
        Method::Auto => large <= EXACT_UP_TO,
        Method::Asymptotic => false,
        Method::Bounded => large <= EXACT_UP_TO && cells(large, small, statistic) <= CELLS,
    };
    if exact {
        let (statistic, p_value) = exact_p_value(a.len() as i64, b.len() as i64, statistic);
        if (0.0..=1.0).contains(&p_value) {
            return Some(Ks { statistic, p_value, exact: true });
        }
    }
    Some(Ks { statistic, p_value: asymptotic_p_value(a.len() as f64, b.len() as f64, statistic), exact: false })
}

fn cells(large: usize, small: usize, statistic: f64) -> f64 {
    if large == small { 0.0 } else { large as f64 * (2.0 * statistic * small as f64 + 2.0).min(small as f64 + 1.0) }
}

/// The asymptotic p-value for sizes and a statistic.
pub(crate) fn asymptotic_p_value(n: f64, m: f64, statistic: f64) -> f64 {
    let (large, small) = (n.max(m), n.min(m));
    kolmogorov_sf((large * small / (large + small)).round_ties_even() as u64, statistic)
}

/// `max |F_a - F_b|` over all values.
pub(crate) fn largest_gap(a: &[f64], b: &[f64]) -> f64 {
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (mut i, mut j, mut gap) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let at = a[i].min(b[j]);
        while i < a.len() && a[i] <= at {
            i += 1;
        }
        while j < b.len() && b[j] <= at {
            j += 1;
        }
        gap = gap.max((i as f64 / n - j as f64 / m).abs());
    }
    gap
}

/// The statistic, rounded to the lattice it lives on, and its exact p-value.
fn exact_p_value(n: i64, m: i64, statistic: f64) -> (f64, f64) {
    let divisor = greatest_common_divisor(n, m);
    let least_multiple = (n / divisor) * m;
    let h = (statistic * least_multiple as f64).round_ties_even() as i64;
    let statistic = h as f64 / least_multiple as f64;
    let p_value = match h {
        0 => 1.0,
        h if n == m => outside_square(n, h),
        h => outside_band(n.max(m), n.min(m), divisor, h),
    };
    (statistic, p_value)
}

fn greatest_common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The share of lattice paths from (0, 0) to (n, n) that leave the band `|x - y| < h`: an alternating sum of binomial ratios,
/// nested so that nothing overflows (Hodges 1958).
fn outside_square(n: i64, h: i64) -> f64 {
    let mut outside = 0.0;
    for k in (0..=n / h).rev() {
        let mut ratio = 1.0;
        for j in 0..h {
            ratio = (n - k * h - j) as f64 * ratio / (n + k * h + j + 1) as f64;
        }
        outside = ratio * (1.0 - outside);
    }
    2.0 * outside
}

/// The share of lattice paths from (0, 0) to (m, n) that leave the band `|x n - y m| < h g`, by the recursion over the cells
/// inside the band: the chance to have left is carried, so that small p-values keep all their digits.
fn outside_band(m: i64, n: i64, divisor: i64, h: i64) -> f64 {
    let (mg, ng) = (m / divisor, n / divisor);
    let ceil = |x: i64| x.div_euclid(mg) + i64::from(x.rem_euclid(mg) != 0);
    let (mut from, mut until) = (0, ceil(h).min(n + 1));
    let length = (2 * until + 2).min(n + 1) as usize;
    let mut left = vec![1.0; length];
    left[..until as usize].fill(0.0);
    for i in 1..=m {
        let (last_from, last_length) = (from, until - from);
        from = ((ng * i - h).div_euclid(mg) + 1).max(0).min(n);
        until = ceil(ng * i + h).min(n + 1);
        if until <= from {
            return 1.0;
        }
        let shift = (from - last_from) as usize;
        let mut value = if from == 0 { 0.0 } else { 1.0 };
        for cell in 0..(until - from) as usize {
            let j = from + cell as i64;
            value = (left[cell + shift] * i as f64 + value * j as f64) / (i + j) as f64;
            left[cell] = value;
        }
        let length = until - from;
        if last_length > length {
            left[length as usize..last_length as usize].fill(1.0);
        }
    }
    left[(until - from - 1) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_side_has_no_answer() {
        assert_eq!(ks(&[], &[1.0], Method::Auto), None);
        assert_eq!(ks(&[f64::NAN], &[1.0], Method::Auto), None);
    }

    #[test]
    fn equal_samples_do_not_differ() {
        let same = ks(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0], Method::Auto).unwrap();
        assert_eq!((same.statistic, same.p_value, same.exact), (0.0, 1.0, true));
    }

    #[test]
    fn the_bounded_method_is_exact_on_small_samples_only() {
        let near: Vec<f64> = (0..9_000).map(f64::from).collect();
        let far: Vec<f64> = (0..8_999).map(|x| f64::from(x) + 6_000.5).collect();
        assert!(!ks_sorted(&near, &far, Method::Bounded).unwrap().exact);
        assert!(ks_sorted(&near[..500], &far[..300], Method::Bounded).unwrap().exact);
    }
}
