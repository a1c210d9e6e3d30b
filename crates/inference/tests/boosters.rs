//! Files of LightGBM and XGBoost that were made to do harm, and what is refused by name.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use kernel::error::Classified;
use kernel::frame::{Column, ColumnKind, Frame};
use proptest::prelude::*;
use rondo_inference::{LoadError, Package, PredictFn, Task, load};
use support::{golden, package};

fn read(file: &str) -> String {
    std::fs::read_to_string(golden("boosters").join(file)).unwrap()
}

fn refuse(file: &str, bytes: impl Into<Vec<u8>>) -> LoadError {
    let error = load(&Package::new([(file, bytes.into())])).map(|model| model.info().clone()).unwrap_err();
    assert!(error.hint().is_some());
    error
}

fn check(file: &str, bytes: impl Into<Vec<u8>>, expect: &str) {
    let text = refuse(file, bytes).to_string();
    assert!(text.contains(expect), "{text:?} does not say {expect:?}");
}

/// The text of a model with one piece replaced, the first time it occurs.
fn changed(file: &str, from: &str, to: &str) -> String {
    let text = read(file);
    assert!(text.contains(from), "{file} has no {from}");
    text.replacen(from, to, 1)
}

/// The values of a `key=` line of a LightGBM text with the first replaced.
fn first_value(file: &str, key: &str, to: &str) -> String {
    let text = read(file);
    let at = text.find(&format!("\n{key}=")).unwrap() + key.len() + 2;
    let end = at + text[at..].find([' ', '\n']).unwrap_or(0);
    format!("{}{to}{}", &text[..at], &text[end..])
}

#[test]
fn lightgbm_texts_are_checked() {
    let file = "lgb_regression.lgb";
    for (key, to, expect) in [
        ("left_child", "0", "two parents"),
        ("left_child", "99", "child 99"),
        ("left_child", "-99", "child"),
        ("left_child", "-9223372036854775808", "child"),
        ("split_feature", "5", "feature 5 of 5"),
        ("split_feature", "-1", "no such number"),
        ("threshold", "nan", "no threshold"),
        ("threshold", "x", "no such number"),
        ("leaf_value", "inf", "finite"),
        ("leaf_value", "1 2", "num_leaves"),
        ("num_leaves", "99999999999", "num_leaves"),
        ("decision_type", "12", "missing type 3"),
        ("decision_type", "1", "set that is not there"),
        ("is_linear", "1", "linear_tree"),
        ("num_tree_per_iteration", "0", "num_tree_per_iteration"),
        ("num_tree_per_iteration", "18446744073709551615", "num_tree_per_iteration"),
        ("num_tree_per_iteration", "2", "do not come 2 an iteration"),
        ("max_feature_idx", "18446744073709551615", "beyond"),
        ("max_feature_idx", "1000000000", "names"),
        ("objective", "mystery", "objective mystery"),
    ] {
        check("m.lgb", first_value(file, key, to), expect);
    }
    check("m.lgb", first_value("lgb_categorical.lgb", "cat_boundaries", "5000"), "not there");
    check("m.lgb", "tree\n", "end of trees");
    check("m.lgb", "tree\nend of trees\n", "does not begin");
    check("m.lgb", [&b"tree\n"[..], b"\xff\xfe"].concat(), "UTF-8");
    check("m.lgb", changed("lgb_pandas.lgb", "pandas_categorical:[[", "pandas_categorical:[[[1],"), "no category");
    check("m.lgb", changed("lgb_pandas.lgb", "pandas_categorical:[", "pandas_categorical:[[1],"), "3 lists");
    // a set that many nodes share would stand for more than the file
    let shared = changed("lgb_categorical.lgb", "cat_boundaries=0 ", "cat_boundaries=0 1000000 ");
    assert!(load(&Package::new([("m.lgb", shared.into_bytes())])).is_err());
}

#[test]
fn xgboost_files_are_checked() {
    let file = "xgb_base.json";
    for (from, to, expect) in [
        (r#""left_children":[1,"#, r#""left_children":[0,"#, "two parents"),
        (r#""left_children":[1,"#, r#""left_children":[-1,"#, "child"),
        (r#""left_children":[1,"#, r#""left_children":[1e300,"#, "child"),
        (r#""left_children":[1,"#, r#""left_children":[1,1,"#, "differ in length"),
        (r#""split_indices":["#, r#""split_indices":[9,"#, "differ in length"),
        (r#""split_conditions":["#, r#""split_conditions":[NaN,"#, "differ in length"),
        (
            r#""num_feature":"5","num_target""#,
            r#""num_feature":"99999999999999","num_target""#,
            "99999999999999 columns",
        ),
        (r#""num_feature":"5","num_target""#, r#""num_feature":"0","num_target""#, "names for"),
        (r#""num_class":"0""#, r#""num_class":"99999999999""#, "outputs"),
        (r#""num_class":"0""#, r#""num_class":"-1""#, "no count"),
        (r#""base_score":""#, r#""base_score":"x"#, "base_score"),
        (r#""base_score":"[3E-1]""#, r#""base_score":"[1,2,3]""#, "3 base scores"),
        (r#""tree_info":[0,"#, r#""tree_info":[7,"#, "output 7 of 1"),
        (r#""tree_info":[0,"#, r#""tree_info":[0,0,"#, "does not fit"),
        (r#""name":"gbtree""#, r#""name":"gbforest""#, "booster gbforest"),
        (r#""name":"reg:squarederror""#, r#""name":"reg:mystery""#, "objective reg:mystery"),
        (r#""size_leaf_vector":"1""#, r#""size_leaf_vector":"3""#, "multi_output_tree"),
        (r#""enc":[]"#, r#""enc":[{"values":["a"]}]"#, "categories that were texts"),
    ] {
        check("m.json", changed(file, from, to), expect);
    }
    check("m.json", changed("xgb_binary_base.json", "[3E-1]", "[2E0]"), "out of the range");
    check("m.json", changed("xgb_categorical.json", r#""categories_sizes":["#, r#""categories_sizes":[9,"#), "length");
    check("m.json", "{\"learner\":".repeat(1_000_000), "recursion");
    check("m.json", "{\"a\": 1}", "no learner");
    check("m.ubj", [&b"{"[..], &b"i\x01a{".repeat(1_000_000)].concat(), "deep");
    check("m.bst", &b"binf0000"[..], "before 3");
}

#[test]
fn every_truncation_is_refused() {
    for file in ["xgb_softprob.json", "xgb_softprob.ubj", "xgb_categorical.ubj", "lgb_categorical.lgb"] {
        let bytes = std::fs::read(golden("boosters").join(file)).unwrap();
        // what follows a LightGBM text's last tree says nothing of its predictions
        let end = bytes.windows(13).position(|part| part == b"\nend of trees").unwrap_or(bytes.len());
        for length in (0..end).step_by(end / 150).chain([end - 1]) {
            refuse(file, bytes[..length].to_vec());
        }
    }
}

#[test]
fn what_a_booster_tells_of_itself() {
    let told = |file: &str| {
        let model = load(&package("boosters", file)).unwrap();
        let info = model.info();
        (info.library.clone(), info.estimator.clone(), info.format, info.predict_fn, model.task())
    };
    assert_eq!(
        told("lgb_booster.mlflow"),
        ("lightgbm 4.7.0".into(), "lightgbm.basic.Booster".into(), "lightgbm", PredictFn::Scores, Task::Binary)
    );
    assert_eq!(
        told("lgb_three.mlflow"),
        (
            "lightgbm 4.7.0".into(),
            "lightgbm.sklearn.LGBMClassifier".into(),
            "skops",
            PredictFn::Predict,
            Task::Multiclass(3)
        )
    );
    assert_eq!(
        told("xgb_two.mlflow"),
        (
            "xgboost 3.2.0".into(),
            "xgboost.sklearn.XGBClassifier".into(),
            "xgboost-ubj",
            PredictFn::Predict,
            Task::Binary
        )
    );
    assert_eq!(told("xgb_softmax.json").3, PredictFn::Predict);
    assert_eq!(told("xgb_softprob.json").3, PredictFn::Scores);
    let pandas = load(&package("boosters", "lgb_pandas.lgb")).unwrap();
    let kinds: Vec<ColumnKind> = pandas.inputs().iter().map(|input| input.kind).collect();
    let (number, text) = (ColumnKind::Number, ColumnKind::Text);
    assert_eq!(kinds, [number, number, number, number, text]);
    // XGBoost refuses infinities, LightGBM takes them
    let infinite = [f64::INFINITY; 5];
    assert!(load(&package("boosters", "lgb_plain.lgb")).unwrap().predict_dense(&infinite, 1).is_ok());
    let error = load(&package("boosters", "xgb_plain.ubj")).unwrap().predict_dense(&infinite, 1).unwrap_err();
    assert_eq!(error.to_string(), "column a, row 0: the value is infinite or too large for XGBoost");
}

/// Loads, and if that works predicts: nothing may panic, whatever comes out.
fn survive(file: &str, bytes: Vec<u8>) {
    let Ok(model) = load(&Package::new([(file, bytes)])) else { return };
    let columns = model.inputs().iter().map(|input| match input.kind {
        ColumnKind::Number => Column::Number(vec![0.5, f64::NAN, -1e300, 1e30]),
        ColumnKind::Text => Column::Text(vec![Some("c1".into()), None, Some("".into()), Some("new".into())]),
    });
    let names = model.inputs().iter().map(|input| input.name.clone()).collect();
    let frame = Frame::new(names, columns.collect()).unwrap();
    for rows in [&[][..], &[0], &[1], &[0, 1, 2, 3]] {
        let _ = model.predict(&frame.take(rows));
    }
}

const FILES: [&str; 9] = [
    "lgb_multiclass.lgb",
    "lgb_categorical.lgb",
    "lgb_pandas.lgb",
    "lgb_unnamed.txt",
    "xgb_softprob.json",
    "xgb_categorical.ubj",
    "xgb_dart.ubj",
    "xgb_linear_classes.ubj",
    "xgb_parallel.ubj",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_never_panic(
        file in 0..FILES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0..4), 1..8),
    ) {
        let mut bytes = std::fs::read(golden("boosters").join(FILES[file])).unwrap();
        for (at, from, byte, kind) in &edits {
            let (at, from) = (at.index(bytes.len()), from.index(bytes.len()));
            match kind {
                0 => bytes[at] = *byte,
                1 => bytes.insert(at, b"0123456789-. ={}[]"[usize::from(*byte) % 18]),
                2 => drop(bytes.remove(at)),
                _ => {
                    let length = usize::from(*byte).min(bytes.len() - from.max(at));
                    bytes.copy_within(from..from + length, at);
                }
            }
        }
        survive(FILES[file], bytes);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survive("m.ubj", [&b"{L"[..], &bytes].concat());
        survive("m.json", [&b"{\""[..], &bytes].concat());
        survive("m.lgb", [&b"tree\n"[..], &bytes].concat());
    }
}
