"""Trains a model of late arrivals, logs the run with a stock mlflow client, and registers the model: as a candidate, no more.

    python train.py data/train.csv run.json

Whether the candidate may replace the version in production is not for this program to say: Rondo compares the two.
"""

import json
import os
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import mlflow.data
import mlflow.sklearn
import pandas as pd
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, Schema
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

NAME = os.environ.get("RONDO_PIPELINE", "flight-delay")
PIPELINE_RUN = os.environ.get("RONDO_PIPELINE_RUN", "by hand")
TEXTS = ["carrier", "origin", "dest"]
NUMBERS = ["distance", "hour", "weekday", "temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib", "prev_delay"]
# Any number may be missing at some hour; a signature inferred from rows would forbid what these rows happen to have.
SIGNATURE = ModelSignature(
    inputs=Schema(
        [ColSpec(DataType.string, name) for name in TEXTS]
        + [ColSpec(DataType.double, name, required=False) for name in NUMBERS]
    ),
    outputs=Schema([ColSpec(DataType.long)]),
)


def params() -> dict[str, float]:
    given = {name: os.environ.get(f"RONDO_PARAM_{name.upper()}") for name in ("max_rows", "trees", "depth", "rate")}
    return {
        "max_rows": int(given["max_rows"] or 30_000),
        "trees": int(given["trees"] or 200),
        "depth": int(given["depth"] or 4),
        "rate": float(given["rate"] or 0.05),
    }


def pipeline(trees: int, depth: int, rate: float) -> Pipeline:
    columns = ColumnTransformer(
        [
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), TEXTS),
            # Far below all real values, so that a tree can tell missing from everything else.
            ("numbers", SimpleImputer(strategy="constant", fill_value=-999.0), NUMBERS),
        ]
    )
    model = GradientBoostingClassifier(
        n_estimators=trees,
        max_depth=depth,
        learning_rate=rate,
        max_features="sqrt",
        subsample=0.5,
        min_samples_leaf=20,
        random_state=0,
    )
    return Pipeline([("columns", columns), ("model", model)])


def registered(client: mlflow.MlflowClient) -> str | None:
    """The version that an attempt of this pipeline run registered before it was cut off; a run makes one candidate, not two."""
    for version in client.search_model_versions(f"name='{NAME}'"):
        if version.tags.get("rondo.pipeline_run") == PIPELINE_RUN:
            return version.version
    return None


def train(rows: pd.DataFrame, settings: dict[str, float]) -> str:
    """Trains, logs and registers; returns the version."""
    rows = rows.astype({name: "float64" for name in NUMBERS})
    until = datetime.fromisoformat(rows.event_time.iloc[-1].replace("Z", "+00:00")) + timedelta(seconds=1)
    # The last tenth in time says how good the model is before it meets the one in production.
    split = len(rows) - len(rows) // 10
    settings_of_model = {name: settings[name] for name in ("trees", "depth", "rate")}
    trial = pipeline(**settings_of_model).fit(rows[TEXTS + NUMBERS][:split], rows.late[:split])
    scores = trial.predict_proba(rows[TEXTS + NUMBERS][split:])[:, 1]
    model = pipeline(**settings_of_model).fit(rows[TEXTS + NUMBERS], rows.late)

    tags = {
        "rondo.trained_until": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "rondo.pipeline": NAME,
        "rondo.pipeline_run": PIPELINE_RUN,
    }
    with mlflow.start_run(tags=tags) as run:
        mlflow.log_params(settings | {"rows": len(rows), "from": rows.event_time.iloc[0], "until": rows.event_time.iloc[-1]})
        mlflow.log_metrics(
            {
                "val_auc": roc_auc_score(rows.late[split:], scores),
                "val_brier": brier_score_loss(rows.late[split:], scores),
                "late_share": rows.late.mean(),
            }
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "train.csv"
            rows[TEXTS + NUMBERS + ["late"]].to_csv(path, index=False)
            mlflow.log_artifact(path, "reference")
        logged = urlsplit(mlflow.get_artifact_uri("reference/train.csv")).path
        source = HTTPDatasetSource(f"{mlflow.get_tracking_uri()}/api/2.0/mlflow-artifacts/artifacts{logged}")
        dataset = mlflow.data.from_pandas(rows[TEXTS + NUMBERS + ["late"]], source=source, name="flights", targets="late")
        mlflow.log_input(dataset, context="training")
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=SIGNATURE,
            serialization_format="cloudpickle",
            pip_requirements=str(Path(__file__).parent / "requirements.txt"),
        )
        print(f"run {run.info.run_id}: {len(rows)} flights up to {rows.event_time.iloc[-1]}")
    return mlflow.register_model(info.model_uri, NAME, tags={"rondo.pipeline_run": PIPELINE_RUN}).version


def main(source: str, target: str) -> None:
    mlflow.set_experiment(NAME)
    settings = params()
    version = registered(mlflow.MlflowClient())
    if version is None:
        rows = pd.read_csv(source, keep_default_na=False, na_values=[""])
        if len(rows) > settings["max_rows"]:
            rows = rows.sample(settings["max_rows"], random_state=0).sort_index(ignore_index=True)
        version = train(rows, settings)
    Path(target).write_text(json.dumps({"model": NAME, "version": version}))
    print(f"version {version} of {NAME} is a candidate")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
