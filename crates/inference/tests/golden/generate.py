"""Makes the reference models and predictions that `tests/golden.rs` compares with. The numbers are scikit-learn's own.

    python -m venv new && new/bin/pip install scikit-learn==1.9.1 joblib==1.6.0 skops==0.16.0 cloudpickle==3.1.2 mlflow==3.17.2
    new/bin/python generate.py new
    python3.11 -m venv old && old/bin/pip install scikit-learn==1.3.2 "numpy<2" joblib skops==0.9.0 cloudpickle "pandas<2.3"
    old/bin/python generate.py old

Each run replaces its directory: `cases.json` lists the models with their files, rows and predictions; floats are written so that they
read back to the bit. `mlflow` writes its directories only where it is installed (new).
"""

import json
import pathlib
import pickle
import shutil
import sys
import tempfile
import zipfile

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import sklearn
import skops.io
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

try:
    import mlflow
except ImportError:
    mlflow = None

VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
OUT = pathlib.Path(__file__).parent / sys.argv[1]
RNG = np.random.default_rng(7)
CASES = []
# one file of each kind is enough for the old format of skops
OLD_SKOPS = {"gbr_squared_error", "gbc_three", "rfc", "dtr", "logistic", "pipe_logistic", "pipe_infrequent", "pipe_selectors"}


# --- data -------------------------------------------------------------------------------------------------------------


def numeric(rows):
    return pd.DataFrame(RNG.normal(size=(rows, 5)) * [1, 10, 0.1, 1e3, 1], columns=list("abcde"))


def mixed(rows):
    frame = pd.DataFrame(
        {
            "carrier": RNG.choice(["AA", "B6", "UA", "", "ü—✈", "Z'9\""], size=rows, p=[0.4, 0.3, 0.2, 0.05, 0.03, 0.02]),
            "origin": RNG.choice(["EWR", "JFK", "LGA"], size=rows),
            "hour": RNG.integers(5, 23, size=rows),
            "distance": RNG.lognormal(6, 1, size=rows),
            "temp": RNG.normal(50, 20, size=rows),
            "weekend": RNG.integers(0, 2, size=rows).astype(bool),
        }
    )
    frame["carrier"] = frame["carrier"].astype(object)
    frame["origin"] = frame["origin"].astype(object)
    frame.loc[RNG.random(rows) < 0.15, "temp"] = np.nan
    frame.loc[RNG.random(rows) < 0.1, "carrier"] = np.nan
    return frame


X = numeric(160)
y = (X["a"] * 2 + np.sin(X["b"]) + X["c"] * 3 + (X["d"] > 0) + RNG.normal(size=160) * 0.1).to_numpy()
two = np.where(y > np.median(y), "late", "on time")
three = np.digitize(y, np.quantile(y, [0.3, 0.7]))
hole = X.mask(RNG.random(X.shape) < 0.15)
M = mixed(200)
m_y = (np.nan_to_num(M["temp"], nan=40) / 20 + (M["origin"] == "JFK") + M["hour"] / 10 + RNG.normal(size=200) * 0.2).to_numpy()
m_two = (m_y > np.median(m_y)).astype(int)
m_three = np.array(["low", "mid", "top"])[np.digitize(m_y, np.quantile(m_y, [0.3, 0.7]))]

ODD = [0.0, -0.0, 5e-324, -5e-324, 1e-45, 1e30, -1e30, 16777217.0, 0.1, 1 / 3]


def thresholds(model):
    """Rows that stand on the thresholds of a model's trees, beside them, and on the edges of float32."""
    trees = np.ravel(getattr(model, "estimators_", [model]))
    rows = []
    for tree in trees[:4]:
        tree = tree.tree_
        for node in range(min(tree.node_count, 7)):
            if tree.children_left[node] >= 0 and np.isfinite(tree.threshold[node]):
                t = tree.threshold[node]
                for value in (t, np.nextafter(t, 9e9), np.nextafter(t, -9e9), float(np.float32(t))):
                    row = X.iloc[node].copy()
                    row.iloc[tree.feature[node]] = value
                    rows.append(row)
    return pd.DataFrame(rows)


def odd_rows():
    return pd.DataFrame(RNG.choice(ODD, size=(12, 5)), columns=list("abcde"))


def test_rows(model=None, with_nan=False):
    frames = [numeric(24), odd_rows()]
    if model is not None:
        frames.append(thresholds(model))
    frame = pd.concat(frames, ignore_index=True)
    if with_nan:
        frame = frame.mask(RNG.random(frame.shape) < 0.1)
    return frame


def mixed_rows(unseen=True):
    frame = mixed(40)
    if unseen:
        frame.loc[3, "carrier"] = "never seen"
        frame.loc[4, "origin"] = "ZZZ"
        frame.loc[5, "carrier"] = ""
    return frame


# --- writing ----------------------------------------------------------------------------------------------------------


def plain(value):
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, (bool, np.bool_)):
        return float(value)
    if isinstance(value, str):
        return value
    return float(value)


def columns(frame):
    return [
        {
            "name": str(name),
            "kind": "text" if frame[name].map(lambda v: isinstance(v, str)).any() else "number",
            "values": [plain(value) for value in frame[name]],
        }
        for name in frame.columns
    ]


def save_skops(model, path):
    # deflated to keep the repository small; stored ones come from mlflow
    skops.io.dump(model, path, compression=zipfile.ZIP_DEFLATED, compresslevel=9)


def save_mlflow(model, directory, fmt, example, fn="predict"):
    with tempfile.TemporaryDirectory() as temp:
        kwargs = {"serialization_format": fmt, "pyfunc_predict_fn": fn}
        if fmt == "skops":
            with tempfile.NamedTemporaryFile(suffix=".skops") as probe:
                skops.io.dump(model, probe.name)
                kwargs["skops_trusted_types"] = skops.io.get_untrusted_types(file=probe.name)
        signature = None
        if example is not None:
            signature = mlflow.models.infer_signature(example, model.predict(example))
        mlflow.sklearn.save_model(model, pathlib.Path(temp) / "m", signature=signature, pip_requirements=[], **kwargs)
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("MLmodel", "model.skops", "model.pkl"):
            if (pathlib.Path(temp) / "m" / name).exists():
                shutil.copy(pathlib.Path(temp) / "m" / name, directory / name)


def case(name, model, rows, formats=("joblib", "pickle", "skops"), exact=False, frame=True, tolerance=1e-9, fn="predict"):
    """Writes a fitted model in some formats and what it predicts for the rows."""
    files = []
    if VERSION < (1, 4):
        kept = ("joblib", "zlib", "p2", *(("skops",) if name in OLD_SKOPS else ()))
        formats = [fmt for fmt in formats if fmt in kept]
    for fmt in formats:
        path = OUT / f"{name}.{fmt}"
        if fmt == "joblib":
            joblib.dump(model, path)
        elif fmt == "pickle":
            path = OUT / f"{name}.pkl"
            path.write_bytes(cloudpickle.dumps(model))
        elif fmt.startswith("p") and fmt[1:].isdigit():
            path = OUT / f"{name}.{fmt}.pkl"
            path.write_bytes(pickle.dumps(model, protocol=int(fmt[1:])))
        elif fmt in ("zlib", "gzip", "bz2", "xz", "lzma"):
            path = OUT / f"{name}.{fmt}.joblib"
            joblib.dump(model, path, compress=(fmt, 6))
        elif fmt == "skops":
            save_skops(model, path)
        elif fmt.startswith("mlflow-"):
            if mlflow is None:
                continue
            path = OUT / f"{name}.{fmt}"
            save_mlflow(model, path, fmt.removeprefix("mlflow-"), rows if frame else rows.to_numpy(), fn)
        files.append(path.name)
    given = rows if frame else rows.to_numpy()
    entry = {
        "name": name,
        "files": files,
        "columns": columns(rows),
        "exact": exact,
        "tolerance": tolerance,
        "estimator": type(model).__name__,
        "classes": None,
        "values": None,
        "probabilities": None,
        "chosen": None,
    }
    if hasattr(model, "classes_"):
        classes = list(model.classes_)
        entry["classes"] = [c if isinstance(c, str) else float(c) for c in classes]
        entry["probabilities"] = [[float(p) for p in row] for row in model.predict_proba(given)]
        entry["chosen"] = [classes.index(c) for c in model.predict(given)]
    else:
        entry["values"] = [float(v) for v in model.predict(given)]
    CASES.append(entry)


# --- models -----------------------------------------------------------------------------------------------------------


def boosting():
    for loss in ("squared_error", "absolute_error", "huber", "quantile"):
        model = GradientBoostingRegressor(n_estimators=5, max_depth=3, loss=loss, random_state=1).fit(X, y)
        formats = ("joblib", "pickle", "skops", "zlib", "gzip", "p0", "p1", "p2", "p3", "p4", "p5", "mlflow-skops", "mlflow-cloudpickle")
        case(f"gbr_{loss}", model, test_rows(model), formats if loss == "squared_error" else ("joblib",), exact=True)
    model = GradientBoostingRegressor(n_estimators=5, max_depth=None, max_leaf_nodes=12, init="zero", subsample=0.6, random_state=2)
    case("gbr_leaves_zero", model.fit(X.to_numpy(), y), test_rows(model), exact=True, frame=False)
    model = GradientBoostingRegressor(n_estimators=3, max_depth=9, random_state=2).fit(X, y)
    case("gbr_deep", model, test_rows(model), ("zlib",), exact=True)
    model = GradientBoostingRegressor(n_estimators=40, n_iter_no_change=2, max_depth=2, random_state=2).fit(X, y)
    case("gbr_early_stop", model, test_rows(model), ("joblib",), exact=True)
    for loss in ("log_loss", "exponential"):
        model = GradientBoostingClassifier(n_estimators=5, max_depth=3, loss=loss, random_state=1).fit(X, two)
        case(f"gbc_{loss}", model, test_rows(model), ("joblib", "mlflow-cloudpickle"), fn="predict_proba")
    model = GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=1).fit(X, three)
    case("gbc_three", model, test_rows(model))
    model = GradientBoostingClassifier(n_estimators=4, max_depth=2, init="zero", random_state=1).fit(X, three > 1)
    case("gbc_zero_bool", model, test_rows(model), ("joblib",))


def forests():
    nan = VERSION >= (1, 4)
    for name, cls, target in (
        ("rfr", RandomForestRegressor, y),
        ("rfc", RandomForestClassifier, two),
        ("rfc_three", RandomForestClassifier, three),
        ("etr", ExtraTreesRegressor, y),
        ("etc", ExtraTreesClassifier, three),
    ):
        extra = cls in (ExtraTreesRegressor, ExtraTreesClassifier)
        takes = nan and (not extra or VERSION >= (1, 6))
        model = cls(n_estimators=4, max_depth=5, random_state=3).fit(hole if takes else X, target)
        case(name, model, test_rows(model, takes), ("joblib", "skops") if name == "rfc" else ("joblib",), exact=True)
    model = RandomForestClassifier(n_estimators=11, max_depth=9, random_state=3, class_weight="balanced").fit(X, two)
    case("rfc_balanced", model, test_rows(model), ("zlib", "mlflow-cloudpickle"), exact=True)
    for name, cls, target in (
        ("dtr", DecisionTreeRegressor, y),
        ("dtc", DecisionTreeClassifier, two),
        ("xtr", ExtraTreeRegressor, y),
        ("xtc", ExtraTreeClassifier, three),
    ):
        takes = cls in (DecisionTreeRegressor, DecisionTreeClassifier) or VERSION >= (1, 6)
        model = cls(max_depth=7, random_state=3).fit(hole if takes else X, target)
        case(name, model, test_rows(model, takes), ("joblib", "skops"), exact=True)


def linear():
    rows = test_rows()
    for name, model in (
        ("linear", LinearRegression()),
        ("ridge", Ridge(alpha=2.0)),
        ("lasso", Lasso(alpha=0.01)),
        ("elastic", ElasticNet(alpha=0.01)),
        ("linear_bare", LinearRegression(fit_intercept=False)),
    ):
        case(name, model.fit(X, y), rows, ("joblib", "pickle", "skops"))
    small = numeric(30)
    case("logistic", LogisticRegression().fit(X, two), small, ("joblib", "pickle", "skops", "mlflow-skops"))
    case("logistic_three", LogisticRegression(max_iter=500).fit(X, three), small)
    case("logistic_bare", LogisticRegression(fit_intercept=False).fit(X, three), small, ("joblib",))
    case("logistic_cv", LogisticRegressionCV(Cs=3, cv=3, max_iter=500).fit(X, two), small, ("joblib",))
    if VERSION < (1, 8):
        case("logistic_ovr", LogisticRegression(multi_class="ovr").fit(X, three), small)
        case("logistic_multinomial_two", LogisticRegression(multi_class="multinomial").fit(X, two), small, ("joblib",))
        case("logistic_liblinear", LogisticRegression(solver="liblinear").fit(X, three), small, ("joblib",))


TEXT = ["carrier", "origin"]
NUMBERS = ["hour", "distance", "temp"]


def flights(final, **encoder):
    return Pipeline(
        [
            (
                "columns",
                ColumnTransformer(
                    [
                        ("num", make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), NUMBERS),
                        (
                            "cat",
                            make_pipeline(
                                SimpleImputer(strategy="most_frequent"), OneHotEncoder(**{"handle_unknown": "ignore", **encoder})
                            ),
                            TEXT,
                        ),
                    ],
                    remainder="passthrough",
                ),
            ),
            ("model", final),
        ]
    )


def pipelines():
    rows = mixed_rows()
    model = flights(LogisticRegression(max_iter=1000)).fit(M, m_two)
    case("pipe_logistic", model, rows, ("joblib", "pickle", "skops", "mlflow-cloudpickle"), fn="predict_proba")
    model = flights(GradientBoostingClassifier(n_estimators=6, random_state=1), sparse_output=False).fit(M, m_two)
    case("pipe_gbc", model, rows, ("joblib", "skops", "mlflow-cloudpickle"))
    case("pipe_forest", flights(RandomForestRegressor(n_estimators=4, max_depth=5, random_state=1)).fit(M, m_y), rows, ("joblib", "skops"))
    case("pipe_infrequent", flights(Ridge(), min_frequency=20, handle_unknown="infrequent_if_exist").fit(M, m_y), rows)
    case("pipe_max_categories", flights(Ridge(), max_categories=3, handle_unknown="ignore", drop="first").fit(M, m_y), rows)
    case("pipe_drop_binary", flights(Ridge(), drop="if_binary", handle_unknown="error").fit(M, m_y), mixed_rows(False), ("joblib", "skops"))
    model = flights(Ridge(), drop=np.array(["UA", "LGA"], dtype=object)).fit(M, m_y)
    case("pipe_drop_given", model, rows, ("joblib", "skops"))
    if VERSION >= (1, 6):
        case("pipe_warn", flights(Ridge(), handle_unknown="warn", min_frequency=15).fit(M, m_y), rows, ("joblib",))
    selectors(rows)
    encoders(rows)
    scalers()


def selectors(rows):
    model = make_pipeline(
        ColumnTransformer(
            [
                ("by_index", MinMaxScaler(clip=True), [2, 3]),
                ("by_mask", "drop", [True, False, False, False, False, False]),
                ("by_slice", OneHotEncoder(), slice(1, 2)),
                ("by_name", "passthrough", ["weekend"]),
            ],
            remainder=SimpleImputer(strategy="constant", fill_value=-1.5),
        ),
        Lasso(alpha=0.001),
    )
    case("pipe_selectors", model.fit(M, m_y), mixed_rows(False), ("joblib", "pickle", "skops"))
    model = make_pipeline(
        ColumnTransformer(
            [
                ("text", OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=object)),
                ("numbers", "passthrough", make_column_selector(dtype_include=np.number)),
                ("nothing", StandardScaler(), []),
            ],
            sparse_threshold=0,
        ),
        HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=5, random_state=1),
    )
    case("pipe_callables", model.fit(M, m_y), rows, ("joblib", "pickle"), exact=True)
    model = make_pipeline(
        FeatureUnion([("scaled", StandardScaler()), ("raw", "passthrough"), ("gone", "drop")]),
        "passthrough",
        LinearRegression(),
    )
    case("pipe_union", model.fit(X, y), numeric(20), ("joblib", "skops"))


def encoders(rows):
    columns = ColumnTransformer(
        [
            ("o", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2), TEXT),
            ("h", OneHotEncoder(handle_unknown="ignore"), ["hour", "weekend", "carrier"]),
            ("d", SimpleImputer(strategy="constant", fill_value=0.25, add_indicator=True), ["temp", "distance"]),
        ],
        sparse_threshold=0,
    )
    model = make_pipeline(columns, DecisionTreeRegressor(max_depth=6, random_state=1))
    case("pipe_ordinal", model.fit(M, m_y), rows, ("joblib", "pickle", "skops"), exact=True)
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, min_frequency=15)
    model = make_pipeline(ColumnTransformer([("o", ordinal, TEXT)]), HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=5))
    case("pipe_ordinal_infrequent", model.fit(M, m_three), rows, ("joblib",))
    model = make_pipeline(
        ColumnTransformer(
            [
                (
                    "c",
                    make_pipeline(
                        SimpleImputer(strategy="constant", fill_value="(none)"),
                        SimpleImputer(missing_values="", strategy="constant", fill_value="(empty)"),
                        OneHotEncoder(handle_unknown="ignore"),
                    ),
                    ["carrier"],
                ),
                ("n", SimpleImputer(missing_values=12, strategy="mean"), ["hour"]),
            ]
        ),
        LogisticRegression(max_iter=1000),
    )
    case("pipe_imputers", model.fit(M, m_three), rows, ("joblib", "skops"))


def scalers():
    rows = numeric(20)
    for name, scaler in (
        ("standard_no_mean", StandardScaler(with_mean=False)),
        ("robust", RobustScaler()),
        ("max_abs", MaxAbsScaler()),
        ("min_max", MinMaxScaler((-2, 3))),
    ):
        case(f"pipe_{name}", make_pipeline(scaler, Ridge()).fit(X, y), rows, ("joblib",))
    single = X.astype(np.float32)
    model = make_pipeline(StandardScaler(), MinMaxScaler(), GradientBoostingRegressor(n_estimators=6, random_state=1)).fit(single, y)
    case("pipe_float32", model, numeric(40).astype(np.float32), ("mlflow-cloudpickle",), exact=True)


def histograms():
    model = HistGradientBoostingRegressor(max_iter=4, min_samples_leaf=5, random_state=1).fit(hole, y)
    case("hgbr", model, test_rows(with_nan=True), ("joblib", "pickle"), exact=True)
    case("hgbr_poisson", HistGradientBoostingRegressor(loss="poisson", max_iter=4).fit(X, np.abs(y)), test_rows(), ("joblib",))
    case("hgbc", HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5).fit(hole, two), test_rows(with_nan=True), ("joblib", "skops"))
    case("hgbc_three", HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5).fit(hole, three), test_rows(with_nan=True), ("joblib",))
    frame = M.assign(carrier=M["carrier"].astype("category"), origin=M["origin"].astype("category"))
    if VERSION >= (1, 4):
        model = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=5, categorical_features="from_dtype").fit(frame, m_y)
        rows = mixed_rows()
        rows = rows.assign(carrier=rows["carrier"].astype("category"), origin=rows["origin"].astype("category"))
        case("hgbr_text", model, rows, ("joblib", "pickle"), exact=True)
    codes = pd.DataFrame({"hour": M["hour"], "temp": M["temp"]})
    model = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=5, categorical_features=["hour"]).fit(codes, m_y)
    rows = pd.DataFrame({"hour": [5.0, 7, 22, 23, 1, np.nan, -1, 12, 13], "temp": [50.0, np.nan, 20, 30, 90, 1, 2, 3, 4]})
    case("hgbr_codes", model, rows, ("joblib", "skops"), exact=True)


def bench():
    """The size of the benchmark: 200 trees of depth 4 over 20 features. What prediction does not read is zeroed, to pack well."""
    big = pd.DataFrame(RNG.normal(size=(2000, 20)), columns=[f"f{i}" for i in range(20)])
    target = big["f0"] * 2 + np.sin(big["f1"]) + big["f2"] * big["f3"]
    model = GradientBoostingRegressor(n_estimators=200, max_depth=4, random_state=0).fit(big.round(2), target)
    for estimator in model.estimators_.ravel():
        state = estimator.tree_.__getstate__()
        for name in ("impurity", "n_node_samples", "weighted_n_node_samples"):
            state["nodes"][name] = 0
        estimator.tree_.__setstate__(state)
        estimator.random_state = 0
    model.train_score_ = None
    case("bench_gbr", model, big.iloc[:25].round(3), ("zlib",), exact=True)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    boosting()
    forests()
    linear()
    pipelines()
    histograms()
    if VERSION >= (1, 9):
        bench()
    versions = {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "skops": skops.__version__, "joblib": joblib.__version__}
    text = json.dumps({"versions": versions, "cases": CASES}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    (OUT / "cases.json").write_text(text.replace('{"name"', '\n{"name"'), encoding="utf-8")


main()
