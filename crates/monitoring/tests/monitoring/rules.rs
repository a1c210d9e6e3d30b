//! Rules on reports made by hand: bounds are passed by intervals and tests, not by point estimates.

use rondo_monitoring::monitor::Monitor;
use rondo_monitoring::profile::Subject;
use rondo_monitoring::quality::{Measure, Metric};
use rondo_monitoring::report::{Kind, Share, Status, VersionRows, WindowReport};
use rondo_monitoring::rule::{Baseline, Level, On, Op, Rule, judge};
use rondo_monitoring::window::evaluate;

use crate::support::{Dice, due, flights};

fn measure(metric: Metric, value: f64, half: f64) -> Measure {
    let (low, high) = (Some(value - half), Some(value + half));
    Measure { metric, value: Some(value), low, high, n: 1_000, provisional: false }
}

/// A report with this quality, of one version.
fn report(kind: Kind, quality: Vec<Measure>) -> WindowReport {
    let monitor = Monitor::new("m", "d");
    let window = flights(&mut Dice(1), 1_000, 0.0, 0.0, "1");
    let profile = rondo_monitoring::profile::Profile::of(&window.features, Some(&window.scores));
    let mut report = evaluate(&monitor, Some(&profile), &window, &due(&monitor, 0, kind));
    report.reference = Some(Subject { model: "f".into(), version: "1".into(), digest: "d".into() });
    report.versions = vec![VersionRows { version: "1".into(), rows: 1_000, outcomes: 1_000, quality: quality.clone() }];
    report.quality = quality;
    report
}

fn level(rule: &Rule, report: &WindowReport, baseline: Option<&Measure>) -> Option<Level> {
    judge(rule, report, 200, baseline).map(|judgement| judgement.level)
}

#[test]
fn an_absolute_bound_is_passed_by_the_whole_interval() {
    let check = |metric: Metric, bound: f64, value: f64, half: f64, expect: Level| {
        let rule = Rule::new("r", On::Quality, metric.as_str(), bound);
        let have = level(&rule, &report(Kind::Mature, vec![measure(metric, value, half)]), None);
        assert_eq!(have, Some(expect), "{metric:?} {value} +- {half} against {bound}");
    };
    check(Metric::Brier, 0.20, 0.18, 0.01, Level::Well);
    check(Metric::Brier, 0.20, 0.21, 0.02, Level::Near);
    check(Metric::Brier, 0.20, 0.23, 0.02, Level::Beyond);
    check(Metric::Auc, 0.70, 0.75, 0.02, Level::Well);
    check(Metric::Auc, 0.70, 0.69, 0.02, Level::Near);
    check(Metric::Auc, 0.70, 0.66, 0.02, Level::Beyond);
}

#[test]
fn a_relative_bound_counts_the_doubt_about_the_baseline_too() {
    let check = |value: f64, half: f64, base_half: f64, expect: Level| {
        let rule = Rule::new("r", On::Quality, "brier", 0.02).relative_to(Baseline::FirstWindow);
        let report = report(Kind::Mature, vec![measure(Metric::Brier, value, half)]);
        let have = level(&rule, &report, Some(&measure(Metric::Brier, 0.10, base_half)));
        assert_eq!(have, Some(expect), "{value} +- {half} against 0.1 +- {base_half}");
    };
    check(0.11, 0.01, 0.01, Level::Well);
    check(0.119, 0.01, 0.01, Level::Near);
    check(0.135, 0.02, 0.001, Level::Near);
    check(0.135, 0.010, 0.001, Level::Beyond);
    check(0.135, 0.010, 0.020, Level::Near);
    let rule = Rule::new("r", On::Quality, "brier", 0.02).relative_to(Baseline::Reference);
    let mut known = report(Kind::Mature, vec![measure(Metric::Brier, 0.2, 0.01)]);
    assert_eq!(level(&rule, &known, None), None, "the reference has no quality");
    known.reference_quality = vec![measure(Metric::Brier, 0.1, 0.01)];
    assert_eq!(level(&rule, &known, None), Some(Level::Beyond));
}

#[test]
fn a_rule_may_turn_the_bad_side_round() {
    let mut rule = Rule::new("leak", On::Quality, "auc", 0.95);
    rule.op = Some(Op::Above);
    let leak = report(Kind::Mature, vec![measure(Metric::Auc, 0.99, 0.005)]);
    assert_eq!(level(&rule, &leak, None), Some(Level::Beyond));
    let fine = report(Kind::Mature, vec![measure(Metric::Auc, 0.8, 0.005)]);
    assert_eq!(level(&rule, &fine, None), Some(Level::Well));
}

#[test]
fn quality_that_is_not_final_or_of_few_rows_says_nothing() {
    let rule = Rule::new("r", On::Quality, "brier", 0.1);
    assert_eq!(level(&rule, &report(Kind::Drift, vec![measure(Metric::Brier, 0.5, 0.01)]), None), None);
    let few = Measure { n: 50, ..measure(Metric::Brier, 0.5, 0.01) };
    assert_eq!(level(&rule, &report(Kind::Mature, vec![few]), None), None);
    let no_interval = Measure { low: None, ..measure(Metric::Brier, 0.5, 0.01) };
    assert_eq!(level(&rule, &report(Kind::Mature, vec![no_interval]), None), None);
    assert_eq!(level(&rule, &report(Kind::Mature, vec![]), None), None);
}

#[test]
fn a_share_is_beyond_its_bound_with_its_whole_interval() {
    let check = |value: f64, low: f64, reference: f64, relative: bool, expect: Level| {
        let mut rule = Rule::new("r", On::Missing, "share", 0.05);
        rule.relative_to = relative.then_some(Baseline::Reference);
        let mut report = report(Kind::Drift, vec![]);
        report.drift.features[0].missing = Share { count: 1, n: 1_000, value, low, high: 1.0, reference };
        assert_eq!(level(&rule, &report, None), Some(expect), "{value} from {low}, reference {reference}");
    };
    check(0.03, 0.02, 0.0, false, Level::Well);
    check(0.06, 0.04, 0.0, false, Level::Near);
    check(0.09, 0.07, 0.0, false, Level::Beyond);
    check(0.09, 0.07, 0.03, true, Level::Near);
    check(0.20, 0.17, 0.10, true, Level::Beyond);
}

#[test]
fn a_drift_statistic_counts_only_where_the_difference_is_real() {
    let mut rule = Rule::new("r", On::Drift, "psi", 0.1);
    rule.feature = Some("x".to_owned());
    let mut report = report(Kind::Drift, vec![]);
    let mut check = |psi: f64, q_value: f64, expect: Level| {
        report.drift.features[0].psi = Some(psi);
        report.drift.features[0].q_value = Some(q_value);
        assert_eq!(level(&rule, &report, None), Some(expect), "psi {psi} q {q_value}");
    };
    check(0.3, 0.5, Level::Well);
    check(0.3, 0.001, Level::Beyond);
    check(0.09, 0.001, Level::Near);
    check(0.01, 0.001, Level::Well);
    report.drift.features[0].status = Status::InsufficientData;
    assert_eq!(level(&rule, &report, None), None);
    rule.feature = Some("unknown".to_owned());
    assert_eq!(level(&rule, &report, None), None);
}
