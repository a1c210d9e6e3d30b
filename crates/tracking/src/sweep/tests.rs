//! The densities and the quality of the estimator against Optuna's, as recorded by `tests/golden/sweeps.py`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::definition::Goal;
use super::parzen::{Axis, Mixture};
use super::space::{Kind, Param, Setting, Settings, Space};
use super::tpe::{self, Known, Outcome};

#[derive(Deserialize)]
struct Case {
    space: BTreeMap<String, Param>,
    observed: BTreeMap<String, Vec<f64>>,
    points: BTreeMap<String, Vec<f64>>,
    log_density: Vec<f64>,
}

/// Points from one list for each parameter.
fn rows(columns: &BTreeMap<String, Vec<f64>>, space: &Space) -> Vec<Vec<f64>> {
    let columns: Vec<&Vec<f64>> = space.0.iter().map(|param| &columns[&param.name]).collect();
    (0..columns[0].len()).map(|row| columns.iter().map(|column| column[row]).collect()).collect()
}

#[test]
fn densities_are_those_of_optuna() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/golden/parzen.json")).unwrap();
    let mut compared = 0;
    for case in &cases {
        let space = Space::new(&case.space).unwrap();
        let axes: Vec<Axis> = space.0.iter().map(|param| Axis::of(&param.domain)).collect();
        let mixture = Mixture::fit(&axes, &rows(&case.observed, &space));
        for (point, expect) in rows(&case.points, &space).iter().zip(&case.log_density) {
            let got = mixture.log_density(point);
            let names: Vec<&String> = case.space.keys().collect();
            assert!((got - expect).abs() <= 1e-9 * expect.abs().max(1.0), "{names:?} {point:?}: {got} {expect}");
            compared += 1;
        }
    }
    assert!(compared > 500, "{compared}");
}

#[derive(Deserialize)]
struct Results {
    trials: i64,
    best: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

fn param(kind: Kind, low: f64, high: f64) -> Param {
    Param { kind, low: Some(low), high: Some(high), ..Param::default() }
}

fn number(settings: &Settings, name: &str) -> f64 {
    match settings[name] {
        Setting::Float(value) => value,
        Setting::Int(value) => value as f64,
        _ => panic!("{name} is not a number"),
    }
}

fn branin(settings: &Settings) -> f64 {
    let (x, y) = (number(settings, "x"), number(settings, "y"));
    let pi = std::f64::consts::PI;
    let (b, c, t) = (5.1 / (4.0 * pi * pi), 5.0 / pi, 1.0 / (8.0 * pi));
    (y - b * x * x + c * x - 6.0).powi(2) + 10.0 * (1.0 - t) * x.cos() + 10.0
}

fn hartmann6(settings: &Settings) -> f64 {
    const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [1312.0, 1696.0, 5569.0, 124.0, 8283.0, 5886.0],
        [2329.0, 4135.0, 8307.0, 3736.0, 1004.0, 9991.0],
        [2348.0, 1451.0, 3522.0, 2883.0, 3047.0, 6650.0],
        [4047.0, 8828.0, 8732.0, 5743.0, 1091.0, 381.0],
    ];
    let x: Vec<f64> = (0..6).map(|index| number(settings, &format!("x{index}"))).collect();
    let bump = |row: usize| {
        let distance: f64 = (0..6).map(|i| A[row][i] * (x[i] - 1e-4 * P[row][i]).powi(2)).sum();
        ALPHA[row] * (-distance).exp()
    };
    -(0..4).map(bump).sum::<f64>()
}

fn mixed(settings: &Settings) -> f64 {
    let of = |name: &str| number(settings, name);
    let loss = (of("lr").log10() + 2.0).powi(2)
        + 0.05 * (of("depth") - 7.0).powi(2)
        + 0.3 * (of("units").log2() - 6.0).powi(2)
        + 2.0 * (of("drop") - 0.2).powi(2);
    let Setting::Text(kind) = &settings["kind"] else { panic!("kind is not a text") };
    assert_eq!(settings.contains_key("rate"), kind == "dart");
    match kind.as_str() {
        "dart" => loss + 3.0 * (of("rate") - 0.35).powi(2),
        "tree" => loss + 0.5,
        _ => loss + 2.0,
    }
}

fn space_of(function: &str) -> Space {
    let mut params = BTreeMap::new();
    match function {
        "branin" => {
            params.insert("x".to_owned(), param(Kind::Uniform, -5.0, 10.0));
            params.insert("y".to_owned(), param(Kind::Uniform, 0.0, 15.0));
        }
        "hartmann6" => {
            params.extend((0..6).map(|index| (format!("x{index}"), param(Kind::Uniform, 0.0, 1.0))));
        }
        _ => {
            let text = |text: &str| Setting::Text(text.to_owned());
            let kinds = vec![text("tree"), text("linear"), text("dart")];
            let when = BTreeMap::from([("kind".to_owned(), vec![text("dart")])]);
            params.insert("lr".to_owned(), param(Kind::Loguniform, 1e-5, 1.0));
            params.insert("depth".to_owned(), param(Kind::Int, 2.0, 16.0));
            params.insert("units".to_owned(), param(Kind::IntLog, 4.0, 1024.0));
            params.insert("drop".to_owned(), Param { step: Some(0.1), ..param(Kind::Uniform, 0.0, 0.6) });
            params.insert("kind".to_owned(), Param { kind: Kind::Choice, values: Some(kinds), ..Param::default() });
            params.insert("rate".to_owned(), Param { when, ..param(Kind::Uniform, 0.0, 1.0) });
        }
    }
    Space::new(&params).unwrap()
}

fn best_of(space: &Space, function: fn(&Settings) -> f64, seed: i64, trials: i64) -> f64 {
    let mut known: Vec<Known> = Vec::new();
    let mut best = f64::INFINITY;
    for trial in 0..trials {
        let settings = tpe::suggest(space, Goal::Minimize, seed, trial, &known);
        let value = function(&settings);
        best = best.min(value);
        known.push(Known { settings, outcome: Outcome::Finished(value) });
    }
    best
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}

/// By how many standard deviations the ranks of `ours` are worse (greater) than those of `theirs`, were both alike (Mann-Whitney).
fn worse_by(ours: &[f64], theirs: &[f64]) -> f64 {
    let wins: f64 = ours
        .iter()
        .map(|one| {
            theirs
                .iter()
                .map(|other| f64::from(u8::from(one > other)) + 0.5 * f64::from(u8::from(one == other)))
                .sum::<f64>()
        })
        .sum();
    let (n, m) = (ours.len() as f64, theirs.len() as f64);
    (wins - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

#[test]
fn results_are_as_good_as_those_of_optuna_and_better_than_chance() {
    let results: Results = serde_json::from_str(include_str!("../../tests/golden/tpe.json")).unwrap();
    for (name, function) in [("branin", branin as fn(&Settings) -> f64), ("hartmann6", hartmann6), ("mixed", mixed)] {
        let space = space_of(name);
        let theirs = &results.best[name];
        let ours: Vec<f64> =
            (0..theirs["tpe"].len()).map(|seed| best_of(&space, function, seed as i64, results.trials)).collect();
        let (against, chance) = (worse_by(&ours, &theirs["tpe"]), worse_by(&ours, &theirs["random"]));
        eprintln!(
            "{name}: median {:.4}, optuna {:.4} (z {against:.2}), random {:.4} (z {chance:.2})",
            median(&ours),
            median(&theirs["tpe"]),
            median(&theirs["random"]),
        );
        assert!(against < 1.64, "{name}: worse than Optuna by {against} deviations");
        assert!(chance < -3.0, "{name}: better than chance by only {} deviations", -chance);
    }
}
