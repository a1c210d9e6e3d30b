//! Statistics that hold: how often the shipped defaults cry wolf, and whether they see what is there.

use std::sync::Arc;

use kernel::frame::{Cell, Column, Frame};
use rondo_monitoring::effect;
use rondo_monitoring::monitor::Monitor;
use rondo_monitoring::profile::Profile;
use rondo_monitoring::report::{ColumnDrift, Kind, Status};
use rondo_monitoring::twosample::{chi_square, pool_rare};
use rondo_monitoring::window::evaluate;

use crate::support::{Dice, due, rows};

/// The columns of the false-alarm study: shapes on which fixed thresholds cry wolf.
const COLUMNS: [&str; 6] = ["normal", "lumpy", "skewed", "ten", "zipf", "binary"];

fn frame(dice: &mut Dice, n: usize, shift: f64) -> Frame {
    let zipf: Vec<f64> = (1..=200).map(|rank| 1.0 / f64::from(rank)).collect();
    let mut columns: Vec<(&str, Column)> = Vec::new();
    for name in COLUMNS {
        let mut number = |make: &dyn Fn(&mut Dice) -> f64| Column::Number((0..n).map(|_| make(dice)).collect());
        let column = match name {
            "normal" => number(&|dice| dice.normal() + shift),
            // nine of ten are the same value, as rain is
            "lumpy" => number(&|dice| if dice.uniform() < 0.9 - shift / 5.0 { 0.0 } else { dice.uniform() }),
            "skewed" => number(&|dice| (dice.normal() + shift).exp()),
            "ten" => texts(n, || dice.pick(&[1.0 + 2.0 * shift, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])),
            "zipf" => texts(n, || dice.pick(&zipf)),
            _ => texts(n, || dice.pick(&[0.9 - shift / 2.0, 0.1 + shift / 2.0])),
        };
        columns.push((name, column));
    }
    let (names, columns) = columns.into_iter().map(|(name, column)| (Arc::from(name), column)).unzip();
    Frame::new(names, columns).unwrap()
}

fn texts(n: usize, mut pick: impl FnMut() -> usize) -> Column {
    let names: Vec<Arc<str>> = (0..200).map(|index| Arc::from(format!("v{index:03}"))).collect();
    Column::Text((0..n).map(|_| Some(names[pick()].clone())).collect())
}

/// Windows of `n` rows against one reference; one column at a time, so that nothing is gained from the correction for many.
fn windows(dice: &mut Dice, n_reference: usize, n: usize, count: usize, shift: f64) -> Vec<Vec<ColumnDrift>> {
    let monitor = Monitor::new("m", "d");
    let reference = frame(dice, n_reference, 0.0);
    let alone: Vec<Profile> = reference
        .names()
        .iter()
        .zip(reference.columns())
        .map(|(name, column)| Profile::of(&Frame::new(vec![name.clone()], vec![column.clone()]).unwrap(), None))
        .collect();
    (0..count)
        .map(|index| {
            let window = rows(frame(dice, n, shift), vec![0.0; n], vec![Cell::Missing; n], "1");
            let due = due(&monitor, index as i64, Kind::Drift);
            alone.iter().flat_map(|profile| evaluate(&monitor, Some(profile), &window, &due).drift.features).collect()
        })
        .collect()
}

/// Feature-windows at which two of the last three windows of a feature drift, and feature-windows.
fn alarms(windows: &[Vec<ColumnDrift>]) -> (usize, usize) {
    let mut alarms = 0;
    for feature in 0..COLUMNS.len() {
        for three in windows.windows(3) {
            alarms += usize::from(three.iter().filter(|window| window[feature].status == Status::Drift).count() >= 2);
        }
    }
    (alarms, windows.len().saturating_sub(2) * COLUMNS.len())
}

#[test]
fn false_alarms_stay_below_one_in_a_hundred_feature_windows() {
    let (mut rejected, mut tests) = ([0; COLUMNS.len()], 0);
    for (n_reference, n, count) in
        [(20_000, 200, 60), (1_000, 200, 60), (1_000, 1_000, 40), (20_000, 1_000, 40), (300, 2_000, 30)]
    {
        // several references: the noise of one is shared by all windows that are compared with it
        let (mut bad, mut all) = (0, 0);
        for round in 0..4 {
            let mut dice = Dice(1_000 * round + n as u64 + n_reference as u64);
            let windows = windows(&mut dice, n_reference, n, count / 2, 0.0);
            let (more, of) = alarms(&windows);
            (bad, all) = (bad + more, all + of);
            tests += windows.len();
            for window in &windows {
                for (rejected, column) in rejected.iter_mut().zip(window) {
                    *rejected += usize::from(column.p_value.is_some_and(|p| p <= 0.01));
                }
            }
        }
        println!("{n_reference} v {n}: {bad} alarms in {all} feature-windows");
        assert!(bad as f64 <= 0.01 * all as f64, "{n_reference} v {n}: {bad} of {all}");
    }
    println!("of {tests} tests at 0.01 reject: {COLUMNS:?} {rejected:?}");
    for (name, rejected) in COLUMNS.iter().zip(rejected) {
        // windows that share a reference share its noise, so the count spreads more than that of independent tests
        assert!(rejected as f64 <= 0.035 * tests as f64, "{name}: {rejected} of {tests} tests reject at 0.01");
    }
}

#[test]
fn the_pooled_test_of_a_long_tail_holds_its_level() {
    let mut dice = Dice(4);
    let tail: Vec<f64> = (1..=200).map(|rank| 1.0 / f64::from(rank)).collect();
    for (n_reference, n) in [(20_000, 200), (1_000, 200), (300, 2_000)] {
        let mut rejected = 0;
        for _ in 0..600 {
            let [before, now] = [n_reference, n].map(|n| {
                let mut counts = vec![0_u64; 200];
                (0..n).for_each(|_| counts[dice.pick(&tail)] += 1);
                counts
            });
            let (before, now) = pool_rare(&before, &now, effect::LEAST_EXPECTED);
            rejected += u32::from(chi_square(&before, &now).unwrap().p_value <= 0.01);
        }
        // 1 % is 6; 14 is more than three standard deviations above
        assert!((1..=14).contains(&rejected), "{n_reference} v {n}: {rejected} of 600");
    }
}

#[test]
fn a_shift_of_a_tenth_of_a_standard_deviation_is_seen_in_five_thousand_rows() {
    let windows = windows(&mut Dice(77), 20_000, 5_000, 10, 0.1);
    for (feature, name) in COLUMNS.iter().enumerate().filter(|(_, name)| ["normal", "binary"].contains(name)) {
        let seen = windows.iter().filter(|window| window[feature].q_value.is_some_and(|q| q <= 0.01)).count();
        assert_eq!(seen, windows.len(), "{name}: {:?}", windows[0][feature]);
        let drift = windows.iter().filter(|window| window[feature].status == Status::Drift).count();
        assert!(*name != "normal" || drift == windows.len(), "{name}: {drift} of {}", windows.len());
    }
}

#[test]
fn a_difference_too_small_to_matter_is_no_drift_however_significant() {
    let windows = windows(&mut Dice(78), 50_000, 40_000, 1, 0.03);
    let normal = &windows[0][0];
    assert!(normal.q_value.unwrap() < 0.01, "{normal:?}");
    assert_eq!(normal.status, Status::Ok, "{normal:?}");
}
