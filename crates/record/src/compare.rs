//! How close two runs are: metric by metric, the last value and the whole history by step.

use std::collections::BTreeMap;

use serde::Serialize;

/// The tolerance of metrics for which none was given: relative, far above the noise of sums in another order and far below
/// anything that a person would call another result.
pub const DEFAULT: Tolerance = Tolerance { size: 1e-6, relative: true };

/// How far two values may be apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerance {
    /// At most this.
    pub size: f64,
    /// Whether that is a fraction of the larger of both.
    pub relative: bool,
}

/// Tolerances by metric; `*` is for all others.
pub type Tolerances = BTreeMap<String, Tolerance>;

/// A metric's history: steps and values in the order of the steps, and at equal steps in the order of time.
pub type History = Vec<(i64, f64)>;

/// What is said about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Every value of every metric is the same to the last bit.
    Exact,
    /// Every value is within its tolerance.
    WithinTolerance,
    /// Some value is not, or some metric or step has no counterpart.
    Diverged,
    /// The run could not be repeated.
    Cannot,
}

impl Verdict {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "EXACT",
            Self::WithinTolerance => "WITHIN_TOLERANCE",
            Self::Diverged => "DIVERGED",
            Self::Cannot => "CANNOT",
        }
    }
}

/// One metric of both runs.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub metric: String,
    /// The last value of the original; none if it has no such metric.
    pub original: Option<f64>,
    /// The last value of the repetition.
    pub again: Option<f64>,
    /// Points that were compared.
    pub points: usize,
    /// The largest difference over the history, absolute.
    pub largest: f64,
    /// The first step at which the values are not within the tolerance, or have no counterpart.
    pub first_diverged_step: Option<i64>,
    /// What was allowed.
    pub tolerance: Tolerance,
    /// What is said about it.
    pub verdict: Verdict,
}

/// Compares all metrics of both runs; the verdict is that of the worst.
pub fn compare(
    original: &BTreeMap<String, History>,
    again: &BTreeMap<String, History>,
    tolerances: &Tolerances,
) -> (Verdict, Vec<Row>) {
    let mut names: Vec<&String> = original.keys().chain(again.keys()).collect();
    names.sort();
    names.dedup();
    let none = History::new();
    let row = |name: &String| {
        let of = |run: &BTreeMap<String, History>| run.get(name).unwrap_or(&none).clone();
        let tolerance = tolerances.get(name).or_else(|| tolerances.get("*")).copied().unwrap_or(DEFAULT);
        metric(name, &of(original), &of(again), tolerance)
    };
    let rows: Vec<Row> = names.into_iter().map(row).collect();
    (rows.iter().map(|row| row.verdict).max().unwrap_or(Verdict::Cannot), rows)
}

fn metric(name: &str, original: &History, again: &History, tolerance: Tolerance) -> Row {
    let mut row = Row {
        metric: name.to_owned(),
        original: original.last().map(|(_, value)| *value),
        again: again.last().map(|(_, value)| *value),
        points: original.len().min(again.len()),
        largest: 0.0,
        first_diverged_step: None,
        tolerance,
        verdict: Verdict::Exact,
    };
    for (one, other) in original.iter().zip(again) {
        let verdict = if one.0 == other.0 { value(one.1, other.1, tolerance) } else { Verdict::Diverged };
        row.verdict = row.verdict.max(verdict);
        if verdict == Verdict::Diverged && row.first_diverged_step.is_none() {
            row.first_diverged_step = Some(one.0.min(other.0));
        }
        let difference = (one.1 - other.1).abs();
        if difference > row.largest {
            row.largest = difference;
        }
    }
    if original.len() != again.len() {
        row.verdict = Verdict::Diverged;
        let longer = if original.len() > again.len() { original } else { again };
        let first = longer.get(row.points).map(|(step, _)| *step);
        row.first_diverged_step = row.first_diverged_step.or(first);
    }
    row
}

fn value(one: f64, other: f64, tolerance: Tolerance) -> Verdict {
    if one.to_bits() == other.to_bits() || (one.is_nan() && other.is_nan()) {
        return Verdict::Exact;
    }
    let scale = if tolerance.relative { one.abs().max(other.abs()) } else { 1.0 };
    // False for NaN beside a number, and for infinities that are not equal.
    let close = (one - other).abs() <= tolerance.size * scale && one.is_finite() && other.is_finite();
    if close { Verdict::WithinTolerance } else { Verdict::Diverged }
}

/// Reads `METRIC=SIZE`, `METRIC=SIZE,rel` or `METRIC=SIZE,abs`; `SIZE` alone is for all metrics. Relative if it does not say.
pub fn tolerance(text: &str) -> Result<(String, Tolerance), String> {
    let (metric, rest) = text.rsplit_once('=').unwrap_or(("*", text));
    let (size, kind) = rest.rsplit_once(',').unwrap_or((rest, "rel"));
    let relative = match kind {
        "rel" => true,
        "abs" => false,
        other => return Err(format!("`{other}` is neither rel nor abs")),
    };
    let size: f64 = size.parse().map_err(|_| format!("`{size}` is not a number: write METRIC=1e-6,rel"))?;
    if metric.is_empty() || !size.is_finite() || size < 0.0 {
        return Err("write METRIC=1e-6,rel with a number that is not negative".to_owned());
    }
    Ok((metric.to_owned(), Tolerance { size, relative }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(original: &[(i64, f64)], again: &[(i64, f64)], tolerances: &[&str]) -> (Verdict, Row) {
        let named = |history: &[(i64, f64)]| BTreeMap::from([("loss".to_owned(), history.to_vec())]);
        let tolerances = tolerances.iter().map(|text| tolerance(text).unwrap()).collect();
        let (verdict, mut rows) = compare(&named(original), &named(again), &tolerances);
        (verdict, rows.remove(0))
    }

    #[test]
    fn the_verdict_is_that_of_the_worst_point() {
        let check = |original: &[(i64, f64)], again: &[(i64, f64)], tolerances: &[&str], expect: Verdict| {
            assert_eq!(runs(original, again, tolerances).0, expect, "{original:?} {again:?} {tolerances:?}");
        };
        let nan = f64::NAN;
        check(&[(0, 1.0), (1, 0.5)], &[(0, 1.0), (1, 0.5)], &[], Verdict::Exact);
        check(&[(0, nan)], &[(0, nan)], &[], Verdict::Exact);
        check(&[(0, f64::INFINITY)], &[(0, f64::INFINITY)], &[], Verdict::Exact);
        check(&[(0, 1.0)], &[(0, 1.0 + 1e-9)], &[], Verdict::WithinTolerance);
        check(&[(0, 1.0)], &[(0, 1.0 + 1e-9)], &["0"], Verdict::Diverged);
        check(&[(0, 1.0), (1, 0.5)], &[(0, 1.1), (1, 0.5)], &[], Verdict::Diverged);
        check(&[(0, 100.0)], &[(0, 101.0)], &["loss=0.01,rel"], Verdict::WithinTolerance);
        check(&[(0, 100.0)], &[(0, 101.0)], &["loss=0.01,abs"], Verdict::Diverged);
        check(&[(0, 100.0)], &[(0, 101.0)], &["loss=1,abs"], Verdict::WithinTolerance);
        check(&[(0, 100.0)], &[(0, 101.0)], &["other=1,abs"], Verdict::Diverged);
        check(&[(0, 1.0)], &[(0, nan)], &["9"], Verdict::Diverged);
        check(&[(0, f64::INFINITY)], &[(0, f64::NEG_INFINITY)], &["9"], Verdict::Diverged);
        check(&[(0, 1.0)], &[(1, 1.0)], &["9"], Verdict::Diverged);
        check(&[(0, 1.0)], &[(0, 1.0), (1, 1.0)], &["9"], Verdict::Diverged);
        check(&[], &[(0, 1.0)], &["9"], Verdict::Diverged);
    }

    #[test]
    fn a_row_says_where_it_went_apart() {
        let (_, row) = runs(&[(0, 1.0), (1, 0.5), (2, 0.25)], &[(0, 1.0), (1, 0.75), (2, 0.5)], &[]);
        assert_eq!((row.first_diverged_step, row.largest, row.points), (Some(1), 0.25, 3));
        let (_, row) = runs(&[(0, 1.0), (5, 0.5)], &[(0, 1.0)], &[]);
        assert_eq!((row.first_diverged_step, row.again), (Some(5), Some(1.0)));
    }

    #[test]
    fn nothing_to_compare_is_no_success() {
        assert_eq!(compare(&BTreeMap::new(), &BTreeMap::new(), &Tolerances::new()).0, Verdict::Cannot);
    }

    #[test]
    fn a_tolerance_is_read() {
        let check = |text: &str, metric: &str, size: f64, relative: bool| {
            assert_eq!(tolerance(text), Ok((metric.to_owned(), Tolerance { size, relative })), "{text}");
        };
        check("1e-6", "*", 1e-6, true);
        check("0.5,abs", "*", 0.5, false);
        check("loss=1e-6,rel", "loss", 1e-6, true);
        check("a=b=2,abs", "a=b", 2.0, false);
        for text in ["loss=", "loss=x", "loss=-1", "loss=1,both", "=1", "loss=inf"] {
            assert!(tolerance(text).is_err(), "{text}");
        }
    }
}
