//! A window evaluated: every status, nothing that is not a number, the same to the bit.

use std::sync::Arc;

use kernel::frame::{Cell, Column, Frame};
use rondo_monitoring::monitor::Monitor;
use rondo_monitoring::profile::{Profile, Subject};
use rondo_monitoring::quality::Metric;
use rondo_monitoring::report::{ColumnDrift, Kind, Status, WindowReport};
use rondo_monitoring::task::Task;
use rondo_monitoring::twosample;
use rondo_monitoring::window::evaluate;
use telemetry::Rows;

use crate::support::{Dice, due, flights, rows};

fn monitor() -> Monitor {
    Monitor::new("m", "d")
}

fn reference(version: &str) -> Profile {
    let past = flights(&mut Dice(1), 2_000, 0.0, 0.0, version);
    let mut profile = Profile::of(&past.features, Some(&past.scores)).with_task(Task::binary());
    profile.subject = Some(Subject { model: "flights".into(), version: version.into(), digest: "abc".into() });
    profile
}

fn report(window: &Rows) -> WindowReport {
    evaluate(&monitor(), Some(&reference("1")), window, &due(&monitor(), 0, Kind::Mature))
}

fn status(report: &WindowReport, feature: &str) -> Status {
    report.drift.feature(feature).unwrap().status
}

#[test]
fn the_same_distribution_is_ok_and_another_is_drift() {
    let same = report(&flights(&mut Dice(2), 1_000, 0.0, 0.0, "1"));
    assert_eq!((status(&same, "x"), status(&same, "c")), (Status::Ok, Status::Ok));
    assert_eq!((same.drift.compared, same.drift.drifted, same.drift.share()), (2, 0, Some(0.0)));
    assert_eq!(same.drift.prediction.as_ref().unwrap().status, Status::Ok);

    let moved = report(&flights(&mut Dice(3), 1_000, 0.5, 0.0, "1"));
    let x = moved.drift.feature("x").unwrap();
    assert_eq!((x.status, x.strong), (Status::Drift, true), "{x:?}");
    assert!((x.effect.unwrap() - 0.5).abs() < 0.1, "{x:?}");
    assert!(x.psi.unwrap() > 0.1 && x.p_value.unwrap() < 1e-9);
    assert_eq!(x.method.as_deref(), Some("ks_exact"));
    assert_eq!((moved.drift.drifted, moved.drift.strong_share()), (1, Some(0.5)));
    assert!(moved.drift.prediction.unwrap().strong);
}

#[test]
fn the_same_rows_give_the_same_report_to_the_bit_and_it_survives_json() {
    let window = flights(&mut Dice(4), 1_500, 0.1, 0.05, "1");
    let text = serde_json::to_string(&report(&window)).unwrap();
    assert_eq!(text, serde_json::to_string(&report(&window)).unwrap());
    let back: WindowReport = serde_json::from_str(&text).unwrap();
    assert_eq!(back, report(&window));
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
}

#[test]
fn few_rows_are_not_compared_and_no_rows_are_no_error() {
    let few = report(&flights(&mut Dice(5), 50, 3.0, 0.0, "1"));
    assert_eq!((status(&few, "x"), status(&few, "c")), (Status::InsufficientData, Status::InsufficientData));
    assert_eq!((few.drift.compared, few.drift.share()), (0, None));
    let none = report(&Rows::default());
    assert_eq!((none.n, none.outcomes), (0, 0));
    assert_eq!(status(&none, "x"), Status::NotApplicable);
    assert!(none.quality.is_empty() && none.versions.is_empty());
}

#[test]
fn a_feature_that_is_gone_or_of_another_kind_cannot_be_compared() {
    let mut window = flights(&mut Dice(6), 300, 0.0, 0.0, "1");
    window.features = Frame::new(vec!["x".into()], vec![Column::Text(vec![Some(Arc::from("1")); 300])]).unwrap();
    let report = report(&window);
    assert_eq!((status(&report, "x"), status(&report, "c")), (Status::NotApplicable, Status::NotApplicable));
}

#[test]
fn without_a_reference_there_is_quality_and_no_drift() {
    let window = flights(&mut Dice(7), 500, 0.0, 0.0, "1");
    let report = evaluate(&monitor(), None, &window, &due(&monitor(), 0, Kind::Drift));
    assert!(report.drift.features.is_empty() && report.reference.is_none());
    let auc = report.measure("auc").unwrap();
    assert!(auc.value.unwrap() > 0.6 && auc.low < auc.value && auc.value < auc.high);
    assert_eq!((auc.n, auc.provisional, report.provisional), (500, true, true));
}

/// Compares one column with a reference column.
fn one(before: Column, now: Column) -> ColumnDrift {
    let frame = |column: Column| Frame::new(vec!["f".into()], vec![column]).unwrap();
    let n = now.len();
    let window = rows(frame(now), vec![0.5; n], vec![Cell::Missing; n], "1");
    let profile = Profile::of(&frame(before), None);
    let mut features = evaluate(&monitor(), Some(&profile), &window, &due(&monitor(), 0, Kind::Drift)).drift.features;
    features.remove(0)
}

fn texts(values: &[(&str, usize)]) -> Column {
    Column::Text(values.iter().flat_map(|(value, n)| vec![Some(Arc::from(*value)); *n]).collect())
}

#[test]
fn constant_columns_have_a_status_of_their_own() {
    assert_eq!(one(Column::Number(vec![7.0; 300]), Column::Number(vec![7.0; 300])).status, Status::Constant);
    assert_eq!(one(texts(&[("a", 300)]), texts(&[("a", 300)])).status, Status::Constant);
    let changed = one(Column::Number(vec![7.0; 300]), Column::Number([vec![7.0; 240], vec![8.0; 60]].concat()));
    assert_eq!((changed.status, changed.effect_name.as_deref()), (Status::Drift, Some("changed_share")));
    assert!((changed.effect.unwrap() - 0.2).abs() < 1e-12);
    assert_eq!(changed.unseen.count, 60);
    let other = one(texts(&[("a", 300)]), texts(&[("b", 300)]));
    assert_eq!((other.status, other.strong, other.unseen.value), (Status::Drift, true, 1.0));
}

#[test]
fn missing_and_unseen_values_are_counted_with_intervals() {
    let before = texts(&[("a", 500), ("b", 500)]);
    let mut now = vec![Some(Arc::from("a")); 200];
    now.extend(vec![Some(Arc::from("b")); 200]);
    now.extend(vec![Some(Arc::from("new")); 20]);
    now.extend(vec![None; 80]);
    let drift = one(before, Column::Text(now));
    assert_eq!((drift.missing.count, drift.missing.n, drift.missing.value), (80, 500, 0.16));
    assert!(drift.missing.low < 0.16 && 0.16 < drift.missing.high && drift.missing.reference == 0.0);
    assert_eq!((drift.unseen.count, drift.unseen.n), (20, 420));
    let bins = drift.bins.unwrap();
    assert_eq!(bins.labels, ["a", "b", "(other)"]);
    assert_eq!((bins.reference, bins.window), (vec![500, 500, 0], vec![200, 200, 20]));

    let numbers = |range: std::ops::Range<i32>| Column::Number(range.map(f64::from).collect());
    let outside = one(numbers(0..1_000), numbers(500..1_100));
    assert_eq!((outside.unseen.count, outside.unseen.n), (100, 600));
    let infinite = one(numbers(0..1_000), Column::Number([vec![5.0; 300], vec![f64::INFINITY; 100]].concat()));
    assert_eq!((infinite.missing.count, infinite.n), (100, 300));
}

#[test]
fn a_reference_that_keeps_a_sample_only_still_tests_with_all_its_rows() {
    let normal = |seed, n, shift| {
        let mut dice = Dice(seed);
        (0..n).map(|_| dice.normal() + shift).collect::<Vec<f64>>()
    };
    for seed in 0..8 {
        let (before, now) = (normal(seed, 30_000, 0.0), normal(100 + seed, 20_000, 0.04));
        let whole = twosample::ks(&before, &now, twosample::Method::Asymptotic).unwrap();
        let drift = one(Column::Number(before), Column::Number(now));
        assert_eq!(drift.method.as_deref(), Some("ks_asymptotic"));
        let (have, want) = (drift.p_value.unwrap(), whole.p_value);
        // never more certain than all the rows are, and hardly less
        assert!(have >= want && have < 10.0 * want, "{have:e} {want:e}");
        assert!((drift.statistic.unwrap() - whole.statistic).abs() < 3e-4);
    }
}

#[test]
fn prediction_drift_and_quality_are_of_the_version_that_answered() {
    let mut window = flights(&mut Dice(8), 1_000, 0.0, 0.0, "1");
    for row in 600..1_000 {
        window.versions[row] = "2".into();
        window.scores[row] = 0.99;
    }
    let report = report(&window);
    let prediction = report.drift.prediction.as_ref().unwrap();
    assert_eq!((prediction.n, prediction.status), (600, Status::Ok));
    let answered: Vec<_> = report.versions.iter().map(|rows| (rows.version.as_str(), rows.rows)).collect();
    assert_eq!(answered, [("1", 600), ("2", 400)]);
    assert_eq!(report.dominant_version(), Some("1"));
    let brier = |version: &str| {
        let rows = report.version(version).unwrap();
        rows.quality.iter().find(|measure| measure.metric == Metric::Brier).unwrap().value.unwrap()
    };
    assert!(brier("2") > brier("1") + 0.1);
}

#[test]
fn quality_counts_known_outcomes_only_and_one_class_has_no_auc() {
    let mut window = flights(&mut Dice(9), 600, 0.0, 0.0, "1");
    for row in 0..600 {
        window.outcomes[row] = if row < 400 { Cell::Number(0.0) } else { Cell::Missing };
    }
    window.scores[0] = f64::NAN;
    let report = report(&window);
    assert_eq!((report.n, report.outcomes), (600, 400));
    let auc = report.measure("auc").unwrap();
    assert_eq!((auc.n, auc.value, auc.low), (399, None, None));
    assert_eq!(report.measure("brier").unwrap().n, 399);
    let text = serde_json::to_string(&report).unwrap();
    assert!(!text.contains("NaN"), "{text}");
}

#[test]
fn the_task_is_guessed_from_outcomes_when_nobody_said_it() {
    let mut window = flights(&mut Dice(10), 300, 0.0, 0.0, "1");
    let metrics = |window: &Rows, monitor: &Monitor| -> Vec<&'static str> {
        let report = evaluate(monitor, None, window, &due(monitor, 0, Kind::Mature));
        report.quality.iter().map(|measure| measure.metric.as_str()).collect()
    };
    assert_eq!(metrics(&window, &monitor()), ["auc", "log_loss", "brier", "ece", "accuracy"]);
    window.outcomes[0] = Cell::Number(17.5);
    assert_eq!(metrics(&window, &monitor()), ["mae", "rmse", "bias"]);
    let told = Monitor { task: Some(Task::binary()), ..monitor() };
    assert_eq!(metrics(&window, &told).len(), 5);
    window.outcomes[0] = Cell::Text("late".into());
    assert!(metrics(&window, &monitor()).is_empty());
}

#[test]
fn the_interval_of_each_metric_covers_the_truth_as_often_as_it_says() {
    // the true values, from a million rows
    let truth = evaluate(
        &monitor(),
        None,
        &flights(&mut Dice(11), 1_000_000, 0.0, 0.1, "1"),
        &due(&monitor(), 0, Kind::Mature),
    );
    let mut covered = [0; 4];
    let metrics = ["auc", "log_loss", "brier", "ece"];
    for round in 0..200 {
        let window = flights(&mut Dice(5_000 + round), 500, 0.0, 0.1, "1");
        let report = evaluate(&monitor(), None, &window, &due(&monitor(), 0, Kind::Mature));
        for (index, metric) in metrics.iter().enumerate() {
            let want = truth.measure(metric).unwrap().value.unwrap();
            let (_, low, high) = report.measure(metric).unwrap().complete().unwrap();
            covered[index] += u32::from(low <= want && want <= high);
        }
    }
    // 95 % of 200 is 190; 181 is three standard deviations below. The calibration error is the one that is not a mean.
    for (metric, covered) in metrics.iter().zip(covered) {
        assert!(covered >= if *metric == "ece" { 170 } else { 181 }, "{metric}: {covered} of 200");
    }
}

#[test]
fn a_model_that_is_right_about_its_chances_may_have_no_calibration_error_at_all() {
    // the error of any sample is above zero, so an interval around it would never hold the truth
    let mut held = 0;
    for round in 0..60 {
        let window = flights(&mut Dice(9_000 + round), 500, 0.0, 0.0, "1");
        let report = evaluate(&monitor(), None, &window, &due(&monitor(), 0, Kind::Mature));
        let (value, low, high) = report.measure("ece").unwrap().complete().unwrap();
        assert!(0.0 < value && value <= high && high < 0.15);
        held += u32::from(low == 0.0);
    }
    // 95 % of 60 is 57
    assert!(held >= 52, "{held} of 60");
}
