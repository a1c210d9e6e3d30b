//! What the comparisons of numbers and of texts have in common.

use kernel::frame::{Column, ColumnKind};

use crate::effect;
use crate::profile::Distribution;
use crate::report::{ColumnDrift, Share, Status};
use crate::special::wilson;

/// A comparison in which nothing has been compared yet.
pub(super) fn blank(name: &str, kind: ColumnKind, status: Status) -> ColumnDrift {
    ColumnDrift {
        name: name.to_owned(),
        kind,
        status,
        strong: false,
        method: None,
        statistic: None,
        p_value: None,
        q_value: None,
        effect_name: None,
        effect: None,
        psi: None,
        g_test: None,
        n: 0,
        n_reference: 0,
        mean: None,
        missing: share(0, 0, 0.0),
        unseen: share(0, 0, 0.0),
        bins: None,
    }
}

/// A share with its interval.
pub(super) fn share(count: u64, n: u64, reference: f64) -> Share {
    let (low, high) = wilson(count, n);
    Share { count, n, value: if n == 0 { 0.0 } else { count as f64 / n as f64 }, low, high, reference }
}

/// `part / (part + rest)`, 0 if there is nothing.
pub(super) fn ratio(part: u64, rest: u64) -> f64 {
    if part + rest == 0 { 0.0 } else { part as f64 / (part + rest) as f64 }
}

/// A feature that is not in the window, or of another kind there. A column that is not there at all counts as all missing only if
/// there are rows; it has none to count, so it is left at zero.
pub(super) fn not_applicable(name: &str, reference: &Distribution, column: Option<&Column>) -> ColumnDrift {
    let mut blank = blank(name, reference.kind(), Status::NotApplicable);
    let (n, missing) = reference.sizes();
    blank.n_reference = n;
    blank.n = column.map_or(0, Column::len) as u64;
    blank.missing.reference = ratio(missing, n);
    blank
}

/// Grades a difference that is real by its effect.
pub(super) fn grade(column: &mut ColumnDrift) {
    let Some(size) = column.effect else { return };
    let (least, strong) = match column.effect_name.as_deref() {
        Some("wasserstein_sigma") => (effect::NUMBER, effect::STRONG_NUMBER),
        _ => (effect::TEXT, effect::STRONG_TEXT),
    };
    if size >= least {
        column.status = Status::Drift;
        column.strong = size >= strong;
    }
}
