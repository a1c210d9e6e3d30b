//! The paired bootstrap: it holds its level, it sees what is there, and it is the same to the bit.

use proptest::prelude::*;
use rondo_monitoring::compare::{self, Metric, Paired, paired, paired_slices};
use rondo_monitoring::quality::auc;

use crate::support::Dice;

const METRICS: [Metric; 5] = [Metric::Brier, Metric::LogLoss, Metric::Auc, Metric::Mae, Metric::Rmse];

/// Two models that see the truth through noise of these sizes, and the truth.
fn race(dice: &mut Dice, rows: usize, candidate_noise: f64, champion_noise: f64) -> [Vec<f64>; 3] {
    let squash = |x: f64| 1.0 / (1.0 + (-x).exp());
    let mut out = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..rows {
        let signal = 1.5 * dice.normal();
        out[0].push(squash(signal + candidate_noise * dice.normal()));
        out[1].push(squash(signal + champion_noise * dice.normal()));
        out[2].push(f64::from(u8::from(dice.uniform() < squash(signal))));
    }
    out
}

fn run(metric: Metric, [candidate, champion, truths]: &[Vec<f64>; 3], seed: u64) -> Paired {
    paired(metric, candidate, champion, truths, seed).unwrap()
}

#[test]
fn the_interval_of_equal_models_covers_zero_as_often_as_it_says() {
    let races = 250;
    for metric in [Metric::Brier, Metric::Auc, Metric::Rmse] {
        let mut covered = 0;
        for round in 0..races {
            let rows = race(&mut Dice(1_000 + round), 200, 0.5, 0.5);
            let result = run(metric, &rows, round);
            covered += u32::from(result.low <= 0.0 && 0.0 <= result.high);
        }
        // 95 % of 250 is 237; 226 and 248 are three standard deviations away
        assert!((226..=248).contains(&covered), "{metric:?}: {covered} of {races}");
    }
}

#[test]
fn a_better_candidate_is_seen_and_a_worse_one_too() {
    let better = race(&mut Dice(5), 4_000, 0.3, 1.2);
    let worse = [better[1].clone(), better[0].clone(), better[2].clone()];
    for metric in METRICS {
        let (good, bad) = (run(metric, &better, 1), run(metric, &worse, 1));
        assert!(good.low > 0.0, "{metric:?}: {good:?}");
        assert!(bad.high < 0.0, "{metric:?}: {bad:?}");
        assert_eq!(good.rows, 4_000);
        assert_eq!(good.resamples as usize, compare::RESAMPLES);
        let gain = if metric == Metric::Auc { good.candidate - good.champion } else { good.champion - good.candidate };
        assert!((good.difference - gain).abs() < 1e-12, "{metric:?}");
    }
}

#[test]
fn the_bootstrap_agrees_with_the_theory_of_means() {
    let rows = race(&mut Dice(6), 5_000, 0.3, 0.6);
    let result = run(Metric::Brier, &rows, 3);
    let gains: Vec<f64> =
        (0..5_000).map(|i| (rows[1][i] - rows[2][i]).powi(2) - (rows[0][i] - rows[2][i]).powi(2)).collect();
    let mean = gains.iter().sum::<f64>() / 5_000.0;
    let error = (gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / 4_999.0 / 5_000.0).sqrt();
    assert!((result.difference - mean).abs() < 1e-12);
    let width = (result.high - result.low) / (2.0 * 1.96 * error);
    assert!((width - 1.0).abs() < 0.08, "the interval is {width} times as wide as theory says");
}

#[test]
fn the_area_of_each_model_is_the_exact_one() {
    let rows = race(&mut Dice(7), 500, 0.3, 0.6);
    let result = run(Metric::Auc, &rows, 3);
    assert_eq!(result.candidate, auc(&rows[0], &rows[2]).unwrap().value);
    assert_eq!(result.champion, auc(&rows[1], &rows[2]).unwrap().value);
}

#[test]
fn the_same_rows_and_seed_give_the_same_interval_to_the_bit() {
    let rows = race(&mut Dice(8), 3_001, 0.3, 0.6);
    for metric in METRICS {
        let (first, second) = (run(metric, &rows, 9), run(metric, &rows, 9));
        assert_eq!(first.low.to_bits(), second.low.to_bits());
        assert_eq!(first, second);
        assert_ne!(first.low, run(metric, &rows, 10).low, "another seed, other resamples");
    }
}

#[test]
fn identical_models_do_not_differ_at_all() {
    let rows = race(&mut Dice(9), 300, 0.3, 0.6);
    let same = [rows[0].clone(), rows[0].clone(), rows[2].clone()];
    for metric in METRICS {
        let result = run(metric, &same, 1);
        assert_eq!((result.difference, result.low, result.high), (0.0, 0.0, 0.0), "{metric:?}");
    }
}

#[test]
fn what_cannot_be_compared_is_refused_in_words() {
    let check = |metric, a: &[f64], b: &[f64], y: &[f64], expect: &str| {
        let text = paired(metric, a, b, y, 1).unwrap_err().to_string();
        assert!(text.contains(expect), "{text}");
    };
    check(Metric::Brier, &[], &[], &[], "no rows");
    check(Metric::Brier, &[0.1], &[0.1, 0.2], &[1.0], "same rows");
    check(Metric::Brier, &[f64::NAN], &[0.1], &[1.0], "finite");
    check(Metric::Auc, &[0.1, 0.2], &[0.1, 0.2], &[1.0, 1.0], "one class");
    check(Metric::Ece, &[0.1], &[0.1], &[1.0], "compared by");
}

#[test]
fn slices_are_compared_alone() {
    let rows = race(&mut Dice(10), 1_000, 0.3, 1.0);
    let labels: Vec<_> = (0..1_000).map(|i| (i % 10 != 9).then(|| ["JFK", "LGA", "EWR"][i % 3].into())).collect();
    let mut labels = labels;
    labels[0] = Some("TTN".into());
    let slices = paired_slices(Metric::Brier, [&rows[0], &rows[1], &rows[2]], &labels, 200, 1);
    let names: Vec<&str> = slices.iter().map(|slice| slice.value.as_str()).collect();
    assert_eq!(names, ["EWR", "JFK", "LGA", "TTN"]);
    assert_eq!(slices.iter().map(|slice| slice.rows).sum::<u64>(), 900);
    assert!(slices[3].paired.is_none() && slices[0].paired.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn swapping_the_models_turns_the_difference_round(seed in 0_u64..1_000, rows in 5_usize..60) {
        let rows = race(&mut Dice(seed), rows, 0.3, 0.9);
        let swapped = [rows[1].clone(), rows[0].clone(), rows[2].clone()];
        for metric in METRICS {
            let (Ok(there), Ok(back)) = (
                paired(metric, &rows[0], &rows[1], &rows[2], seed),
                paired(metric, &swapped[0], &swapped[1], &swapped[2], seed),
            ) else { continue };
            prop_assert!((there.difference + back.difference).abs() < 1e-12);
            prop_assert!((there.low + back.high).abs() < 1e-9, "{:?} {:?}", there, back);
            prop_assert!(there.low <= there.high);
        }
    }
}

/// Run by hand in release: `cargo test --release -p rondo-monitoring --test monitoring speed -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn speed() {
    let rows = race(&mut Dice(1), 50_000, 0.3, 0.4);
    for metric in METRICS {
        let start = std::time::Instant::now();
        let result = run(metric, &rows, 1);
        println!("{metric:?}: 50000 rows x {} resamples in {:?}", result.resamples, start.elapsed());
    }
}
