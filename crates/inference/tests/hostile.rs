//! Files that were made to do harm: each is refused with a clear error, runs nothing, takes no memory to speak of and no time.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/forge.rs"]
mod forge;
mod support;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use forge::{Entry, Pickle, unzip, zip};
use kernel::error::Classified;
use rondo_inference::{LoadError, Package, load};
use support::golden;

fn refuse(name: &str, bytes: Vec<u8>) -> LoadError {
    let start = Instant::now();
    let error = load(&Package::new([(name, bytes)])).map(|model| model.info().clone()).unwrap_err();
    assert!(start.elapsed() < Duration::from_mins(1), "{error} took {:?}", start.elapsed());
    assert!(error.hint().is_some());
    error
}

fn check(name: &str, bytes: Vec<u8>, expect: &str) {
    let text = refuse(name, bytes).to_string();
    assert!(text.contains(expect), "{text:?} does not say {expect:?}");
}

#[test]
fn a_reduce_that_would_run_a_shell_is_a_name() {
    let directory = tempfile::tempdir().unwrap();
    let canary = directory.path().join("ran");
    let command = format!("touch {}", canary.display());
    let call = |pickle: Pickle| pickle.class("posix", "system").text(&command).op(&[0x85]).op(b"R");
    let forms = [
        (call(Pickle::new()).stop(), "class posix.system at the model"),
        (format!("cos\nsystem\n(S'{command}'\ntR.").into_bytes(), "class os.system at the model"),
        (format!("(S'{command}'\nios\nsystem\n.").into_bytes(), "class os.system at the model"),
        (Pickle::new().pipeline(&[&call]).stop(), "class posix.system at the model.steps[0][1]"),
        (
            Pickle::new().class("builtins", "eval").text("1").op(b"\x85\x81}b").stop(),
            "class builtins.eval at the model",
        ),
        (
            Pickle::new().pipeline(&[&|pickle: Pickle| pickle.object("evil", "Model", &[])]).stop(),
            "class evil.Model at",
        ),
    ];
    for (bytes, expect) in forms {
        check("model.pkl", bytes, expect);
    }
    assert!(!Path::new(&canary).exists());
}

#[test]
fn unknown_classes_say_what_to_do() {
    let one = |p: Pickle| p.op(b"K\x01");
    let step = |p: Pickle| p.object("sklearn.svm._classes", "SVC", &[("n_features_in_", &one)]);
    let error = refuse("m.pkl", Pickle::new().pipeline(&[&step]).stop());
    assert_eq!(
        error,
        LoadError::UnknownClass {
            class: "sklearn.svm._classes.SVC".to_owned(),
            place: "the model.steps[0][1]".to_owned(),
        }
    );
    assert!(error.hint().unwrap().contains("replace this step"));
}

#[test]
fn every_truncation_is_refused() {
    for (directory, file) in [
        ("new", "gbr_squared_error.p4.pkl"),
        ("new", "gbr_squared_error.p0.pkl"),
        ("new", "pipe_logistic.joblib"),
        ("new", "pipe_logistic.skops"),
        ("new", "gbr_squared_error.zlib.joblib"),
        ("new", "gbr_squared_error.gzip.joblib"),
        ("old", "pipe_logistic.joblib"),
    ] {
        let bytes = std::fs::read(golden(directory).join(file)).unwrap();
        let step = (bytes.len() / 150).max(1);
        for length in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
            refuse(file, bytes[..length].to_vec());
        }
    }
}

#[test]
fn declared_sizes_are_checked_against_what_is_there() {
    for op in [0x8d_u8, 0x8e, 0x96] {
        for length in [u64::MAX, 1 << 62, 1 << 40, 100] {
            check("m.pkl", Pickle::new().op(&[op]).op(&length.to_le_bytes()).stop(), "truncated");
        }
    }
    for op in [b'X', b'B', b'T', 0x8b] {
        check("m.pkl", Pickle::new().op(&[op]).op(&u32::MAX.to_le_bytes()).stop(), "truncated");
    }
    let wrapper = |sides: &[u8]| {
        let dtype = |p: Pickle| p.class("numpy", "dtype").text("f8").op(&[0x85]).op(b"R");
        let shape = |p: Pickle| p.op(sides);
        let order = |p: Pickle| p.text("C");
        let parts: [(&str, &dyn Fn(Pickle) -> Pickle); 3] = [("dtype", &dtype), ("shape", &shape), ("order", &order)];
        Pickle::new().object("joblib.numpy_pickle", "NumpyArrayWrapper", &parts).stop()
    };
    check("m.joblib", wrapper(b"J\xff\xff\xff\x7f\x85"), "truncated");
    check("m.joblib", wrapper(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x87"), "larger than memory");
    check("m.joblib", wrapper(b"J\xff\xff\xff\xff\x85"), "no shape");
}

#[test]
fn nesting_and_cycles_end() {
    let deep = [vec![b'('; 1_000_000], vec![b't'; 1_000_000]].concat();
    check("m.pkl", Pickle::new().op(&deep).stop(), "class tuple at the model");
    // a list that contains itself
    check("m.pkl", Pickle::new().op(b"]\x94h\x00a").stop(), "class list at the model");
    // a pipeline that is its own step
    let inner = Pickle::new().class("sklearn.pipeline", "Pipeline").op(b")\x81\x94}(");
    let own =
        inner.text("steps").op(b"](").text("again").op(b"h\x00\x86e").text("_sklearn_version").text("1.9.1").op(b"ub");
    check("m.pkl", own.stop(), "the model");
    // pipelines that double at each level: 2^16 estimators in a few hundred bytes
    let mut pickle = Pickle::new().text("passthrough").op(b"q\x00");
    for level in 0..14_u8 {
        let again = move |p: Pickle| p.op(&[b'h', level]);
        let union =
            |p: Pickle| p.op(b"](").text("a").op(&[b'h', level]).op(&[0x86]).text("b").op(&[b'h', level]).op(b"\x86e");
        let none = |p: Pickle| p.op(b"N");
        let parts: [(&str, &dyn Fn(Pickle) -> Pickle); 3] =
            [("transformer_list", &union), ("transformer_weights", &none), ("unused", &again)];
        pickle = pickle.object("sklearn.pipeline", "FeatureUnion", &parts).op(&[b'q', level + 1]);
    }
    let scaler = |p: Pickle| {
        let one = |p: Pickle| p.op(b"K\x01");
        let off = |p: Pickle| p.op(&[0x89]);
        p.object(
            "sklearn.preprocessing._data",
            "StandardScaler",
            &[("n_features_in_", &one), ("with_mean", &off), ("with_std", &off)],
        )
    };
    let last = |p: Pickle| p.op(b"h\x0e");
    check("m.pkl", pickle.pipeline(&[&scaler, &last, &last]).stop(), "more than 4096 estimators");
}

#[test]
fn copies_are_counted() {
    // a long text, encoded a hundred thousand times by a few bytes each
    let text = "x".repeat(1 << 16);
    let mut bomb = Pickle::new().class("_codecs", "encode").op(b"q\x00").text(&text).op(b"q\x01");
    bomb = bomb.text("latin1").op(b"q\x02");
    let bomb = bomb.op(&b"h\x00h\x01h\x02\x86R".repeat(100_000));
    check("m.pkl", bomb.stop(), "copied too often");
    let members = Pickle::new().op(b"(").op(&vec![b'N'; 1 << 17]).op(b"tq\x00").class("a", "b").op(b"q\x01");
    check("m.pkl", members.op(&b"h\x01h\x00R".repeat(100_000)).stop(), "copied too often");
    let name = "n".repeat(2000);
    check("m.pkl", Pickle::new().class(&name, "x").stop(), "too long");
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0_u8; 8 << 20];
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(&zeros).unwrap();
    check("m.joblib", zlib.finish().unwrap(), "100 times its size");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&zeros).unwrap();
    check("m.joblib", gzip.finish().unwrap(), "100 times its size");
    let entry = |announced| Entry { name: "schema.json", contents: zeros.clone(), deflate: true, announced };
    check("m.skops", zip(&[entry(None)]), "unpacks to more than is granted");
    // a directory that announces little: no more than that is unpacked
    check("m.skops", zip(&[entry(Some(1000))]), "schema.json");
    for (begin, name) in
        [(&b"BZh9"[..], "bz2"), (b"\xfd7zXZ\0", "xz"), (b"\x04\x22\x4d\x18", "lz4"), (b"\x5d\0\0", "lzma")]
    {
        check("m.joblib", begin.to_vec(), name);
    }
}

#[test]
fn zip_archives_must_be_unambiguous() {
    let schema = || Entry::new("schema.json", "{}");
    check("m.skops", zip(&[schema(), schema()]), "there twice");
    for name in ["../../etc/passwd", "/etc/passwd", "a/b.npy", "..", "a\\b", "", "é.npy"] {
        check("m.skops", zip(&[schema(), Entry::new(name, "x")]), "plain file name");
    }
    check("m.skops", zip(&[]), "no entry schema.json");
    let mut wrong = zip(&[schema()]);
    let at = wrong.windows(2).position(|two| two == b"{}").unwrap();
    wrong[at] = b'[';
    check("m.skops", wrong, "checksum");
    let mut far = zip(&[schema()]);
    let directory = far.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    far[directory + 42..directory + 46].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    check("m.skops", far, "truncated");
}

#[test]
fn skops_schemas_are_data_only() {
    let check_schema = |schema: &str, expect: &str| {
        let npy = b"\x93NUMPY\x01\x00\x36\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}";
        check("m.skops", zip(&[Entry::new("schema.json", schema), Entry::new("1.npy", npy.to_vec())]), expect);
    };
    check_schema("", "schema.json");
    check_schema("[]", "no object");
    check_schema(&"[".repeat(1_000_000), "schema.json");
    check_schema(&"{\"content\":".repeat(1_000_000), "schema.json");
    check_schema(r#"{"__class__":"system","__module__":"os","__loader__":"FunctionNode"}"#, "class os.system");
    check_schema(
        r#"{"__class__":"P","__module__":"subprocess","__loader__":"ObjectNode","content":{}}"#,
        "class subprocess.P",
    );
    check_schema(r#"{"__loader__":"CachedNode","__id__":1}"#, "cached");
    let array =
        |rest: &str| format!(r#"{{"__class__":"ndarray","__module__":"numpy","__loader__":"NdArrayNode",{rest}}}"#);
    check_schema(&array(r#""type":"numpy","file":"../../../etc/passwd""#), "no entry ../../../etc/passwd");
    check_schema(&array(r#""type":"numpy","file":"1.npy""#), "pickled objects");
    let shape = r#"{"__loader__":"TupleNode","content":[{"__loader__":"JsonNode","content":"99999999999"}]}"#;
    check_schema(&array(&format!(r#""type":"json","content":[],"shape":{shape}"#)), "does not fit its shape");
}

/// Where the nodes of a tree begin in a joblib file: the left children of the first two nodes are 1 and 2.
fn nodes_of(bytes: &[u8]) -> usize {
    let int = |at: usize| i64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    (0..bytes.len() - 72).find(|at| int(*at) == 1 && int(at + 64) == 2).unwrap()
}

#[test]
fn trees_with_bad_indices_are_refused() {
    let bytes = std::fs::read(golden("new").join("gbr_huber.joblib")).unwrap();
    let at = nodes_of(&bytes);
    let with = |offset: usize, value: i64| {
        let mut bytes = bytes.clone();
        bytes[at + offset..at + offset + 8].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    assert!(load(&Package::new([("m.joblib", with(0, 1))])).is_ok());
    for value in [0, 1 << 40, -2, i64::MIN, i64::MAX] {
        check("m.joblib", with(0, value), "has child");
    }
    check("m.joblib", with(8, 1), "two parents");
    for value in [5, -2, 1 << 33] {
        check("m.joblib", with(16, value), "asks for feature");
    }
    check("m.joblib", with(24, f64::NAN.to_bits() as i64), "no threshold");
}

#[test]
fn packages_without_a_model() {
    check("notes.txt", b"hello".to_vec(), "damaged");
    let none = load(&Package::new([("a.txt", "x"), ("b.txt", "y")])).map(|_| ()).unwrap_err();
    assert_eq!(none.to_string(), "no model file found among: a.txt, b.txt");
    let path = "flavors: {sklearn: {pickled_model: ../../../etc/passwd}}";
    let outside = load(&Package::new([("MLmodel", path)])).map(|_| ()).unwrap_err();
    assert!(matches!(outside, LoadError::NoModel { .. }));
}

mod mutations {
    use proptest::prelude::*;

    use super::*;
    use kernel::frame::{Column, ColumnKind, Frame};

    /// Loads, and if that works predicts: nothing may panic, whatever comes out.
    fn survive(file: &str, bytes: Vec<u8>) {
        let Ok(model) = load(&Package::new([(file, bytes)])) else { return };
        let columns = model.inputs().iter().map(|input| match input.kind {
            ColumnKind::Number => Column::Number(vec![0.5, f64::NAN, -1e300, f64::INFINITY]),
            ColumnKind::Text => Column::Text(vec![Some("AA".into()), None, Some("".into()), Some("new".into())]),
        });
        let names = model.inputs().iter().map(|input| input.name.clone()).collect();
        let frame = Frame::new(names, columns.collect()).unwrap();
        for rows in [&[][..], &[0], &[1], &[0, 1, 2, 3]] {
            let _ = model.predict(&frame.take(rows));
        }
    }

    #[derive(Clone, Debug)]
    enum Edit {
        Set(usize, u8),
        Insert(usize, u8),
        Delete(usize),
        Copy(usize, usize, usize),
        Wide(usize, i64),
    }

    fn edit() -> impl Strategy<Value = Edit> {
        let at = any::<prop::sample::Index>().prop_map(|index| index.index(1 << 20));
        let far = at.clone();
        prop_oneof![
            (at.clone(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
            (at.clone(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
            at.clone().prop_map(Edit::Delete),
            (at.clone(), far, 1..200_usize).prop_map(|(from, to, length)| Edit::Copy(from, to, length)),
            (at, prop_oneof![Just(-1), Just(0), Just(i64::MAX), -3..70_i64])
                .prop_map(|(at, value)| Edit::Wide(at, value)),
        ]
    }

    fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
        let length = bytes.len();
        if length < 16 {
            return;
        }
        match *edit {
            Edit::Set(at, byte) => bytes[at % length] = byte,
            Edit::Insert(at, byte) => bytes.insert(at % length, byte),
            Edit::Delete(at) => drop(bytes.remove(at % length)),
            Edit::Copy(from, to, count) => {
                let (from, to) = (from % length, to % length);
                let count = count.min(length - from.max(to));
                bytes.copy_within(from..from + count, to);
            }
            Edit::Wide(at, value) => {
                let at = at % (length - 8);
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
    }

    const FILES: [&str; 10] = [
        "gbr_huber.joblib",
        "gbr_squared_error.p0.pkl",
        "gbr_squared_error.p2.pkl",
        "gbr_squared_error.p5.pkl",
        "rfc.joblib",
        "hgbr_codes.joblib",
        "logistic.pkl",
        "pipe_logistic.joblib",
        "pipe_selectors.pkl",
        "pipe_ordinal.joblib",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn of_pickles_never_panic(file in 0..FILES.len(), edits in prop::collection::vec(edit(), 1..6)) {
            let mut bytes = std::fs::read(golden("new").join(FILES[file])).unwrap();
            for edit in &edits {
                apply(&mut bytes, edit);
            }
            survive(FILES[file], bytes);
        }

        #[test]
        fn of_skops_never_panic(schema in any::<bool>(), pick in any::<prop::sample::Index>(), edits in prop::collection::vec(edit(), 1..4)) {
            let archive = std::fs::read(golden("new").join("logistic.mlflow-skops/model.skops")).unwrap();
            let mut entries = unzip(&archive);
            let index = if schema { entries.iter().position(|(name, _)| name == "schema.json").unwrap() } else { pick.index(entries.len()) };
            for edit in &edits {
                apply(&mut entries[index].1, edit);
            }
            let entries: Vec<Entry<'_>> = entries.iter().map(|(name, contents)| Entry::new(name, contents.clone())).collect();
            survive("model.skops", zip(&entries));
        }

        #[test]
        fn of_archives_never_panic(edits in prop::collection::vec(edit(), 1..4)) {
            let mut archive = std::fs::read(golden("new").join("pipe_logistic.skops")).unwrap();
            for edit in &edits {
                apply(&mut archive, edit);
            }
            survive("model.skops", archive);
        }

        #[test]
        fn of_noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            survive("model.pkl", bytes.clone());
            survive("model.pkl", [&[0x80, 4][..], &bytes].concat());
        }

        #[test]
        fn of_mlmodel_never_panic(edits in prop::collection::vec(edit(), 1..6)) {
            let directory = golden("new").join("pipe_logistic.mlflow-cloudpickle");
            let mut mlmodel = std::fs::read(directory.join("MLmodel")).unwrap();
            for edit in &edits {
                apply(&mut mlmodel, edit);
            }
            let model = std::fs::read(directory.join("model.pkl")).unwrap();
            let _ = load(&Package::new([("MLmodel", mlmodel), ("model.pkl", model)]));
        }
    }
}
