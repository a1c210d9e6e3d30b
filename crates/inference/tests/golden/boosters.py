"""Makes the models of LightGBM and XGBoost and the predictions that `tests/golden.rs` compares with. The numbers are the trainers'.

    python -m venv new && new/bin/pip install lightgbm==4.7.0 xgboost-cpu==3.2.0 scikit-learn==1.9.1 skops==0.16.0 mlflow==3.17.2
    new/bin/python boosters.py boosters
    python3.11 -m venv old && old/bin/pip install lightgbm==3.3.5 xgboost-cpu==2.1.4 scikit-learn==1.3.2 "numpy<2" "pandas<2.3" joblib
    old/bin/python boosters.py boosters-old

Each run replaces its directory. The rows are random ones, then edges: missing, zeros of both signs, denormals, infinities (LightGBM
only: XGBoost refuses them), and the thresholds of the model itself with the numbers beside them.
"""

import json
import pathlib
import re
import shutil
import sys
import tempfile
import warnings

import joblib
import lightgbm as lgb
import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

try:
    import mlflow
except ImportError:
    mlflow = None

warnings.filterwarnings("ignore")
OUT = pathlib.Path(__file__).parent / sys.argv[1]
RNG = np.random.default_rng(11)
CASES = []
NAMES = list("abcde")
ODD = [np.nan, 0.0, -0.0, 5e-324, -5e-324, 1e-45, 1e-36, -1e-34, 16777217.0, 0.1, 1 / 3, -1.0, -0.5, 2.5, 7.0, 31.0, 32.0, 1e9, 3e38]


def frame(rows):
    data = pd.DataFrame(RNG.normal(size=(rows, 5)) * [1, 10, 0.1, 1e3, 1], columns=NAMES)
    data["e"] = RNG.integers(0, 12, size=rows).astype(float)
    return data


X = frame(300)
HOLE = X.mask(RNG.random(X.shape) < 0.15)
ZEROS = X.mask(RNG.random(X.shape) < 0.3, 0.0)
signal = X["a"] * 2 + np.sin(X["b"]) + X["c"] * 3 + (X["d"] > 0) + np.isin(X["e"], [1, 4, 6, 11]) + RNG.normal(size=300) * 0.1
y = signal.to_numpy()
two = (y > np.median(y)).astype(int)
three = np.digitize(y, np.quantile(y, [0.3, 0.7]))
positive = np.exp(y / 3)
kinds = np.isin(X["e"], [1, 4, 6, 11]) * 9.0 - X["e"].to_numpy() % 3 + 0.2 * y
unit = 1 / (1 + np.exp(-y))


def rows(thresholds, single):
    """Random rows, odd numbers in each column, thresholds and their neighbours. `thresholds`: [(column, number)]."""
    kind = np.float32 if single else np.float64
    data = [frame(12).mask(RNG.random((12, 5)) < 0.1).to_numpy()]
    base = frame(1).to_numpy()[0]

    def put(column, number):
        row = base.copy()
        row[column] = number
        data.append(row[None])

    odd = ODD if single else ODD + [np.inf, -np.inf, 1e300]
    for index, number in enumerate(odd):
        put(index % 5, number)
        put(4, number)
        data.append(np.full((1, 5), number))
    for column, number in thresholds[:8]:
        for beside in (number, np.nextafter(kind(number), kind(np.inf)), np.nextafter(kind(number), kind(-np.inf))):
            put(column, float(beside))
    table = np.concatenate(data)
    if single:
        table = table.astype(np.float32).astype(float)
    return pd.DataFrame(table, columns=NAMES)


def number(value):
    value = float(value)
    return None if np.isnan(value) else value if np.isfinite(value) else ("inf" if value > 0 else "-inf")


def listed(array):
    if array is None:
        return None
    array = np.asarray(array)
    return [listed(row) for row in array] if array.ndim == 2 else [number(value) for value in array]


def case(name, files, table, classes=None, values=None, probabilities=None, chosen=None):
    columns = []
    for column in table.columns:
        text = table[column].dtype.kind not in "fiub"
        cells = [None if text and pd.isna(cell) else cell if text else number(cell) for cell in table[column].astype(object)]
        columns.append({"name": column, "kind": "text" if text else "number", "values": cells})
    chosen = None if chosen is None else np.asarray(chosen).astype(int).tolist()
    CASES.append({
        "name": name, "files": files, "columns": columns, "exact": True, "tolerance": 0.0, "classes": classes,
        "values": listed(values), "probabilities": listed(probabilities), "chosen": chosen,
    })  # fmt: skip


def told(name, files, table, output, classes=None):
    """A case of a booster's output: values, P(second class), or a matrix."""
    if classes is None:
        return case(name, files, table, values=output)
    output = np.asarray(output)
    if output.ndim == 1:
        output = np.column_stack([output.dtype.type(1) - output, output])
    return case(name, files, table, classes=list(range(classes)), probabilities=output)


def log(flavor, model, name, data, output):
    """The directory that mlflow writes, without the files that say how to install Python."""
    if mlflow is None:
        return []
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "model"
        flavor.save_model(model, str(path), signature=mlflow.models.infer_signature(data, output))
        (OUT / name).mkdir()
        for file in path.iterdir():
            if file.name.startswith(("MLmodel", "model.")):
                shutil.copy(file, OUT / name / file.name)
    return [name]


# --- LightGBM ---------------------------------------------------------------------------------------------------------


def lgb_thresholds(model):
    found = []
    for block in model.model_to_string().split("Tree=")[1:]:
        part = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for column, threshold, kind in zip(*(part.get(key, "").split() for key in ("split_feature", "threshold", "decision_type"))):
            if not int(kind) & 1:
                found.append((int(column), float(threshold)))
    return found[::3]


def lightgbm(name, label, data=X, classes=None, rounds=5, categorical="auto", dataset=None, **params):
    params = {"verbose": -1, "num_leaves": 7, "min_data_in_leaf": 5, "num_threads": 1, **params}
    train = lgb.Dataset(data, label, categorical_feature=categorical, **(dataset or {}))
    model = lgb.train(params, train, rounds)
    model.save_model(str(OUT / f"{name}.lgb"))
    assert (categorical == "auto") != ("cat_boundaries" in (OUT / f"{name}.lgb").read_text())
    loaded = lgb.Booster(model_file=str(OUT / f"{name}.lgb"))
    table = rows(lgb_thresholds(model), single=False)
    told(name, [f"{name}.lgb"], table, loaded.predict(table), classes)
    return model


def lightgbm_models():
    for objective in ("regression", "regression_l1", "huber", "fair", "quantile", "mape"):
        lightgbm(f"lgb_{objective}", y, HOLE, objective=objective)
    for objective in ("poisson", "gamma", "tweedie"):
        lightgbm(f"lgb_{objective}", positive, HOLE, objective=objective)
    lightgbm("lgb_sqrt", y, objective="regression", reg_sqrt=True)
    lightgbm("lgb_cross_entropy", unit, objective="cross_entropy")
    lightgbm("lgb_cross_entropy_lambda", unit, objective="cross_entropy_lambda")
    lightgbm("lgb_rank", three, objective="lambdarank", dataset={"group": [60] * 5})
    lightgbm("lgb_binary", two, HOLE, 2, objective="binary")
    lightgbm("lgb_binary_sigmoid", two, X, 2, objective="binary", sigmoid=0.7)
    lightgbm("lgb_multiclass", three, HOLE, 3, objective="multiclass", num_class=3)
    lightgbm("lgb_ova", three, HOLE, 3, objective="multiclassova", num_class=3)
    lightgbm("lgb_rf", y, HOLE, objective="regression", boosting="rf", bagging_fraction=0.6, bagging_freq=1)
    lightgbm("lgb_rf_binary", two, HOLE, 2, objective="binary", boosting="rf", bagging_fraction=0.6, bagging_freq=1)
    lightgbm("lgb_dart", y, HOLE, objective="regression", boosting="dart", drop_rate=0.5, rounds=8)
    lightgbm("lgb_no_missing", y, HOLE, objective="regression", use_missing=False)
    lightgbm("lgb_zero_missing", y, ZEROS, objective="regression", zero_as_missing=True)
    lightgbm("lgb_categorical", kinds, HOLE, objective="regression", categorical=["e"], min_data_per_group=5, cat_smooth=1)
    lightgbm("lgb_onehot", kinds, HOLE, objective="regression", categorical=["e"], max_cat_to_onehot=20, min_data_per_group=5)
    lightgbm("lgb_constant", np.ones(300), objective="regression")
    lightgbm("lgb_deep", y, HOLE, objective="regression", num_leaves=80, min_data_in_leaf=1, rounds=3)
    lightgbm("lgb_plain", y, X, objective="regression", rounds=12)
    unnamed = lgb.train({"verbose": -1, "num_leaves": 7, "num_threads": 1}, lgb.Dataset(X.to_numpy(), y), 3)
    unnamed.save_model(str(OUT / "lgb_unnamed.txt"))
    table = rows(lgb_thresholds(unnamed), single=False)
    told("lgb_unnamed", ["lgb_unnamed.txt"], table, unnamed.predict(table.to_numpy()))
    pandas_categories()
    lightgbm_wrappers()


def pandas_categories():
    data = HOLE.assign(e=X["e"].map(lambda e: f"c{e:.0f}").astype("category"), d=X["e"].astype(int).astype("category"))
    model = lightgbm_train(data, y)
    model.save_model(str(OUT / "lgb_pandas.lgb"))
    # the training rows, then values that are no categories
    table = data.head(30).copy()
    odd = table.head(4).copy()
    odd["e"] = pd.Categorical(["c99", None, "", "c0"], categories=["c99", "", *data["e"].cat.categories])
    odd["d"] = pd.Categorical([99, 3, None, 0], categories=[99, *data["d"].cat.categories])
    table = pd.concat([table.astype({"e": odd["e"].dtype, "d": odd["d"].dtype}), odd], ignore_index=True)
    output = model.predict(table)
    plain = table.assign(e=table["e"].astype(object), d=table["d"].astype(float))
    told("lgb_pandas", ["lgb_pandas.lgb"], plain, output)


def lightgbm_train(data, label):
    params = {"verbose": -1, "num_leaves": 7, "min_data_per_group": 5, "cat_smooth": 1, "num_threads": 1}
    return lgb.train(params, lgb.Dataset(data, label), 5)


def stored(name, model, flavor=None, output=None):
    joblib.dump(model, OUT / f"{name}.joblib")
    return [f"{name}.joblib"] + (log(flavor, model, f"{name}.mlflow", X, output) if flavor else [])


def lightgbm_wrappers():
    flavor = mlflow and mlflow.lightgbm
    params = {"n_estimators": 4, "num_leaves": 5, "verbose": -1, "n_jobs": 1}
    model = lgb.LGBMRegressor(**params).fit(HOLE, y)
    table = rows(lgb_thresholds(model.booster_), single=False)
    case("lgb_regressor", stored("lgb_regressor", model, flavor, y), table, values=model.predict(table))
    for name, labels in (("two", np.where(two, "late", "on time")), ("three", three + 10)):
        model = lgb.LGBMClassifier(**params).fit(HOLE, labels)
        table = rows(lgb_thresholds(model.booster_), single=False)
        chosen = np.searchsorted(model.classes_, model.predict(table))
        case(f"lgb_{name}", stored(f"lgb_{name}", model, flavor, labels), table, classes=model.classes_.tolist(),
             probabilities=model.predict_proba(table), chosen=chosen)  # fmt: skip
    model = lgb.LGBMRegressor(n_estimators=40, num_leaves=15, learning_rate=0.8, verbose=-1, n_jobs=1)
    model.fit(X[:150], y[:150], eval_set=[(X[150:], y[150:])], callbacks=[lgb.early_stopping(2, verbose=False)])
    assert 0 < model.best_iteration_ < 38, model.best_iteration_
    table = rows(lgb_thresholds(model.booster_), single=False)
    case("lgb_early", stored("lgb_early", model), table, values=model.predict(table))
    model = make_pipeline(StandardScaler(), lgb.LGBMClassifier(**params)).fit(X, two)
    table = frame(20)
    case("lgb_pipeline", stored("lgb_pipeline", model), table, classes=[0, 1], probabilities=model.predict_proba(table))
    booster = lgb.train({"objective": "binary", "verbose": -1, "num_leaves": 5, "num_threads": 1}, lgb.Dataset(X, two), 4)
    table = rows(lgb_thresholds(booster), single=False)
    files = log(flavor, booster, "lgb_booster.mlflow", X, booster.predict(X)) if flavor else []
    if files:
        told("lgb_booster", files, table, booster.predict(table), 2)


# --- XGBoost ----------------------------------------------------------------------------------------------------------


def xgb_thresholds(model):
    found = [(NAMES.index(a), float(b)) for a, b in re.findall(r"\[([a-e])<([^\]]+)\]", "\n".join(model.get_dump()))]
    return found[::3]


def saved(name, model):
    for ending in ("json", "ubj"):
        model.save_model(str(OUT / f"{name}.{ending}"))
    return [f"{name}.json", f"{name}.ubj"]


def xgboost(name, label, data=HOLE, classes=None, rounds=5, types=None, group=None, **params):
    train = xgb.DMatrix(data, label, feature_types=types, enable_categorical=types is not None)
    if group:
        train.set_group(group)
    model = xgb.train({"max_depth": 3, "nthread": 1, **params}, train, rounds)
    table = rows(xgb_thresholds(model) if params.get("booster") != "gblinear" else [], single=True)
    if types:
        table = table[~((table["e"] < 0) | (table["e"] > 1e6))]
    matrix = xgb.DMatrix(table, feature_types=types, enable_categorical=types is not None)
    told(name, saved(name, model), table, model.predict(matrix), classes)


def xgboost_models():
    identity = ["squarederror", "squaredlogerror", "pseudohubererror", "absoluteerror"]
    for objective in identity:
        xgboost(f"xgb_{objective}", positive, objective=f"reg:{objective}")
    for objective in ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox"):
        xgboost(f"xgb_{objective.split(':')[1]}", positive, objective=objective)
    xgboost("xgb_quantile", y, objective="reg:quantileerror", quantile_alpha=0.7)
    xgboost("xgb_reg_logistic", unit, objective="reg:logistic")
    xgboost("xgb_binary", two, classes=2, objective="binary:logistic")
    xgboost("xgb_binary_base", two, classes=2, objective="binary:logistic", base_score=0.3)
    xgboost("xgb_logitraw", two, objective="binary:logitraw")
    xgboost("xgb_hinge", two, classes=2, objective="binary:hinge")
    xgboost("xgb_softprob", three, classes=3, objective="multi:softprob", num_class=3)
    xgboost("xgb_rank", three, objective="rank:ndcg", group=[60] * 5)
    xgboost("xgb_base", y, objective="reg:squarederror", base_score=0.3)
    xgboost("xgb_deep", y, objective="reg:squarederror", max_depth=12, min_child_weight=0.1, rounds=4)
    xgboost("xgb_plain", y, X, objective="reg:squarederror", rounds=20)
    xgboost("xgb_pruned", y, objective="reg:squarederror", max_depth=6, gamma=3.0)
    xgboost("xgb_dart", y, objective="reg:squarederror", booster="dart", rate_drop=0.5, rounds=10)
    xgboost("xgb_dart_classes", three, classes=3, objective="multi:softprob", num_class=3, booster="dart", rate_drop=0.5)
    xgboost("xgb_parallel", three, classes=3, objective="multi:softprob", num_class=3, num_parallel_tree=3, subsample=0.7)
    xgboost("xgb_linear", y, objective="reg:squarederror", booster="gblinear")
    xgboost("xgb_linear_classes", three, classes=3, objective="multi:softprob", num_class=3, booster="gblinear")
    types = ["q", "q", "q", "q", "c"]
    xgboost("xgb_categorical", kinds, X, types=types, objective="reg:squarederror", max_cat_to_onehot=1)
    xgboost("xgb_onehot", (kinds > 2).astype(int), X, classes=2, types=types, objective="binary:logistic", max_cat_to_onehot=50)
    unnamed = xgb.train({"max_depth": 3, "nthread": 1}, xgb.DMatrix(X.to_numpy(), y), 3)
    table = frame(20)
    told("xgb_unnamed", saved("xgb_unnamed", unnamed), table, unnamed.predict(xgb.DMatrix(table.to_numpy())))
    xgboost_wrappers()


def xgboost_wrappers():
    flavor = mlflow and mlflow.xgboost
    params = {"n_estimators": 4, "max_depth": 3, "n_jobs": 1}

    def both(name, model, output):
        return saved(name, model) + stored(name, model, flavor, output)

    for name, booster in (("xgb_regressor", "gbtree"), ("xgb_regressor_dart", "dart")):
        model = xgb.XGBRegressor(booster=booster, rate_drop=0.5 if booster == "dart" else None, **params).fit(HOLE, y)
        table = rows(xgb_thresholds(model.get_booster()), single=True)
        case(name, both(name, model, y), table, values=model.predict(table))
    for name, labels in (("two", two), ("three", three)):
        model = xgb.XGBClassifier(**params).fit(HOLE, labels)
        table = rows(xgb_thresholds(model.get_booster()), single=True)
        case(f"xgb_{name}", both(f"xgb_{name}", model, labels), table, classes=list(range(labels.max() + 1)),
             probabilities=model.predict_proba(table), chosen=model.predict(table))  # fmt: skip
    model = xgb.XGBRFClassifier(n_estimators=5, max_depth=4, n_jobs=1).fit(HOLE, three)
    table = rows(xgb_thresholds(model.get_booster()), single=True)
    case("xgb_rf", both("xgb_rf", model, three), table, classes=[0, 1, 2], probabilities=model.predict_proba(table),
         chosen=model.predict(table))  # fmt: skip
    model = xgb.XGBClassifier(n_estimators=60, max_depth=3, learning_rate=0.4, n_jobs=1, early_stopping_rounds=2)
    model.fit(X[:150], three[:150], eval_set=[(X[150:], three[150:])], verbose=False)
    assert 0 < model.best_iteration < 56, model.best_iteration
    table = rows(xgb_thresholds(model.get_booster()), single=True)
    case("xgb_early", both("xgb_early", model, three), table, classes=[0, 1, 2], probabilities=model.predict_proba(table))
    model = make_pipeline(StandardScaler(), xgb.XGBRegressor(**params)).fit(X, y)
    table = frame(20)
    case("xgb_pipeline", stored("xgb_pipeline", model), table, values=model.predict(table))
    booster = xgb.train({"objective": "multi:softmax", "num_class": 3, "max_depth": 3}, xgb.DMatrix(X, three), 3)
    table = rows(xgb_thresholds(booster), single=True)
    matrix = xgb.DMatrix(table)
    files = saved("xgb_softmax", booster)
    files += log(flavor, booster, "xgb_softmax.mlflow", X, booster.predict(xgb.DMatrix(X))) if flavor else []
    case("xgb_softmax", files, table, classes=[0, 1, 2], chosen=booster.predict(matrix))


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    lightgbm_models()
    xgboost_models()
    (OUT / "cases.json").write_text(json.dumps({"cases": CASES}, ensure_ascii=False))
    print(len(CASES), "models,", sum(len(one["files"]) for one in CASES), "files")
