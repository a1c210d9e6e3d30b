"""Tracking with an unmodified mlflow client: what people write every day, against the running server."""

import math
import time
import uuid

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunStatus, RunTag, ViewType
from mlflow.exceptions import MlflowException
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor


# Skops loads trees only for those who say that they trust them; the requirements are given, because finding them takes seconds.
LOGGING = {"skops_trusted_types": ["sklearn.tree._tree.Tree"], "pip_requirements": ["scikit-learn"]}


@pytest.fixture(autouse=True)
def tracking(url):
    """Client and fluent API speak to the server; nothing is left active for the next test."""
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    yield
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture
def client(tracking, url):
    return MlflowClient(url)


@pytest.fixture
def experiment(tracking):
    """A fresh experiment that is the active one."""
    return mlflow.set_experiment(f"tracking-{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="module")
def diabetes():
    data = load_diabetes(as_frame=True)
    return data.data, data.target


def test_experiments_are_created_found_tagged_renamed_deleted_and_restored(client):
    name = f"experiment-{uuid.uuid4().hex}"
    experiment_id = client.create_experiment(name, tags={"team": "a"})
    found = client.get_experiment_by_name(name)
    assert (found.experiment_id, found.tags, found.lifecycle_stage) == (experiment_id, {"team": "a"}, "active")
    assert found.artifact_location == f"mlflow-artifacts:/{experiment_id}"
    client.set_experiment_tag(experiment_id, "team", "b")
    client.rename_experiment(experiment_id, f"{name}-2")
    assert client.get_experiment(experiment_id).tags == {"team": "b"}
    client.delete_experiment_tag(experiment_id, "team")
    client.delete_experiment(experiment_id)
    assert client.get_experiment(experiment_id).lifecycle_stage == "deleted"
    with pytest.raises(MlflowException, match="deleted"):
        mlflow.set_experiment(f"{name}-2")
    client.restore_experiment(experiment_id)
    assert client.get_experiment(experiment_id).tags == {}
    assert client.get_experiment_by_name("no such experiment") is None
    with pytest.raises(MlflowException, match="already exists") as error:
        client.create_experiment(f"{name}-2")
    assert error.value.error_code == "RESOURCE_ALREADY_EXISTS"


def test_experiments_are_searched_in_pages(client):
    mark = uuid.uuid4().hex
    ids = [client.create_experiment(f"{mark}-{index}", tags={"mark": mark}) for index in range(5)]
    first = client.search_experiments(filter_string=f"tags.mark = '{mark}'", max_results=3, order_by=["name ASC"])
    rest = client.search_experiments(
        filter_string=f"tags.mark = '{mark}'", max_results=3, order_by=["name ASC"], page_token=first.token
    )
    assert [found.experiment_id for found in first + rest] == ids
    assert rest.token is None
    client.delete_experiment(ids[0])
    named = f"name LIKE '{mark}%'"
    assert len(mlflow.search_experiments(filter_string=named)) == 4
    assert len(mlflow.search_experiments(filter_string=named, view_type=ViewType.ALL)) == 5
    assert len(mlflow.search_experiments(filter_string=named, view_type=ViewType.DELETED_ONLY)) == 1


def test_a_run_keeps_what_is_logged(client, experiment):
    with mlflow.start_run(run_name="first", tags={"team": "a"}, description="what it is") as active:
        mlflow.log_param("depth", 4)
        mlflow.log_params({"rate": 0.1, "empty": "", "long": "x" * 7000})
        mlflow.log_metric("mae", 0.5, step=1)
        mlflow.log_metrics({"mae": 0.25, "rmse": 1e-300}, step=2)
        mlflow.log_metric("nan", float("nan"))
        mlflow.log_metric("inf", float("inf"))
        mlflow.set_tag("stage", "dev")
        mlflow.set_tags({"a": 1, "b": "é"})
    run = client.get_run(active.info.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert run.info.end_time >= run.info.start_time > 0
    assert run.info.experiment_id == experiment.experiment_id
    assert run.data.params == {"depth": "4", "rate": "0.1", "empty": "", "long": "x" * 6000}
    assert run.data.metrics["mae"] == 0.25 and run.data.metrics["rmse"] == 1e-300
    assert math.isnan(run.data.metrics["nan"])
    assert run.data.metrics["inf"] == 1.7976931348623157e308
    tags = run.data.tags
    assert (tags["team"], tags["stage"], tags["a"], tags["b"]) == ("a", "dev", "1", "é")
    assert (tags["mlflow.runName"], tags["mlflow.note.content"]) == ("first", "what it is")
    assert tags["mlflow.user"] == run.info.user_id


def test_a_failing_run_is_failed_and_runs_can_be_nested_and_resumed(client, experiment):
    with pytest.raises(ZeroDivisionError):
        with mlflow.start_run() as failed:
            1 / 0
    assert client.get_run(failed.info.run_id).info.status == "FAILED"
    with mlflow.start_run(run_name="parent") as parent:
        with mlflow.start_run(run_name="child", nested=True) as child:
            mlflow.log_metric("mae", 1.0)
    parent_id = parent.info.run_id
    assert client.get_parent_run(child.info.run_id).info.run_id == parent_id
    children = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")
    assert [run.info.run_name for run in children] == ["child"]
    with mlflow.start_run(run_id=parent_id):
        mlflow.log_param("later", 1)
    assert client.get_run(parent_id).data.params == {"later": "1"}


def test_params_cannot_change(client, experiment):
    with mlflow.start_run() as active:
        mlflow.log_param("p", 1)
        mlflow.log_param("p", 1)
        with pytest.raises(MlflowException, match="Changing param values is not allowed") as error:
            mlflow.log_param("p", 2)
        assert error.value.error_code == "INVALID_PARAMETER_VALUE"
        with pytest.raises(MlflowException, match="Changing param values is not allowed"):
            mlflow.log_params({"p": 3, "q": 1})
    assert client.get_run(active.info.run_id).data.params == {"p": "1"}


def test_histories_keep_every_point_and_the_latest_is_the_greatest_step(client, experiment):
    with mlflow.start_run() as active:
        for step in (3, 1, 2):
            mlflow.log_metric("loss", 10 - step, step=step)
        mlflow.log_metric("loss", 7, step=3, timestamp=1)
    run_id = active.info.run_id
    assert client.get_run(run_id).data.metrics == {"loss": 7.0}
    history = client.get_metric_history(run_id, "loss")
    assert sorted((point.step, point.value) for point in history) == [(1, 9.0), (2, 8.0), (3, 7.0), (3, 7.0)]
    assert [point.timestamp for point in history] == sorted(point.timestamp for point in history)
    assert client.get_metric_history(run_id, "no such metric") == []


def test_a_long_history_is_logged_in_batches_and_read_back_in_order(client, experiment):
    run = client.create_run(experiment.experiment_id)
    points = [Metric("loss", 1 / (1 + step), 1_000 + step, step) for step in range(30_000)]
    started = time.monotonic()
    for start in range(0, len(points), 1000):
        client.log_batch(run.info.run_id, metrics=points[start : start + 1000])
    seconds = time.monotonic() - started
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(point.step, point.value) for point in points]
    assert seconds < 60


def test_a_batch_and_what_is_logged_asynchronously_arrive(client, experiment):
    run = client.create_run(experiment.experiment_id, tags={"from": "client"}, run_name="batch")
    run_id = run.info.run_id
    client.log_batch(
        run_id,
        metrics=[Metric("m", 1.5, 10, 0), Metric("m", float("nan"), 11, 1)],
        params=[Param("p", "1")],
        tags=[RunTag("t", "2")],
    )
    waiting = [client.log_metric(run_id, "async", value, step=value, synchronous=False) for value in range(20)]
    waiting.append(client.log_param(run_id, "async", "yes", synchronous=False))
    waiting.append(client.set_tag(run_id, "async", "too", synchronous=False))
    for operation in waiting:
        operation.wait()
    client.set_terminated(run_id, status="KILLED")
    run = client.get_run(run_id)
    assert run.info.status == RunStatus.to_string(RunStatus.KILLED)
    assert run.data.params == {"p": "1", "async": "yes"}
    assert (run.data.tags["t"], run.data.tags["async"], run.data.tags["from"]) == ("2", "too", "client")
    assert run.data.metrics["async"] == 19.0 and math.isnan(run.data.metrics["m"])
    assert len(client.get_metric_history(run_id, "async")) == 20


def test_runs_are_searched_with_the_filter_language(client, experiment):
    for index, (model, mae) in enumerate([("gbt", 1.0), ("gbt", 2.0), ("forest", 3.0), ("none", None)]):
        with mlflow.start_run(run_name=f"run {index}", tags={"team": "a" if index % 2 else "b"}):
            mlflow.log_param("model type", model)
            if mae is not None:
                mlflow.log_metric("val mae", mae)

    def names(filter_string="", order_by=("attributes.run_name ASC",), **more):
        found = mlflow.search_runs(
            [experiment.experiment_id], filter_string, order_by=list(order_by), output_format="list", **more
        )
        return [int(run.info.run_name.split()[1]) for run in found]

    assert names() == [0, 1, 2, 3]
    assert names("metrics.`val mae` < 2.5") == [0, 1]
    assert names('metrics."val mae" >= 2 AND tags.team = "a"') == [1]
    assert names("params.`model type` != 'gbt'") == [2, 3]
    assert names("params.`model type` LIKE 'g%' and run_name ILIKE 'RUN%'") == [0, 1]
    assert names("status = 'FINISHED' AND start_time > 0") == [0, 1, 2, 3]
    assert names(order_by=["metrics.`val mae` DESC"]) == [2, 1, 0, 3]
    assert names(order_by=["metrics.`val mae` ASC"], max_results=2) == [0, 1]
    frame = mlflow.search_runs([experiment.experiment_id], "metrics.`val mae` = 3")
    assert (len(frame), frame.iloc[0]["params.model type"], frame.iloc[0]["tags.team"]) == (1, "forest", "b")
    for wrong in ("metrics.a", "params.a = 3", "wrong.a = 'b'", "metrics.a > 1 OR metrics.b > 1", "status > 'x'"):
        with pytest.raises(MlflowException) as error:
            names(wrong)
        assert error.value.error_code == "INVALID_PARAMETER_VALUE", wrong


def test_search_goes_through_pages(client, experiment):
    ids = [client.create_run(experiment.experiment_id, start_time=1 + index).info.run_id for index in range(7)]
    seen, token = [], None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=3, page_token=token)
        seen += [run.info.run_id for run in page]
        token = page.token
        if not token:
            break
    assert seen == ids[::-1]


def test_runs_are_renamed_untagged_deleted_and_restored(client, experiment):
    run_id = client.create_run(experiment.experiment_id, run_name="old").info.run_id
    client.update_run(run_id, name="new", status="SCHEDULED")
    client.set_tag(run_id, "t", "1")
    client.delete_tag(run_id, "t")
    run = client.get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("new", "SCHEDULED")
    assert run.data.tags["mlflow.runName"] == "new" and "t" not in run.data.tags
    client.delete_run(run_id)
    assert client.search_runs([experiment.experiment_id]) == []
    deleted = client.search_runs([experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY)
    assert [run.info.run_id for run in deleted] == [run_id]
    with pytest.raises(MlflowException, match="must be in the 'active' state"):
        client.log_metric(run_id, "m", 1.0)
    client.restore_run(run_id)
    client.log_metric(run_id, "m", 1.0)
    with pytest.raises(MlflowException, match="not found") as error:
        client.get_run(uuid.uuid4().hex)
    assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_datasets_are_inputs_of_runs(client, experiment):
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    dataset = mlflow.data.from_pandas(frame, source="flights.csv", name="flights", targets="y")
    for context in ("training", "testing"):
        with mlflow.start_run(run_name=context):
            mlflow.log_input(dataset, context=context, tags={"half": "first"})
            mlflow.log_input(mlflow.data.from_numpy(np.array([1.0, 2.0]), name="numbers"))
    found = client.search_runs([experiment.experiment_id], "dataset.name = 'flights' AND dataset.context = 'training'")
    assert [run.info.run_name for run in found] == ["training"]
    first, second = found[0].inputs.dataset_inputs
    assert (first.dataset.name, first.dataset.digest, second.dataset.name) == ("flights", dataset.digest, "numbers")
    tags = {tag.key: tag.value for tag in first.tags}
    assert tags == {"mlflow.data.context": "training", "half": "first"}
    source = mlflow.data.get_source(first)
    assert source.uri.endswith("flights.csv")


@pytest.mark.parametrize("named", [{"artifact_path": "model"}, {"name": "model"}], ids=["artifact_path", "name"])
@pytest.mark.parametrize("serialization", ["skops", "cloudpickle"])
def test_a_model_is_logged_and_loaded(client, experiment, diabetes, named, serialization):
    features, target = diabetes
    model = GradientBoostingRegressor(n_estimators=5, max_depth=2).fit(features, target)
    with mlflow.start_run() as active:
        mlflow.log_metric("val_mae", 1.0)
        logged = mlflow.sklearn.log_model(
            model, input_example=features.head(3), serialization_format=serialization, **named, **LOGGING
        )
    run_id = active.info.run_id
    run = client.get_run(run_id)
    assert [output.model_id for output in run.outputs.model_outputs] == [logged.model_id]
    found = client.get_logged_model(logged.model_id)
    assert (found.status, found.source_run_id, found.name) == ("READY", run_id, "model")
    for uri in (f"runs:/{run_id}/model", f"models:/{logged.model_id}"):
        loaded = mlflow.pyfunc.load_model(uri)
        np.testing.assert_array_equal(loaded.predict(features), model.predict(features))


def test_logged_models_are_searched_tagged_and_deleted(client, experiment, diabetes):
    features, target = diabetes
    for depth in (1, 2, 3):
        model = GradientBoostingRegressor(n_estimators=3, max_depth=depth).fit(features, target)
        with mlflow.start_run():
            info = mlflow.sklearn.log_model(model, name=f"depth-{depth}", params={"depth": depth}, **LOGGING)
            mlflow.log_metric("mae", 10.0 - depth, model_id=info.model_id)
    ids = [experiment.experiment_id]

    def names(**search):
        found = mlflow.search_logged_models(experiment_ids=ids, output_format="list", **search)
        return [model.name for model in found]

    assert sorted(names()) == ["depth-1", "depth-2", "depth-3"]
    assert names(filter_string="metrics.mae < 8.5", order_by=[{"field_name": "metrics.mae"}]) == ["depth-3", "depth-2"]
    assert names(filter_string="params.depth = '1'") == ["depth-1"]
    page = client.search_logged_models(ids, max_results=2, order_by=[{"field_name": "name", "ascending": True}])
    rest = client.search_logged_models(
        ids, max_results=2, order_by=[{"field_name": "name", "ascending": True}], page_token=page.token
    )
    assert [model.name for model in [*page, *rest]] == ["depth-1", "depth-2", "depth-3"]
    model_id = page[0].model_id
    client.set_logged_model_tags(model_id, {"a/b": "1", "c": "2"})
    client.delete_logged_model_tag(model_id, "a/b")
    model = client.get_logged_model(model_id)
    assert model.tags["c"] == "2" and "a/b" not in model.tags
    assert [(metric.key, metric.value) for metric in model.metrics] == [("mae", 9.0)]
    client.delete_logged_model(model_id)
    assert len(names()) == 2


def test_autologging_records_a_fit(client, experiment, diabetes):
    mlflow.sklearn.autolog(log_models=False)
    try:
        with mlflow.start_run() as active:
            GradientBoostingRegressor(n_estimators=4, max_depth=2).fit(*diabetes)
    finally:
        mlflow.sklearn.autolog(disable=True)
    run = client.get_run(active.info.run_id)
    assert run.data.params["n_estimators"] == "4"
    assert "training_mean_absolute_error" in run.data.metrics
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {"dataset"}


def test_what_was_acknowledged_survives_a_kill(own_server):
    client = MlflowClient(own_server.url)
    run_id = client.create_run("0", run_name="survivor").info.run_id
    client.log_batch(run_id, metrics=[Metric("m", float(step), step, step) for step in range(1000)])
    client.log_param(run_id, "p", "1")
    own_server.stop(kill=True)
    own_server.start()
    run = client.get_run(run_id)
    assert (run.info.run_name, run.data.params, run.data.metrics) == ("survivor", {"p": "1"}, {"m": 999.0})
    assert len(client.get_metric_history(run_id, "m")) == 1000
