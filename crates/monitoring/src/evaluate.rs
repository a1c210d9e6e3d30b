//! A window against a reference: pure, and the same to the bit for the same rows.

mod categorical;
mod column;
mod numeric;

use std::collections::BTreeMap;

use kernel::frame::{Cell, Column};
use telemetry::Rows;

use crate::monitor::Monitor;
use crate::profile::{Distribution, PREDICTION, Profile};
use crate::quality::{Measure, measure};
use crate::report::{ColumnDrift, Drift, Kind, Status, VersionRows, WindowReport};
use crate::task::Task;
use crate::twosample::benjamini_hochberg;
use crate::window::Due;

/// Evaluates the rows of a window (as scanned: sorted, outcomes as of [`Due::as_of_us`]) against the reference of the version that
/// answered most of them. Without a reference there is no drift part, but quality is measured.
pub fn evaluate(monitor: &Monitor, reference: Option<&Profile>, rows: &Rows, due: &Due) -> WindowReport {
    let provisional = due.kind != Kind::Mature;
    let task = monitor.task.clone().or_else(|| reference.and_then(|profile| profile.task.clone()));
    let task = task.unwrap_or_else(|| guess_task(rows));
    let everything: Vec<usize> = (0..rows.ids.len()).collect();
    let subject = reference.and_then(|profile| profile.subject.clone());
    WindowReport {
        monitor: monitor.name.clone(),
        deployment: monitor.deployment.clone(),
        kind: due.kind,
        from_us: due.from_us,
        until_us: due.until_us,
        as_of_us: due.as_of_us,
        n: rows.ids.len() as u64,
        outcomes: known(rows, &everything),
        provisional,
        versions: versions(&task, rows, provisional),
        drift: drift(monitor, reference, rows, subject.as_ref().map(|subject| subject.version.as_str())),
        quality: quality(&task, rows, &everything, provisional),
        reference_quality: reference.map(|profile| profile.quality.clone()).unwrap_or_default(),
        reference: subject,
    }
}

/// The task, when nobody said it: outcomes that are all 0 or 1 and scores that are all probabilities are a binary model's.
fn guess_task(rows: &Rows) -> Task {
    let zero_or_one = |cell: &Cell| match cell {
        Cell::Missing | Cell::Bool(_) => true,
        Cell::Number(value) => *value == 0.0 || *value == 1.0,
        Cell::Text(_) => false,
    };
    let text = rows.outcomes.iter().any(|cell| matches!(cell, Cell::Text(_)));
    if text {
        Task::Multiclass
    } else if rows.outcomes.iter().all(zero_or_one) && rows.scores.iter().all(|p| (0.0..=1.0).contains(p)) {
        Task::binary()
    } else {
        Task::Regression
    }
}

fn known(rows: &Rows, members: &[usize]) -> u64 {
    members.iter().filter(|&&row| rows.outcomes.get(row).is_some_and(|cell| *cell != Cell::Missing)).count() as u64
}

/// Quality over some rows: those whose score is finite and whose outcome is known.
fn quality(task: &Task, rows: &Rows, members: &[usize], provisional: bool) -> Vec<Measure> {
    let (mut scores, mut truths, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for &row in members {
        let score = rows.scores.get(row).copied().filter(|score| score.is_finite());
        let truth = rows.outcomes.get(row).and_then(|cell| task.truth(cell));
        if let (Some(score), Some(truth)) = (score, truth) {
            scores.push(score);
            truths.push(truth);
            ids.push(rows.ids[row].as_str());
        }
    }
    let mut measures = measure(task, &scores, &truths, &ids);
    for measure in &mut measures {
        measure.provisional = provisional;
    }
    measures
}

/// Each version with its own quality, most rows first.
fn versions(task: &Task, rows: &Rows, provisional: bool) -> Vec<VersionRows> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, version) in rows.versions.iter().enumerate() {
        members.entry(version).or_default().push(row);
    }
    let mut versions: Vec<VersionRows> = members
        .into_iter()
        .map(|(version, members)| VersionRows {
            version: version.to_owned(),
            rows: members.len() as u64,
            outcomes: known(rows, &members),
            quality: quality(task, rows, &members, provisional),
        })
        .collect();
    // the map is in order, and the sort keeps it among equals
    versions.sort_by_key(|version| std::cmp::Reverse(version.rows));
    versions
}

fn drift(monitor: &Monitor, reference: Option<&Profile>, rows: &Rows, version: Option<&str>) -> Drift {
    let Some(reference) = reference else {
        return Drift { compared: 0, drifted: 0, strong: 0, features: Vec::new(), prediction: None };
    };
    let mut features: Vec<ColumnDrift> = reference
        .features
        .iter()
        .map(|feature| {
            let column = rows.features.column(&feature.name);
            compare(&feature.name, &feature.distribution, column, monitor.min_rows)
        })
        .collect();
    conclude(&mut features);
    let prediction = reference.prediction.as_ref().map(|scores| {
        let mine =
            |row: &usize| version.is_none_or(|version| rows.versions.get(*row).is_none_or(|have| **have == *version));
        let scored = (0..rows.scores.len()).filter(mine).map(|row| rows.scores[row]).collect();
        let mut one = [compare(
            PREDICTION,
            &Distribution::Number(scores.clone()),
            Some(&Column::Number(scored)),
            monitor.min_rows,
        )];
        conclude(&mut one);
        let [one] = one;
        one
    });
    let count = |wanted: fn(&ColumnDrift) -> bool| features.iter().filter(|column| wanted(column)).count() as u64;
    Drift {
        compared: count(|column| matches!(column.status, Status::Ok | Status::Drift | Status::Constant)),
        drifted: count(|column| column.status == Status::Drift),
        strong: count(|column| column.strong),
        features,
        prediction,
    }
}

fn compare(name: &str, reference: &Distribution, column: Option<&Column>, min_rows: u64) -> ColumnDrift {
    match (reference, column) {
        (Distribution::Number(numeric), Some(Column::Number(values))) => {
            numeric::compare(name, numeric, values, min_rows)
        }
        (Distribution::Text(categorical), Some(Column::Text(values))) => {
            categorical::compare(name, categorical, values, min_rows)
        }
        _ => column::not_applicable(name, reference, column),
    }
}

/// Adjusts the p-values for their number and decides: drift is what the adjusted test rejects *and* whose effect matters.
fn conclude(columns: &mut [ColumnDrift]) {
    let p_values: Vec<Option<f64>> = columns.iter().map(|column| column.p_value).collect();
    for (column, q_value) in columns.iter_mut().zip(benjamini_hochberg(&p_values)) {
        column.q_value = q_value;
        if column.status == Status::Ok && q_value.is_some_and(|q| q <= crate::effect::Q) {
            column::grade(column);
        }
    }
}
