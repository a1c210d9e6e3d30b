//! Texts of a window against texts of a reference.

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::frame::ColumnKind;

use super::column::{blank, ratio, share};
use crate::effect::LEAST_EXPECTED;
use crate::profile::Categorical;
use crate::report::{Bins, ColumnDrift, Status};
use crate::twosample::{chi_square, g_test, pool_rare, psi_smoothed, total_variation};

/// At most this many categories are shown one by one.
const SHOWN: usize = 20;

/// Compares; drift itself is decided by the caller, who knows how many features there are.
pub(super) fn compare(name: &str, reference: &Categorical, values: &[Option<Arc<str>>], min_rows: u64) -> ColumnDrift {
    let mut window: BTreeMap<&str, u64> = BTreeMap::new();
    for value in values.iter().flatten() {
        *window.entry(value).or_default() += 1;
    }
    let n: u64 = window.values().sum();
    let mut out = blank(name, ColumnKind::Text, Status::Ok);
    out.n = n;
    out.n_reference = reference.n;
    out.missing = share(values.len() as u64 - n, values.len() as u64, ratio(reference.missing, reference.n));
    if n < min_rows || reference.n < min_rows {
        out.status = Status::InsufficientData;
        return out;
    }
    let (names, before, now) = align(reference, &window);
    // values beyond the cap of the reference may have been seen: only a reference that kept all can call a value unseen
    let unseen = if reference.other == 0 { now.last().copied().unwrap_or(0) } else { 0 };
    out.unseen = share(unseen, n, 0.0);
    if reference.is_constant() && unseen == 0 {
        out.status = Status::Constant;
        return out;
    }
    // the test sees each new value as its own category, so that it needs no knowledge of which sample came first
    let (mut test_before, mut test_now) = (before.clone(), now.clone());
    if reference.other == 0 {
        test_before.pop();
        test_now.pop();
        let new = window.iter().filter(|(value, _)| !reference.counts.contains_key(**value));
        for (_, count) in new {
            test_before.push(0);
            test_now.push(*count);
        }
    }
    let (pooled_before, pooled_now) = pool_rare(&test_before, &test_now, LEAST_EXPECTED);
    if let Some(chi) = chi_square(&pooled_before, &pooled_now) {
        out.method = Some("chi_square".to_owned());
        out.statistic = Some(chi.statistic);
        out.p_value = Some(chi.p_value);
    }
    out.g_test = g_test(&pooled_before, &pooled_now).map(|g| (g.statistic, g.p_value));
    out.effect_name = Some("total_variation".to_owned());
    out.effect = Some(total_variation(&shares(&pooled_before), &shares(&pooled_now)));
    out.psi = psi_smoothed(&pooled_before, &pooled_now);
    out.bins = Some(bins(&names, &before, &now));
    out
}

/// Counts of the values of the reference in both samples, by value; the last is everything else.
fn align<'a>(reference: &'a Categorical, window: &BTreeMap<&str, u64>) -> (Vec<&'a str>, Vec<u64>, Vec<u64>) {
    let (mut names, mut before, mut now) = (Vec::new(), Vec::new(), Vec::new());
    for (value, count) in &reference.counts {
        names.push(&**value);
        before.push(*count);
        now.push(window.get(&**value).copied().unwrap_or(0));
    }
    let rest = window.values().sum::<u64>() - now.iter().sum::<u64>();
    names.push("(other)");
    before.push(reference.other);
    now.push(rest);
    (names, before, now)
}

fn shares(counts: &[u64]) -> Vec<f64> {
    let n = counts.iter().sum::<u64>().max(1) as f64;
    counts.iter().map(|&count| count as f64 / n).collect()
}

/// The most frequent values of the reference, and the others together.
fn bins(names: &[&str], before: &[u64], now: &[u64]) -> Bins {
    let values = names.len() - 1;
    let mut order: Vec<usize> = (0..values).collect();
    order.sort_by(|a, b| before[*b].cmp(&before[*a]).then(a.cmp(b)));
    order.truncate(SHOWN);
    let pick = |counts: &[u64]| -> Vec<u64> {
        let shown: Vec<u64> = order.iter().map(|&index| counts[index]).collect();
        let rest = counts.iter().sum::<u64>() - shown.iter().sum::<u64>();
        shown.into_iter().chain([rest]).collect()
    };
    let labels = order.iter().map(|&index| names[index].to_owned()).chain(["(other)".to_owned()]).collect();
    Bins { labels, reference: pick(before), window: pick(now) }
}
