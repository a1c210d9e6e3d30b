"""The registry, as MLflow's client uses it."""

import time
import uuid

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split

TRUSTED = ["sklearn._loss._loss.CyHalfSquaredError", "sklearn.tree._tree.Tree"]


@pytest.fixture(scope="module")
def data():
    """Real data: 442 patients, ten measurements, the progression of a disease a year later."""
    features, target = load_diabetes(return_X_y=True, as_frame=True)
    return train_test_split(features, target, random_state=0)


@pytest.fixture
def client(server):
    return MlflowClient()


@pytest.fixture
def name():
    return f"model-{uuid.uuid4().hex[:12]}"


def version_of(client, name):
    """Registers a version from files that a run logged."""
    try:
        client.create_registered_model(name)
    except MlflowException:
        pass
    experiment = client.get_experiment_by_name("registry")
    experiment_id = experiment.experiment_id if experiment else client.create_experiment("registry")
    run = client.create_run(experiment_id)
    client.log_text(run.info.run_id, "not really", "model/MLmodel")
    source = f"{run.info.artifact_uri}/model"
    return client.create_model_version(name, source, run_id=run.info.run_id)


@pytest.mark.parametrize("serialization", ["skops", "cloudpickle"])
@pytest.mark.parametrize("call", ["positional", "named"])
def test_the_program_of_the_tutorial_ends_with_a_version_in_production(server, data, name, call, serialization):
    X_train, X_val, y_train, y_val = data
    how = {"serialization_format": serialization}
    if serialization == "skops":
        how["skops_trusted_types"] = TRUSTED
    mlflow.set_experiment("visit-reranker")
    with mlflow.start_run() as run:
        mlflow.log_params({"n_estimators": 200, "max_depth": 4})
        model = GradientBoostingRegressor(n_estimators=200, max_depth=4)
        model.fit(X_train, y_train)
        mlflow.log_metric("val_mae", mean_absolute_error(y_val, model.predict(X_val)))
        if call == "positional":
            mlflow.sklearn.log_model(model, "model", **how)
        else:
            mlflow.sklearn.log_model(model, name="model", **how)
    run_id = run.info.run_id
    result = mlflow.register_model(model_uri=f"runs:/{run_id}/model", name=name)
    mlflow.MlflowClient().transition_model_version_stage(name=name, version=result.version, stage="Production")

    found = mlflow.MlflowClient().get_model_version(name, result.version)
    assert (found.version, found.current_stage, found.status, found.run_id) == ("1", "Production", "READY", run_id)
    loaded = mlflow.sklearn.load_model(f"models:/{name}/Production")
    assert np.array_equal(loaded.predict(X_val), model.predict(X_val))
    logged = mlflow.MlflowClient().search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    assert f'"name": "{name}"' in logged[0].tags["mlflow.modelVersions"]


def test_a_logged_model_is_registered_on_the_way_and_loaded_by_every_address(client, name):
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    model = LogisticRegression().fit(frame, [0, 0, 1, 1])
    mlflow.set_experiment("registry-log")
    with mlflow.start_run():
        signature = mlflow.models.infer_signature(frame, model.predict(frame))
        info = mlflow.sklearn.log_model(model, name="clf", signature=signature, registered_model_name=name, pip_requirements=["scikit-learn"])
    assert info.registered_model_version == "1" or info.registered_model_version == 1
    client.set_registered_model_alias(name, "champion", "1")
    client.transition_model_version_stage(name, "1", "Staging")
    for uri in [f"models:/{name}/1", f"models:/{name}@champion", f"models:/{name}/Staging", f"models:/{name}/latest",
                info.model_uri, f"models:/{info.model_id}"]:
        loaded = mlflow.pyfunc.load_model(uri)
        assert list(loaded.predict(frame)) == [0, 0, 1, 1], uri
    assert mlflow.models.get_model_info(f"models:/{name}@champion").signature == signature
    assert client.get_model_version(name, "1").source == f"models:/{info.model_id}"
    assert client.get_model_version_download_uri(name, "1").startswith("mlflow-artifacts:/")
    local = mlflow.artifacts.download_artifacts(f"models:/{name}/1")
    assert mlflow.sklearn.load_model(local).predict(frame).tolist() == [0, 0, 1, 1]


def test_a_registered_model_lives(client, name):
    made = client.create_registered_model(name, tags={"team": "a"}, description="first")
    assert (made.name, made.description, made.tags) == (name, "first", {"team": "a"})
    with pytest.raises(MlflowException, match="already exists") as error:
        client.create_registered_model(name)
    assert error.value.error_code == "RESOURCE_ALREADY_EXISTS"
    assert client.update_registered_model(name, "second").description == "second"
    client.set_registered_model_tag(name, "k", 7)
    client.delete_registered_model_tag(name, "team")
    client.delete_registered_model_tag(name, "never")
    assert client.get_registered_model(name).tags == {"k": "7"}
    client.rename_registered_model(name, f"{name}-new")
    assert client.get_registered_model(f"{name}-new").description == "second"
    client.delete_registered_model(f"{name}-new")
    with pytest.raises(MlflowException, match="not found") as error:
        client.get_registered_model(f"{name}-new")
    assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_version_lives(client, name):
    made = version_of(client, name)
    assert (made.version, made.current_stage, made.status) == ("1", "None", "READY")
    assert client.update_model_version(name, "1", "text").description == "text"
    client.set_model_version_tag(name, "1", "k", "v")
    client.set_model_version_tag(name, "1", "gone", "v")
    client.delete_model_version_tag(name, "1", "gone")
    assert client.get_model_version(name, "1").tags == {"k": "v"}
    assert version_of(client, name).version == "2"
    client.delete_model_version(name, "2")
    assert version_of(client, name).version == "3", "a number is never used twice"
    with pytest.raises(MlflowException, match="not found"):
        client.get_model_version(name, "2")


def test_a_stage_is_entered_and_the_incumbent_archived(client, name):
    for _ in range(3):
        version_of(client, name)
    client.transition_model_version_stage(name, "1", "production")
    client.transition_model_version_stage(name, "2", "Staging")
    client.transition_model_version_stage(name, "3", "Production", archive_existing_versions=True)
    stages = {version.version: version.current_stage for version in client.search_model_versions(f"name='{name}'")}
    assert stages == {"1": "Archived", "2": "Staging", "3": "Production"}
    latest = {version.current_stage: version.version for version in client.get_latest_versions(name)}
    assert latest == {"Archived": "1", "Staging": "2", "Production": "3"}
    assert [version.version for version in client.get_latest_versions(name, ["Production"])] == ["3"]
    with pytest.raises(MlflowException, match="Invalid Model Version stage"):
        client.transition_model_version_stage(name, "1", "Live")


def test_an_alias_moves(client, name):
    for _ in range(2):
        version_of(client, name)
    client.set_registered_model_alias(name, "blue", "1")
    client.set_registered_model_alias(name, "green", "1")
    client.set_registered_model_alias(name, "blue", "2")
    assert client.get_model_version_by_alias(name, "blue").version == "2"
    assert client.get_registered_model(name).aliases == {"blue": "2", "green": "1"}
    assert client.get_model_version(name, "2").aliases == ["blue"]
    client.delete_registered_model_alias(name, "blue")
    with pytest.raises(MlflowException, match="alias blue not found"):
        client.get_model_version_by_alias(name, "blue")
    with pytest.raises(MlflowException, match="reserved"):
        client.set_registered_model_alias(name, "v1", "1")


def test_models_and_versions_are_searched(client, name):
    for index in range(3):
        client.create_registered_model(f"{name}-{index}", tags={"group": name, "index": str(index)})
    found = client.search_registered_models(f"name LIKE '{name}-%'", order_by=["name DESC"])
    assert [model.name for model in found] == [f"{name}-2", f"{name}-1", f"{name}-0"]
    found = client.search_registered_models(f"tags.group = '{name}' AND tags.index != '1'")
    assert [model.name for model in found] == [f"{name}-0", f"{name}-2"]
    page = client.search_registered_models(f"tags.group = '{name}'", max_results=2)
    assert (len(page), bool(page.token)) == (2, True)
    page = client.search_registered_models(f"tags.group = '{name}'", max_results=2, page_token=page.token)
    assert ([model.name for model in page], page.token) == ([f"{name}-2"], "")
    assert any(model.name == f"{name}-0" for model in mlflow.search_registered_models())

    made = [version_of(client, f"{name}-0") for _ in range(3)]
    client.set_model_version_tag(f"{name}-0", "2", "good", "yes")
    search = client.search_model_versions
    assert [version.version for version in search(f"name = '{name}-0'")] == ["3", "2", "1"]
    assert [version.version for version in search(f"name = '{name}-0' AND tags.good = 'yes'")] == ["2"]
    assert [version.name for version in search(f"run_id = '{made[0].run_id}'")] == [f"{name}-0"]
    order = ["version_number ASC"]
    assert [version.version for version in search(f"name = '{name}-0'", order_by=order)] == ["1", "2", "3"]
    for wrong in ["nam = 'x'", "name = x", "name = 'x' OR name = 'y'", "tags.a IN ('x')"]:
        with pytest.raises(MlflowException) as error:
            client.search_registered_models(wrong)
        assert error.value.error_code == "INVALID_PARAMETER_VALUE", wrong


def test_a_version_is_copied_to_another_model(client, name):
    version_of(client, name)
    copied = client.copy_model_version(f"models:/{name}/1", f"{name}-copy")
    assert (copied.name, copied.version) == (f"{name}-copy", "1")
    here, there = (client.get_model_version_download_uri(one, "1") for one in (name, f"{name}-copy"))
    assert here == there


def test_a_prompt_is_kept_apart_from_models(client, name):
    mlflow.genai.register_prompt(name, "Hello {{who}}", commit_message="first")
    prompt = mlflow.genai.register_prompt(name, "Good day {{who}}")
    assert prompt.version == 2
    assert mlflow.genai.load_prompt(f"prompts:/{name}/1").format(who="Ada") == "Hello Ada"
    mlflow.genai.set_prompt_alias(name, alias="live", version=2)
    assert mlflow.genai.load_prompt(f"prompts:/{name}@live").template == "Good day {{who}}"
    assert name in [prompt.name for prompt in mlflow.genai.search_prompts(f"name = '{name}'")]
    assert client.search_registered_models(f"name = '{name}'") == []
    assert client.search_model_versions(f"name = '{name}'") == []


@pytest.mark.parametrize("retries", ["0", "7"])
def test_a_refused_promotion_shows_its_reason_at_once(client, url, name, monkeypatch, retries):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", retries)
    for _ in range(2):
        version_of(client, name)
    client.transition_model_version_stage(name, "1", "Production")
    client.set_registered_model_alias(name, "champion", "1")
    answer = requests.put(f"{url}/api/v1/models/{name}/policy", json={"mode": "required"}, timeout=10)
    assert answer.ok, answer.text

    def stage():
        client.transition_model_version_stage(name, "2", "Production", archive_existing_versions=True)

    for promote in [stage, lambda: client.set_registered_model_alias(name, "champion", "2")]:
        started = time.monotonic()
        with pytest.raises(MlflowException) as error:
            promote()
        assert time.monotonic() - started < 2
        assert error.value.error_code == "PERMISSION_DENIED"
        assert "version 2 has no verdict" in error.value.message
        assert f"rondo model evaluate {name} 2" in error.value.message
    for remove in [lambda: client.delete_model_version(name, "1"), lambda: client.delete_registered_model(name)]:
        with pytest.raises(MlflowException, match="the policy of model"):
            remove()
    assert client.get_model_version_by_alias(name, "champion").version == "1"
    assert [version.version for version in client.get_latest_versions(name, ["Production"])] == ["1"]


def test_the_author_of_a_version_is_known(client, url, name, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "x")
    version_of(client, name)
    client.transition_model_version_stage(name, "1", "Production")
    answer = requests.get(f"{url}/api/v1/models/{name}/history", timeout=10)
    assert answer.ok, answer.text
    actors = {event["kind"]: event["actor"] for event in answer.json()["events"]}
    assert actors["version.registered"] == actors["pointer.moved"] == "person:ada"
