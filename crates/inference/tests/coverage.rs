//! The table of what runs natively, `docs/NATIVE-MODELS.md`, is what the golden models hold, no more and no less. To write it again
//! after new golden models: `BLESS=1 cargo test -p rondo-inference --test coverage`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use rondo_inference::{Model, Task, load};
use support::{Case, cases, package};

const BEGIN: &str = "<!-- the table: written by crates/inference/tests/coverage.rs -->\n";
const END: &str = "<!-- end of the table -->\n";

/// What the golden models of one class hold.
#[derive(Default)]
struct Row {
    libraries: BTreeSet<String>,
    formats: BTreeSet<String>,
    tasks: BTreeSet<&'static str>,
    models: BTreeSet<String>,
    files: usize,
    exact: usize,
}

/// The class that predicts: a pipeline counts for its last step.
fn class(model: &Model) -> String {
    let estimator = &model.info().estimator;
    let last = estimator.trim_end_matches(')').rsplit([',', '(', '.']).next().unwrap_or_default();
    let boosts = if estimator.starts_with("lightgbm") {
        "lightgbm."
    } else if estimator.starts_with("xgboost") {
        "xgboost."
    } else {
        ""
    };
    let boosts = if last == "Booster" { boosts } else { "" };
    format!("{boosts}{}", last.trim())
}

fn add(rows: &mut BTreeMap<String, Row>, directory: &str, case: &Case) {
    for file in &case.files {
        let model = load(&package(directory, file)).unwrap();
        let row = rows.entry(class(&model)).or_default();
        // a wrapper on its own does not say its library's version
        if !model.info().library.ends_with("unknown version") {
            row.libraries.insert(model.info().library.clone());
        }
        let mlflow = if file.contains(".mlflow") { ", mlflow" } else { "" };
        row.formats.insert(format!("{}{mlflow}", model.info().format));
        row.tasks.insert(match model.task() {
            Task::Regression => "value",
            Task::Binary => "two classes",
            Task::Multiclass(_) => "many classes",
        });
        row.models.insert(format!("{directory}/{}", case.name));
        row.files += 1;
        row.exact += usize::from(case.exact);
    }
}

fn table() -> String {
    let mut rows = BTreeMap::new();
    for directory in ["new", "old", "boosters", "boosters-old"] {
        for case in cases(directory) {
            add(&mut rows, directory, &case);
        }
    }
    let mut text = "| class | tells | files of | versions | models | files | equal to the bit |\n".to_owned();
    text.push_str("|---|---|---|---|---|---|---|\n");
    let join = |set: &BTreeSet<String>| {
        let words: BTreeSet<&str> = set.iter().flat_map(|entry| entry.split(", ")).collect();
        words.into_iter().collect::<Vec<_>>().join(", ")
    };
    for (class, row) in &rows {
        let tasks = row.tasks.iter().copied().collect::<Vec<_>>().join(", ");
        let (formats, libraries) = (join(&row.formats), join(&row.libraries));
        let exact = match row.exact {
            0 => "to 1e-9".to_owned(),
            all if all == row.files => "all".to_owned(),
            some => format!("{some}, others to 1e-9"),
        };
        let (models, files) = (row.models.len(), row.files);
        writeln!(text, "| {class} | {tasks} | {formats} | {libraries} | {models} | {files} | {exact} |").unwrap();
    }
    text
}

#[test]
fn the_table_of_native_models_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/NATIVE-MODELS.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (given, after) = rest.split_once(END).unwrap();
    let table = table();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(given, table, "docs/NATIVE-MODELS.md is not what the golden models hold: BLESS=1 writes it again");
    }
}
