//! One rule against one report.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Baseline, On, Op, Rule};
use crate::quality::Measure;
use crate::report::{ColumnDrift, Kind, Share, Status, WindowReport};

/// How a window stands to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Well within the bound.
    Well,
    /// Neither beyond nor well within: an alert goes on, but none starts.
    Near,
    /// Beyond the bound, by test or interval.
    Beyond,
}

/// The judgement of a window by a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// How it stands.
    pub level: Level,
    /// The numbers behind it.
    pub evidence: Value,
}

/// Judges a report; `None` if this part of the window says nothing on the rule: too few rows, no such metric, no baseline, outcomes
/// still to come. `baseline` is the measure that a rule relative to [`Baseline::FirstWindow`] compares with.
pub fn judge(rule: &Rule, report: &WindowReport, min_rows: u64, baseline: Option<&Measure>) -> Option<Judgement> {
    let kind = if rule.on == On::Quality { Kind::Mature } else { Kind::Drift };
    if report.kind != kind {
        return None;
    }
    match rule.on {
        On::Drift => match (rule.metric.as_str(), &rule.feature) {
            ("share", _) => Some(share_of_features(rule, report, report.drift.share()?)),
            ("strong_share", _) => Some(share_of_features(rule, report, report.drift.strong_share()?)),
            (_, Some(feature)) => column(rule, report.drift.feature(feature)?),
            (_, None) => None,
        },
        On::PredictionDrift => column(rule, report.drift.prediction.as_ref()?),
        On::Missing => worst(rule, report, min_rows, |column| &column.missing),
        On::Unseen => worst(rule, report, min_rows, |column| &column.unseen),
        On::Quality => quality(rule, report, min_rows, baseline),
    }
}

fn level(beyond: bool, well: bool) -> Level {
    match (beyond, well) {
        (true, _) => Level::Beyond,
        (false, true) => Level::Well,
        (false, false) => Level::Near,
    }
}

fn share_of_features(rule: &Rule, report: &WindowReport, share: f64) -> Judgement {
    let strong_only = rule.metric == "strong_share";
    let mut drifted: Vec<&ColumnDrift> = report
        .drift
        .features
        .iter()
        .filter(|column| if strong_only { column.strong } else { column.status == Status::Drift })
        .collect();
    drifted.sort_by(|a, b| b.effect.unwrap_or(0.0).total_cmp(&a.effect.unwrap_or(0.0)));
    let features: Vec<Value> = drifted.iter().take(10).map(|column| summary(column)).collect();
    Judgement {
        level: level(
            share > 0.0 && share >= rule.threshold,
            share < rule.leave.factor * rule.threshold || share == 0.0,
        ),
        evidence: json!({
            "value": share, "threshold": rule.threshold, "n": report.n, "compared": report.drift.compared,
            "drifted": drifted.len(), "features": features,
        }),
    }
}

fn summary(column: &ColumnDrift) -> Value {
    json!({
        "feature": column.name, "effect": column.effect, "effect_name": column.effect_name, "psi": column.psi,
        "method": column.method, "statistic": column.statistic, "p_value": column.p_value, "q_value": column.q_value,
        "mean": column.mean, "n": column.n,
    })
}

/// A statistic of one column counts only where the test says that the difference is real.
fn column(rule: &Rule, column: &ColumnDrift) -> Option<Judgement> {
    if matches!(column.status, Status::InsufficientData | Status::NotApplicable) {
        return None;
    }
    let real = column.q_value.is_some_and(|q| q <= crate::effect::Q);
    let (beyond, well) = match rule.metric.as_str() {
        "detected" => (column.status == Status::Drift, column.status != Status::Drift),
        "strong" => (column.strong, column.effect.unwrap_or(0.0) < rule.leave.factor * strong_bound(column) || !real),
        name => {
            let value = match name {
                "psi" => column.psi,
                "ks" => {
                    column.statistic.filter(|_| column.method.as_deref().is_some_and(|method| method.starts_with("ks")))
                }
                _ => column.effect,
            };
            // a constant column has no statistic, and no drift
            let value = value.or_else(|| (column.status == Status::Constant).then_some(0.0))?;
            (real && value >= rule.threshold, !real || value < rule.leave.factor * rule.threshold)
        }
    };
    let mut evidence = summary(column);
    evidence["threshold"] = json!(rule.threshold);
    Some(Judgement { level: level(beyond, well), evidence })
}

fn strong_bound(column: &ColumnDrift) -> f64 {
    match column.kind {
        kernel::frame::ColumnKind::Number => crate::effect::STRONG_NUMBER,
        kernel::frame::ColumnKind::Text => crate::effect::STRONG_TEXT,
    }
}

/// A share of one feature, or of the one that is farthest beyond; the whole interval must be.
fn worst(rule: &Rule, report: &WindowReport, min_rows: u64, of: impl Fn(&ColumnDrift) -> &Share) -> Option<Judgement> {
    let named = |column: &&ColumnDrift| rule.feature.as_ref().is_none_or(|feature| *feature == column.name);
    let bound = |share: &Share| match rule.relative_to {
        Some(_) => share.reference + rule.threshold,
        None => rule.threshold,
    };
    let excess = |column: &ColumnDrift| of(column).low - bound(of(column));
    let column = report
        .drift
        .features
        .iter()
        .filter(named)
        .filter(|column| of(column).n >= min_rows)
        .max_by(|a, b| excess(a).total_cmp(&excess(b)))?;
    let share = of(column);
    let start = bound(share) - rule.threshold;
    Some(Judgement {
        level: level(share.low > bound(share), share.value <= start + rule.leave.factor * rule.threshold),
        evidence: json!({
            "feature": column.name, "value": share.value, "low": share.low, "high": share.high, "count": share.count,
            "n": share.n, "reference": share.reference, "bound": bound(share),
        }),
    })
}

/// A quality metric is beyond its bound when its interval is on the wrong side. A relative rule looks at the rows of the version whose
/// baseline it is, and counts the uncertainty of the baseline too; an absolute one looks at all rows, which is what users got.
fn quality(rule: &Rule, report: &WindowReport, min_rows: u64, first: Option<&Measure>) -> Option<Judgement> {
    let metric = rule.metric.as_str();
    let bad_above = rule.bad_side() == Op::Above;
    let (measure, baseline) = match rule.relative_to {
        None => (report.measure(metric)?, None),
        Some(kind) => {
            let version = report.version(&report.reference.as_ref()?.version)?;
            let find =
                |measures: &[Measure]| measures.iter().find(|measure| measure.metric.as_str() == metric).copied();
            let baseline = match kind {
                Baseline::Reference => find(&report.reference_quality)?,
                Baseline::FirstWindow => *first?,
            };
            (version.quality.iter().find(|measure| measure.metric.as_str() == metric)?, Some(baseline))
        }
    };
    if measure.n < min_rows {
        return None;
    }
    let (value, low, high) = measure.complete()?;
    let (start, start_low, start_high) = match &baseline {
        Some(baseline) => baseline.complete()?,
        None => (0.0, 0.0, 0.0),
    };
    // worse by so much than the baseline (or zero), and what the two intervals leave of it in the best case
    let (worse, doubt) = if bad_above {
        (value - start, (value - low).hypot(start_high - start))
    } else {
        (start - value, (high - value).hypot(start - start_low))
    };
    let allowed = if bad_above || baseline.is_some() { rule.threshold } else { -rule.threshold };
    let well = worse <= if baseline.is_some() { rule.leave.factor * allowed } else { allowed };
    Some(Judgement {
        level: level(worse - doubt > allowed, well),
        evidence: json!({
            "metric": metric, "value": value, "low": low, "high": high, "n": measure.n, "threshold": rule.threshold,
            "baseline": baseline.map(|baseline| json!({
                "value": baseline.value, "low": baseline.low, "high": baseline.high, "n": baseline.n,
            })),
            "worse_by": worse, "worse_by_at_least": worse - doubt,
        }),
    })
}
