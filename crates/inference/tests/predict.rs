//! What a caller sees of a model, and how rows are refused: with the column, what was expected and what came.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use kernel::error::{Classified, Kind};
use kernel::frame::{Cell, Column, ColumnKind, Frame};
use rondo_inference::{DataType, Model, PredictError, PredictFn, Task, load};
use support::package;

fn model(file: &str) -> Model {
    load(&package("new", file)).unwrap()
}

/// Two good rows for a model, of which `change` spoils what it likes.
fn rows(model: &Model, change: impl Fn(&str, &mut Column)) -> Frame {
    let columns = model.inputs().iter().map(|input| {
        let mut column = match (input.kind, &*input.name) {
            (ColumnKind::Number, _) => Column::Number(vec![7.0, 8.0]),
            (ColumnKind::Text, "carrier") => Column::Text(vec![Some("AA".into()), Some("UA".into())]),
            (ColumnKind::Text, _) => Column::Text(vec![Some("JFK".into()), Some("EWR".into())]),
        };
        change(&input.name, &mut column);
        column
    });
    let names = model.inputs().iter().map(|input| input.name.clone()).collect();
    Frame::new(names, columns.collect()).unwrap()
}

fn second(number: f64) -> impl Fn(&str, &mut Column) {
    move |name, column| {
        if let ("c" | "hour", Column::Number(values)) = (name, column) {
            values[1] = number;
        }
    }
}

fn refused(model: &Model, change: impl Fn(&str, &mut Column)) -> String {
    let error = model.predict(&rows(model, change)).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.hint().is_some());
    error.to_string()
}

#[test]
fn missing_and_infinite_values_are_refused_where_scikit_learn_refuses_them() {
    for (file, name) in [
        ("linear.joblib", "LinearRegression"),
        ("logistic.joblib", "LogisticRegression"),
        ("gbr_huber.joblib", "GradientBoostingRegressor"),
    ] {
        let text = refused(&model(file), second(f64::NAN));
        assert_eq!(text, format!("column c, row 1: a value is missing, and {name} takes no missing values"));
        let text = refused(&model(file), second(f64::INFINITY));
        assert_eq!(text, format!("column c, row 1: the value is infinite or too large for {name}"));
    }
    let forest = model("rfr.joblib");
    assert!(forest.predict(&rows(&forest, second(f64::NAN))).is_ok());
    assert!(refused(&forest, second(f64::NEG_INFINITY)).contains("RandomForestRegressor"));
    // 1e39 fits a double, not the 32-bit floats of trees
    assert!(refused(&forest, second(1e39)).contains("too large"));
    let histogram = model("hgbr.joblib");
    assert!(histogram.predict(&rows(&histogram, second(f64::INFINITY))).is_ok());
    // the imputer takes missing values, but nothing takes infinity
    let pipeline = model("pipe_logistic.joblib");
    assert!(pipeline.predict(&rows(&pipeline, second(f64::NAN))).is_ok());
    assert!(refused(&pipeline, second(f64::INFINITY)).contains("column hour, row 1"));
}

#[test]
fn unknown_categories_and_wrong_kinds_name_the_column() {
    let strict = model("pipe_selectors.joblib");
    let unseen = |name: &str, column: &mut Column| {
        if let ("origin", Column::Text(values)) = (name, column) {
            values[1] = Some("ZZZ".into());
        }
    };
    assert_eq!(refused(&strict, unseen), "column origin, row 1: unknown category \"ZZZ\"");
    let gone = |name: &str, column: &mut Column| {
        if let ("origin", Column::Text(values)) = (name, column) {
            values[0] = None;
        }
    };
    assert_eq!(refused(&strict, gone), "column origin, row 0: unknown category (missing)");
    let swapped = |name: &str, column: &mut Column| {
        if name == "hour" {
            *column = Column::Text(vec![None, None]);
        }
    };
    assert_eq!(refused(&strict, swapped), "column hour: numbers expected, but text came");
    let frame = Frame::new(vec!["a".into()], vec![Column::Number(vec![1.0])]).unwrap();
    assert_eq!(strict.predict(&frame).unwrap_err(), PredictError::Columns { expected: 6, got: 1 });
    assert!(matches!(strict.predict_dense(&[0.0; 6], 1), Err(PredictError::Type { .. })));
    let linear = model("linear.joblib");
    assert_eq!(linear.predict_dense(&[0.0; 9], 2).unwrap_err(), PredictError::Shape { rows: 2, columns: 5, got: 9 });
}

#[test]
fn what_a_model_tells_of_itself() {
    let model = model("pipe_logistic.mlflow-cloudpickle");
    let names: Vec<(&str, ColumnKind, DataType)> =
        model.inputs().iter().map(|input| (&*input.name, input.kind, input.data_type)).collect();
    let (number, text) = (ColumnKind::Number, ColumnKind::Text);
    assert_eq!(
        names,
        [
            ("carrier", text, DataType::String),
            ("origin", text, DataType::String),
            ("hour", number, DataType::Long),
            ("distance", number, DataType::Double),
            ("temp", number, DataType::Double),
            ("weekend", number, DataType::Boolean),
        ]
    );
    assert_eq!(model.task(), Task::Binary);
    assert_eq!(model.classes(), [Cell::Number(0.0), Cell::Number(1.0)]);
    assert!(!model.inputs()[0].required, "the example had missing carriers");
    let info = model.info();
    assert_eq!(info.library, "scikit-learn 1.9.1");
    assert_eq!(info.estimator, "sklearn.pipeline.Pipeline(ColumnTransformer, LogisticRegression)");
    assert_eq!((info.format, info.predict_fn), ("pickle", PredictFn::PredictProba));
    assert_eq!(info.digest.len(), 64);
    assert_eq!(model.signature().unwrap().columns.len(), 6);
    let plain = load(&package("new", "pipe_logistic.joblib")).unwrap();
    let kinds: Vec<ColumnKind> = plain.inputs().iter().map(|input| input.kind).collect();
    assert_eq!(kinds, [text, text, number, number, number, number], "learned from the encoder's categories");
    assert_eq!(load(&package("new", "gbr_leaves_zero.joblib")).unwrap().inputs()[4].name.as_ref(), "x4");
}

#[test]
fn an_empty_frame_gives_an_empty_answer() {
    for file in ["rfc.joblib", "linear.joblib", "pipe_logistic.joblib"] {
        let model = model(file);
        let output = model.predict(&rows(&model, |_, _| {}).take(&[])).unwrap();
        assert!(output.scores.is_empty());
    }
}

#[test]
fn models_are_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>(value: T) -> std::sync::Arc<T> {
        std::sync::Arc::new(value)
    }
    let model = shared(model("rfc.joblib"));
    let frame = rows(&model, |_, _| {});
    let expected = model.predict(&frame).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (model, frame) = (model.clone(), frame.clone());
            std::thread::spawn(move || model.predict(&frame).unwrap())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), expected);
    }
}
