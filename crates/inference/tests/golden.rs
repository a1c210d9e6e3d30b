//! Every model in `tests/golden` predicts what its trainer predicted for the same rows (`generate.py` and `boosters.py` wrote both).

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use rondo_inference::{Output, Task};
use support::{Case, cases, frame, package};

/// Relative distance, and absolute near zero: 1e-9 of the largest value around.
fn close(got: f64, expected: f64, tolerance: f64) -> bool {
    got == expected || (got - expected).abs() <= tolerance * expected.abs().max(1e-3)
}

fn compare(case: &Case, file: &str, output: &Output) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: String, got: f64, expected: f64| {
        let good = if case.exact {
            got == expected || got.is_nan() && expected.is_nan()
        } else {
            close(got, expected, case.tolerance)
        };
        if !good {
            wrong.push(format!("{file}: {what}: got {got:?}, the trainer says {expected:?}"));
        }
    };
    for (row, expected) in case.values.iter().flatten().enumerate() {
        check(format!("row {row}"), output.scores[row], *expected);
    }
    let probabilities = output.probabilities.as_deref().unwrap_or_default();
    let width = case.classes.as_ref().map_or(1, Vec::len);
    for (row, expected) in case.probabilities.iter().flatten().enumerate() {
        for (class, expected) in expected.iter().enumerate() {
            check(format!("row {row} class {class}"), probabilities[row * width + class], *expected);
        }
    }
    for (row, expected) in case.chosen.iter().flatten().enumerate() {
        let got = output.class.as_ref().unwrap()[row];
        check(format!("row {row} chosen"), f64::from(got), f64::from(*expected));
        let score = if width == 2 { probabilities[row * 2 + 1] } else { probabilities[row * width + got as usize] };
        check(format!("row {row} score"), output.scores[row], score);
    }
    wrong
}

fn check_directory(directory: &str) {
    let mut wrong = Vec::new();
    let mut files = 0;
    for case in cases(directory) {
        for file in &case.files {
            files += 1;
            let model = match rondo_inference::load(&package(directory, file)) {
                Ok(model) => model,
                Err(error) => {
                    wrong.push(format!("{file}: {error}"));
                    continue;
                }
            };
            let frame = frame(&case, &model);
            match model.predict(&frame) {
                Ok(output) => {
                    wrong.extend(compare(&case, file, &output).into_iter().take(4));
                    // one row at a time gives the same
                    for row in 0..frame.rows() {
                        let one = model.predict(&frame.take(&[row])).unwrap();
                        if one.scores[0].to_bits() != output.scores[row].to_bits() {
                            wrong.push(format!("{file}: row {row} alone differs from the batch"));
                        }
                    }
                }
                Err(error) => wrong.push(format!("{file}: {error}")),
            }
            let classes = case.classes.as_ref().map_or(0, Vec::len);
            let task = match classes {
                0 => Task::Regression,
                2 => Task::Binary,
                more => Task::Multiclass(more),
            };
            assert_eq!(model.task(), task, "{file}");
            assert_eq!(model.classes().len(), classes, "{file}");
            assert!(model.info().memory_bytes > 100, "{file}");
        }
    }
    let count = wrong.len();
    wrong.truncate(60);
    assert!(wrong.is_empty(), "{count} differences in {files} files:\n{}", wrong.join("\n"));
    assert!(files > 50, "only {files} files");
}

#[test]
fn newest_scikit_learn() {
    check_directory("new");
}

#[test]
fn oldest_scikit_learn() {
    check_directory("old");
}

#[test]
fn newest_boosters() {
    check_directory("boosters");
}

#[test]
fn older_boosters() {
    check_directory("boosters-old");
}
