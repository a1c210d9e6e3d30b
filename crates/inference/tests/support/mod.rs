//! Reads what `golden/generate.py` wrote.

#![expect(clippy::unwrap_used, dead_code, reason = "tests; each binary uses a part")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kernel::frame::{Column, ColumnKind, Frame};
use rondo_inference::{Model, Package};
use serde_json::Value;

/// One model and what it should predict.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) files: Vec<String>,
    pub(crate) columns: Vec<(String, Column)>,
    pub(crate) exact: bool,
    pub(crate) tolerance: f64,
    pub(crate) classes: Option<Vec<Value>>,
    pub(crate) values: Option<Vec<f64>>,
    pub(crate) probabilities: Option<Vec<Vec<f64>>>,
    pub(crate) chosen: Option<Vec<u32>>,
}

pub(crate) fn golden(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(directory)
}

pub(crate) fn cases(directory: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(golden(directory).join("cases.json")).unwrap();
    let root: Value = serde_json::from_str(&text).unwrap();
    root["cases"].as_array().unwrap().iter().map(case).collect()
}

fn case(value: &Value) -> Case {
    let numbers = |value: &Value| value.as_array().map(|list| list.iter().map(number).collect::<Vec<f64>>());
    Case {
        name: value["name"].as_str().unwrap().to_owned(),
        files: value["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap().to_owned()).collect(),
        columns: value["columns"].as_array().unwrap().iter().map(column).collect(),
        exact: value["exact"].as_bool().unwrap(),
        tolerance: value["tolerance"].as_f64().unwrap(),
        classes: value["classes"].as_array().cloned(),
        values: numbers(&value["values"]),
        probabilities: value["probabilities"]
            .as_array()
            .map(|rows| rows.iter().map(|row| numbers(row).unwrap()).collect()),
        chosen: numbers(&value["chosen"]).map(|list| list.into_iter().map(|index| index as u32).collect()),
    }
}

/// Infinities are texts, what is missing is null.
fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        _ => value.as_f64().unwrap_or(f64::NAN),
    }
}

fn column(value: &Value) -> (String, Column) {
    let values = value["values"].as_array().unwrap();
    let column = if value["kind"] == "text" {
        Column::Text(values.iter().map(|text| text.as_str().map(Arc::from)).collect())
    } else {
        Column::Number(values.iter().map(number).collect())
    };
    (value["name"].as_str().unwrap().to_owned(), column)
}

/// The files of a model: one file, or a directory that mlflow wrote.
pub(crate) fn package(directory: &str, file: &str) -> Package {
    let path = golden(directory).join(file);
    if path.is_dir() {
        let entries = std::fs::read_dir(&path).unwrap().map(Result::unwrap);
        Package::new(
            entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())),
        )
    } else {
        Package::new([(file, std::fs::read(path).unwrap())])
    }
}

/// The rows of a case in the order of the model's inputs; a model without names takes them as they stand.
pub(crate) fn frame(case: &Case, model: &Model) -> Frame {
    let by_name: HashMap<&str, &Column> = case.columns.iter().map(|(name, column)| (name.as_str(), column)).collect();
    let pick = |(index, input): (usize, &rondo_inference::Input)| {
        let column = by_name.get(&*input.name).copied().unwrap_or(&case.columns[index].1);
        match (input.kind, column) {
            // a column of dropped text that no step reads
            (ColumnKind::Number, Column::Text(texts)) if !input.required => Column::Text(texts.clone()),
            (_, column) => column.clone(),
        }
    };
    let names = model.inputs().iter().map(|input| input.name.clone()).collect();
    Frame::new(names, model.inputs().iter().enumerate().map(pick).collect()).unwrap()
}
