"""Models of LightGBM and XGBoost, logged by stock mlflow, served through the clients that people have."""

import json
import time

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import tritonclient.http as triton
import xgboost as xgb
from mlflow.models import infer_signature
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

N = 120
RANDOM = np.random.default_rng(5)
FRAME = pd.DataFrame(RANDOM.normal(size=(N, 4)), columns=["a", "b", "c", "d"])
FRAME.loc[::7, "b"] = np.nan
TWO = (FRAME["a"] > 0).astype(int)
THREE = np.digitize(FRAME["a"], [-0.5, 0.5])
NAMED = np.array(["early", "in time", "late"])[THREE]
LGB = {"verbose": -1, "num_leaves": 5, "num_threads": 1}
XGB = {"max_depth": 3, "n_jobs": 1}


def lightgbm_booster():
    return mlflow.lightgbm, lgb.train({**LGB, "objective": "binary"}, lgb.Dataset(FRAME, TWO), 5)


def xgboost_booster():
    parameters = {"objective": "multi:softprob", "num_class": 3, "max_depth": 3}
    return mlflow.xgboost, xgb.train(parameters, xgb.DMatrix(FRAME, THREE), 5)


MODELS = {
    "lightgbm-booster": lightgbm_booster,
    "lightgbm-regressor": lambda: (mlflow.lightgbm, lgb.LGBMRegressor(n_estimators=5, **LGB).fit(FRAME, FRAME["a"] * 2)),
    "lightgbm-classifier": lambda: (mlflow.lightgbm, lgb.LGBMClassifier(n_estimators=5, **LGB).fit(FRAME, NAMED)),
    "xgboost-booster": xgboost_booster,
    "xgboost-regressor": lambda: (mlflow.xgboost, xgb.XGBRegressor(n_estimators=5, **XGB).fit(FRAME, FRAME["a"] * 2)),
    "xgboost-classifier": lambda: (mlflow.xgboost, xgb.XGBClassifier(n_estimators=5, **XGB).fit(FRAME, TWO)),
}


@pytest.fixture(scope="module", params=MODELS)
def deployed(url, request):
    """The deployment's name, and what mlflow's own pyfunc predicts for the frame."""
    flavor, model = MODELS[request.param]()
    name = f"boosters-{request.param}"
    mlflow.set_tracking_uri(url)
    like = FRAME["a"].to_numpy() if request.param != "lightgbm-classifier" else NAMED
    signature = infer_signature(FRAME, like)
    with mlflow.start_run():
        # given requirements spare mlflow a second Python that finds them out
        info = flavor.log_model(
            model, name="model", registered_model_name=name, signature=signature, pip_requirements=["mlflow"]
        )
    want = mlflow.pyfunc.load_model(info.model_uri).predict(FRAME)
    version = info.registered_model_version
    mlflow.MlflowClient().transition_model_version_stage(name, version, "Production", archive_existing_versions=True)
    pointer = {"pointer": f"models:/{name}/Production"}
    requests.put(f"{url}/api/v1/deployments/{name}", json=pointer, timeout=30).raise_for_status()
    until = time.monotonic() + 30
    while requests.get(f"{url}/v2/models/{name}/ready", timeout=30).status_code != 200:
        assert time.monotonic() < until, requests.get(f"{url}/readyz", timeout=30).text
        time.sleep(0.01)
    return name, np.asarray(want)


def test_invocations_answer_what_mlflow_would(server, url, deployed):
    name, want = deployed
    client = ScoringServerClient("127.0.0.1", f"{server.port}/deployments/{name}")
    given = np.asarray(client.invoke(FRAME).get_predictions())
    # the same numbers, not nearly the same
    assert given.reshape(want.shape).tolist() == want.tolist()
    rows = json.loads(FRAME.to_json(orient="split", double_precision=15))
    answer = requests.post(
        f"{url}/invocations", json={"dataframe_split": rows}, headers={"x-rondo-deployment": name}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    assert np.shape(answer.json()["predictions"]) == want.shape


def test_tritonclient_infers(server, deployed):
    name, want = deployed
    client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    matrix = triton.InferInput("input", list(FRAME.shape), "FP64")
    matrix.set_data_from_numpy(FRAME.to_numpy())
    answer = client.infer(name, [matrix])
    if name.endswith("regressor"):
        assert answer.as_numpy("prediction").tolist() == want.tolist()
    elif name.endswith("classifier"):
        labels = [one.decode() if isinstance(one, bytes) else one for one in answer.as_numpy("label")]
        assert labels == want.tolist()
    elif want.ndim == 1:
        assert answer.as_numpy("probabilities")[:, 1].tolist() == want.tolist()
    else:
        assert answer.as_numpy("probabilities").tolist() == want.tolist()
    client.close()
