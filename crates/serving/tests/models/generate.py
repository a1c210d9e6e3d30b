"""Makes the models that the tests serve, and what scikit-learn answers for some rows.

Run with mlflow 3.17.2 and scikit-learn 1.9 in the environment: python generate.py
"""

import json
import shutil
import tempfile
from pathlib import Path

import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = Path(__file__).parent
KEPT = ("MLmodel", "model.pkl", "model.skops")


def save(name, model, frame, predict, signature=True, **options):
    """Saves a model as mlflow does, without the files that describe its environment."""
    if options.get("serialization_format") != "cloudpickle":
        options["skops_trusted_types"] = ["sklearn.tree._tree.Tree", "numpy.dtype"]
    target = HERE / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        described = infer_signature(frame, predict(frame)) if signature else None
        mlflow.sklearn.save_model(
            model,
            f"{folder}/m",
            signature=described,
            pip_requirements=["scikit-learn"],
            **options,
        )
        for file in KEPT:
            source = Path(folder) / "m" / file
            if source.exists():
                shutil.copy(source, target / file)
    rows = frame.head(50)
    answers = {"rows": json.loads(rows.to_json(orient="records")), "predictions": predict(rows).tolist()}
    if hasattr(model, "predict_proba"):
        answers["probabilities"] = model.predict_proba(rows).tolist()
        answers["classes"] = model.classes_.tolist()
    (target / "expected.json").write_text(json.dumps(answers))


def main():
    random = np.random.default_rng(7)
    n = 400
    numbers = pd.DataFrame({f"f{i}": random.normal(size=n) for i in range(4)})
    target = numbers["f0"] * 2 + numbers["f1"] ** 2 + random.normal(scale=0.1, size=n)

    for name, seed in (("regression-1", 1), ("regression-2", 2)):
        model = GradientBoostingRegressor(n_estimators=6, max_depth=3, random_state=seed, subsample=0.7)
        model.fit(numbers, target)
        save(name, model, numbers, model.predict)

    flights = pd.DataFrame({
        "carrier": random.choice(["AA", "DL", "UA"], size=n),
        "hour": random.integers(5, 23, size=n),
        "distance": random.uniform(100, 3000, size=n),
        "prev_delay": np.where(random.random(n) < 0.3, np.nan, random.normal(5, 30, size=n)),
    })
    late = (flights["prev_delay"].fillna(0) + flights["hour"] + random.normal(scale=10, size=n) > 20).astype(int)
    prepare = ColumnTransformer([
        ("text", OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
        ("number", Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler())]), ["hour", "distance", "prev_delay"]),
    ])
    binary = Pipeline([("prepare", prepare), ("model", LogisticRegression())]).fit(flights, late)
    save("binary", binary, flights, binary.predict)

    kinds = np.array(["high", "low", "mid"])[np.digitize(target, [-0.5, 1.5])]
    forest = RandomForestClassifier(n_estimators=8, max_depth=4, random_state=3).fit(numbers, kinds)
    save("multiclass", forest, numbers, forest.predict, serialization_format="cloudpickle", pyfunc_predict_fn="predict_proba")

    bare = GradientBoostingRegressor(n_estimators=5, max_depth=2, random_state=5)
    bare.fit(numbers.to_numpy(), target)
    save("matrix", bare, numbers, lambda rows: bare.predict(rows.to_numpy()), signature=False)


main()
