"""Predictions through the clients that people have: requests, mlflow's scoring client, tritonclient."""

import gzip
import time

import mlflow
import numpy as np
import ovmsclient
import pandas as pd
import pytest
import requests
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException
from mlflow.models import infer_signature
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

N = 200


def deploy(url, name, model, frame):
    """Logs, registers, promotes and deploys a model, as its user would; returns when it answers."""
    mlflow.set_tracking_uri(url)
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            registered_model_name=name,
            signature=infer_signature(frame, model.predict(frame)),
            serialization_format="cloudpickle",
        )
    version = info.registered_model_version
    mlflow.MlflowClient().transition_model_version_stage(name, version, "Production", archive_existing_versions=True)
    requests.put(
        f"{url}/api/v1/deployments/{name}", json={"pointer": f"models:/{name}/Production"}, timeout=30
    ).raise_for_status()
    until = time.monotonic() + 30
    while requests.get(f"{url}/v2/models/{name}/ready", timeout=30).status_code != 200:
        assert time.monotonic() < until, requests.get(f"{url}/readyz", timeout=30).text
        time.sleep(0.01)


@pytest.fixture(scope="module")
def regression(url):
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.normal(size=(N, 4)), columns=["a", "b", "c", "d"])
    model = GradientBoostingRegressor(n_estimators=20).fit(frame, frame["a"] * 2 + frame["b"] ** 2)
    deploy(url, "serving-regression", model, frame)
    return "serving-regression", model, frame


@pytest.fixture(scope="module")
def classifier(url):
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"carrier": random.choice(["AA", "DL", "UA"], N), "delay": random.normal(size=N)})
    frame.loc[::5, "delay"] = np.nan
    late = (frame["delay"].fillna(0) + random.normal(size=N) > 0.3).map({True: "late", False: "in time"})
    prepare = ColumnTransformer([
        ("text", OneHotEncoder(handle_unknown="ignore"), ["carrier"]), ("number", SimpleImputer(), ["delay"]),
    ])
    model = make_pipeline(prepare, LogisticRegression()).fit(frame, late)
    deploy(url, "serving-classifier", model, frame)
    return "serving-classifier", model, frame


def test_requests_predict(url, regression, classifier):
    name, model, frame = regression
    answer = requests.post(f"{url}/deployments/{name}/predict", json={"rows": frame.to_dict("records")}, timeout=30)
    assert answer.status_code == 200, answer.text
    given = [one["prediction"] for one in answer.json()["predictions"]]
    np.testing.assert_allclose(given, model.predict(frame), rtol=1e-9)

    name, model, frame = classifier
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    answer = requests.post(f"{url}/deployments/{name}/predict", json={"rows": rows}, timeout=30).json()
    assert [one["label"] for one in answer["predictions"]] == model.predict(frame).tolist()
    np.testing.assert_allclose([one["score"] for one in answer["predictions"]], model.predict_proba(frame)[:, 1], rtol=1e-9)


def test_a_prediction_is_found_again_by_its_id(url, regression):
    name, model, frame = regression
    body = {"inputs": frame.iloc[0].to_dict(), "id": "serving-known", "event_time": "2013-03-01T05:00:00Z"}
    requests.post(f"{url}/deployments/{name}/predict", json=body, timeout=30).raise_for_status()
    found = requests.get(f"{url}/api/v1/predictions/serving-known", timeout=30)
    assert found.status_code == 200, found.text
    np.testing.assert_allclose(found.json()["score"], model.predict(frame.head(1))[0], rtol=1e-9)


def test_mlflow_scoring_client(server, regression, classifier):
    for name, model, frame in (regression, classifier):
        client = ScoringServerClient("127.0.0.1", f"{server.port}/deployments/{name}")
        client.wait_server_ready(timeout=10)
        assert client.get_version() == mlflow.__version__
        given = client.invoke(frame).get_predictions()[0]  # a frame with NaN sends NaN literals
        want = model.predict(frame)
        if want.dtype.kind == "f":
            np.testing.assert_allclose(given, want, rtol=1e-9)
        else:
            assert given.tolist() == want.tolist()


def test_invocations_take_what_mlflow_documents(url, regression):
    name, model, frame = regression
    want = model.predict(frame)
    target = f"{url}/invocations"
    headers = {"x-rondo-deployment": name}
    bodies = [
        {"json": {"dataframe_split": frame.to_dict("split")}},
        {"json": {"dataframe_records": frame.to_dict("records")}},
        {"json": {"instances": frame.to_numpy().tolist()}},
        {"json": {"inputs": frame.to_dict("list")}},
        {"data": frame.to_csv(index=False), "headers": headers | {"content-type": "text/csv"}},
    ]
    for body in bodies:
        answer = requests.post(target, timeout=30, **{"headers": headers, **body})
        assert answer.status_code == 200, answer.text
        np.testing.assert_allclose(answer.json()["predictions"], want, rtol=1e-9)
    refused = requests.post(target, headers=headers, json={"instances": [["x", 1, 2, 3]]}, timeout=30)
    assert refused.status_code == 400 and "column `a`: expected a number" in refused.json()["message"]


@pytest.fixture
def tritons(server):
    client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    yield client
    client.close()


def test_tritonclient_sees_the_server_and_its_models(tritons, classifier):
    name = classifier[0]
    assert tritons.is_server_live() and tritons.is_server_ready() and tritons.is_model_ready(name)
    assert not tritons.is_model_ready("serving-ghost")
    assert "binary_tensor_data" in tritons.get_server_metadata()["extensions"]
    inputs = {one["name"]: one["datatype"] for one in tritons.get_model_metadata(name)["inputs"]}
    assert inputs == {"carrier": "BYTES", "delay": "FP64"}
    index = {one["name"]: one["state"] for one in tritons.get_model_repository_index()}
    assert index[name] == "READY"


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_infers_by_column(tritons, classifier, binary):
    name, model, frame = classifier
    frame = frame if binary else frame.dropna()
    carrier = triton.InferInput("carrier", [len(frame), 1], "BYTES")
    carrier.set_data_from_numpy(frame[["carrier"]].to_numpy().astype(object), binary_data=binary)
    delay = triton.InferInput("delay", [len(frame), 1], "FP64")
    delay.set_data_from_numpy(frame[["delay"]].to_numpy(), binary_data=binary)
    outputs = None if binary else [triton.InferRequestedOutput(one, binary_data=False) for one in ("label", "score", "probabilities")]
    answer = tritons.infer(name, [carrier, delay], outputs=outputs, request_id="q1")
    label = [one.decode() if isinstance(one, bytes) else one for one in answer.as_numpy("label")]
    assert label == model.predict(frame).tolist()
    np.testing.assert_allclose(answer.as_numpy("probabilities"), model.predict_proba(frame), rtol=1e-9)
    np.testing.assert_allclose(answer.as_numpy("score"), model.predict_proba(frame)[:, 1], rtol=1e-9)
    assert answer.get_response()["id"] == "q1"


def test_tritonclient_infers_a_matrix(tritons, regression):
    name, model, frame = regression
    matrix = triton.InferInput("input", list(frame.shape), "FP64")
    matrix.set_data_from_numpy(frame.to_numpy())
    answer = tritons.infer(name, [matrix])
    np.testing.assert_allclose(answer.as_numpy("prediction"), model.predict(frame), rtol=1e-9)
    assert len(set(answer.as_numpy("prediction_id"))) == N


def test_tritonclient_is_told_what_is_wrong(tritons, classifier):
    wrong = triton.InferInput("delay", [1], "BYTES")
    wrong.set_data_from_numpy(np.array(["late"], dtype=object))
    with pytest.raises(InferenceServerException, match="input `delay`: expected the datatype FP64, got BYTES"):
        tritons.infer(classifier[0], [wrong])


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_tritonclient_compresses_both_ways(tritons, regression, coding):
    name, model, frame = regression
    matrix = triton.InferInput("input", list(frame.shape), "FP64")
    matrix.set_data_from_numpy(frame.to_numpy())
    answer = tritons.infer(name, [matrix], request_compression_algorithm=coding, response_compression_algorithm=coding)
    np.testing.assert_allclose(answer.as_numpy("prediction"), model.predict(frame), rtol=1e-9)


def test_a_body_that_unpacks_to_too_much_is_refused(url, regression):
    bomb = gzip.compress(b" " * (64 << 20))
    for path in (f"/v2/models/{regression[0]}/infer", f"/deployments/{regression[0]}/predict"):
        answer = requests.post(f"{url}{path}", data=bomb, headers={"content-encoding": "gzip"}, timeout=30)
        assert answer.status_code == 413 and "gzip" in answer.text, answer.text


def test_a_raw_request_is_the_only_tensor(url, regression):
    name, model, frame = regression
    headers = {"inference-header-content-length": "0", "content-type": "application/octet-stream"}
    infer = f"{url}/v2/models/{name}/infer"
    answer = requests.post(infer, data=frame.to_numpy().tobytes(), headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    result = triton.InferenceServerClient.parse_response_body(
        answer.content, header_length=int(answer.headers["inference-header-content-length"])
    )
    np.testing.assert_allclose(result.as_numpy("prediction"), model.predict(frame), rtol=1e-9)
    short = requests.post(infer, data=frame.to_numpy().tobytes()[:-8], headers=headers, timeout=30)
    assert short.status_code == 400 and "whole rows" in short.text, short.text


def test_tritonclient_asks_for_the_largest_classes(tritons, classifier):
    name, model, frame = classifier
    frame = frame.dropna()
    carrier = triton.InferInput("carrier", [len(frame), 1], "BYTES")
    carrier.set_data_from_numpy(frame[["carrier"]].to_numpy().astype(object))
    delay = triton.InferInput("delay", [len(frame), 1], "FP64")
    delay.set_data_from_numpy(frame[["delay"]].to_numpy())
    answer = tritons.infer(name, [carrier, delay], outputs=[triton.InferRequestedOutput("probabilities", class_count=1)])
    best = [one[0].decode().split(":") for one in answer.as_numpy("probabilities")]
    assert [label for _, _, label in best] == [str(label) for label in model.predict(frame)]
    want = model.predict_proba(frame)
    assert [int(index) for _, index, _ in best] == want.argmax(axis=1).tolist()
    np.testing.assert_allclose([float(value) for value, _, _ in best], want.max(axis=1), rtol=1e-9)


def test_tritonclient_reads_configuration_and_statistics(tritons, regression):
    name, _, frame = regression
    config = tritons.get_model_config(name)
    assert config["max_batch_size"] > 0 and config["output"][0] == {"name": "prediction", "data_type": "TYPE_FP64", "dims": []}
    count = lambda: tritons.get_inference_statistics(name)["model_stats"][0]
    before = count()
    matrix = triton.InferInput("input", list(frame.shape), "FP64")
    matrix.set_data_from_numpy(frame.to_numpy())
    tritons.infer(name, [matrix])
    after = count()
    assert after["inference_count"] - before["inference_count"] == N
    assert after["execution_count"] - before["execution_count"] == 1
    assert after["inference_stats"]["success"]["ns"] > before["inference_stats"]["success"]["ns"]
    assert after["last_inference"] >= before["last_inference"] > 0
    assert any(one["name"] == name for one in tritons.get_inference_statistics()["model_stats"])


def test_a_tensorflow_serving_client_predicts(url, regression):
    name, model, frame = regression
    client = ovmsclient.make_http_client(url.removeprefix("http://"))
    (version, status), = client.get_model_status(name).items()
    assert status["state"] == "AVAILABLE", status
    for wanted in (0, version):
        answer = client.predict({"input": frame.to_numpy()}, name, wanted)
        np.testing.assert_allclose(answer, model.predict(frame), rtol=1e-9)
    columns = {column: frame[column].to_numpy() for column in frame}
    np.testing.assert_allclose(client.predict(columns, name), model.predict(frame), rtol=1e-9)
    assert client.get_model_metadata(name)["model_spec"]["name"] == name
    with pytest.raises(ovmsclient.tfs_compat.base.errors.ModelNotFoundError):
        client.predict({"input": frame.to_numpy()}, "serving-ghost")


def test_the_first_protocol_of_kserve(url, regression):
    name, model, frame = regression
    assert requests.get(f"{url}/v1/models/{name}", timeout=30).json()["ready"]
    answer = requests.post(f"{url}/v1/models/{name}:predict", json={"instances": frame.to_numpy().tolist()}, timeout=30)
    np.testing.assert_allclose(answer.json()["predictions"], model.predict(frame), rtol=1e-9)
