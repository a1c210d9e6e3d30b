"""Import from and export to MLflow: real stores and servers of MLflow, before and after."""

import os
import signal
import subprocess
import time

import mlflow
import pandas
import pytest
from mlflow.entities import Metric, Param, RunTag
from sklearn.linear_model import LinearRegression

from importing import Mlflow, everything, report, rondo


def fill(uri):
    """Everything that a client can leave in a store."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = mlflow.MlflowClient()
    client.create_experiment("pricing", tags={"team": "ops", "note": "it's: 'quoted'\n- and long"})
    mlflow.set_experiment("pricing")
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_params({"depth": 4, "notes": "two\nlines"})
        points = [Metric("loss", 1 / (step + 1), 1_000 + step, step) for step in range(2_500)]
        for start in range(0, len(points), 1_000):
            client.log_batch(run.info.run_id, points[start:start + 1_000])
        client.log_batch(run.info.run_id, metrics=[
            Metric("odd/nan", float("nan"), 1, 0), Metric("odd/large", 1e300, 2, -3), Metric("loss", 0.5, 7, 0),
        ])
        mlflow.set_tag("free text", "ünïcode \U0001f3bc")
        mlflow.log_text("hello", "notes/deep/a b+ü.txt")
        mlflow.log_text("", "empty.txt")
        frame = pandas.DataFrame({"a": [1.0, 2.0]})
        mlflow.log_input(mlflow.data.from_pandas(frame, name="fares"), context="training")
        model = LinearRegression().fit([[1], [2]], [1, 2])
        logged = mlflow.sklearn.log_model(model, name="linear", registered_model_name="fare", pip_requirements=["scikit-learn"])
        mlflow.log_metric("holdout", 0.25, model_id=logged.model_id)
    with mlflow.start_run(run_name="second", nested=True) as child:
        mlflow.sklearn.log_model(model, name="again", registered_model_name="fare", pip_requirements=["scikit-learn"])
        mlflow.log_metric("loss", 3.0)
        raise_run = child.info.run_id
    client.set_terminated(raise_run, "FAILED")
    gone = client.create_run(run.info.experiment_id, run_name="gone", start_time=5)
    client.log_param(gone.info.run_id, "depth", "9")
    client.set_terminated(gone.info.run_id, "KILLED", end_time=9)
    client.delete_run(gone.info.run_id)
    going = client.create_run(run.info.experiment_id, run_name="going", start_time=6)
    client.log_batch(going.info.run_id, params=[Param("a", "b")], tags=[RunTag("c", "d")])
    client.create_model_version("fare", f"runs:/{run.info.run_id}/linear", run.info.run_id)
    client.delete_model_version("fare", "2")
    client.update_registered_model("fare", "the price of a trip")
    client.update_model_version("fare", "1", "the first one")
    client.set_registered_model_alias("fare", "champion", "1")
    client.set_model_version_tag("fare", "3", "checked", "yes")
    client.transition_model_version_stage("fare", "3", "Production")
    client.create_experiment("empty")
    left = client.create_experiment("left")
    client.set_terminated(client.create_run(left, run_name="left behind").info.run_id)
    client.delete_experiment(left)
    return client


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory):
    started = Mlflow(tmp_path_factory.mktemp("mlflow") / "source")
    fill(started.url)
    yield started
    started.stop()


def same(found, expect, path=""):
    """Equal, or a message that names the first difference."""
    if isinstance(expect, dict) and isinstance(found, dict):
        assert found.keys() == expect.keys(), path
        for name, part in expect.items():
            same(found[name], part, f"{path}/{name}")
    else:
        assert found == expect, path


def test_a_server_and_back(mlflow_server, own_server, tmp_path):
    expect = everything(mlflow_server.url)
    assert len(expect["runs"]) == 5 and len(expect["registry"]["fare"]["versions"]) == 2
    planned = report(own_server, "import", "mlflow", mlflow_server.url, "--dry-run")
    assert planned["runs"] == {"copied": 5, "present": 0} and planned["versions"]["copied"] == 2
    assert everything(own_server.url)["runs"] == {}, "a dry run copies nothing"

    done = report(own_server, "import", "mlflow", mlflow_server.url)
    assert done["warnings"] == [] and done["runs"]["copied"] == 5 and done["versions"]["copied"] == 2
    same(everything(own_server.url), expect)
    ours, theirs = mlflow.MlflowClient(own_server.url), mlflow.MlflowClient(mlflow_server.url)
    for experiment in theirs.search_experiments():
        assert ours.get_experiment_by_name(experiment.name).experiment_id == experiment.experiment_id
        for run in theirs.search_runs([experiment.experiment_id]):
            assert ours.get_run(run.info.run_id).info.start_time == run.info.start_time, "ids and times are kept"
    version = theirs.get_model_version("fare", "1")
    kept = ours.get_model_version("fare", "1")
    assert (kept.creation_timestamp, kept.run_id, kept.source) == (
        version.creation_timestamp, version.run_id, version.source)
    mlflow.set_tracking_uri(own_server.url)
    assert mlflow.sklearn.load_model("models:/fare@champion").predict([[3]]).round(6) == [3]

    again = report(own_server, "import", "mlflow", mlflow_server.url)
    assert again["runs"] == {"copied": 1, "present": 3}, "the run that goes on is looked at again; what was deleted is not"
    assert again["files"] == 0 and again["versions"] == {"copied": 0, "present": 2}
    same(everything(own_server.url), expect)

    other = Mlflow(tmp_path / "target")
    try:
        done = report(own_server, "export", "mlflow", other.url)
        assert done["warnings"] == []
        back = everything(other.url)
        same(back, expect)
        again = report(own_server, "export", "mlflow", other.url)
        assert again["runs"] == {"copied": 1, "present": 3} and again["files"] == 0
        same(everything(other.url), expect)
    finally:
        other.stop()


@pytest.mark.parametrize("kind", ["files", "database"])
def test_a_store_on_disk(kind, own_server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "1")
    monkeypatch.chdir(tmp_path)
    uri = f"file://{tmp_path}/mlruns" if kind == "files" else f"sqlite:///{tmp_path}/mlflow.db"
    fill(uri)
    expect = everything(uri)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ["mlruns", "mlflow.db", "mlartifacts"]:
        if (tmp_path / name).exists():
            (tmp_path / name).rename(moved / name)
    done = report(own_server, "import", "mlflow", str(moved))
    assert done["warnings"] == []
    found = everything(own_server.url)
    if kind == "files":
        # The file store keeps a point as often as it was logged, and shows the first of those about a model.
        for run in expect["runs"].values():
            run["metrics"] = {key: sorted(set(points)) for key, points in run["metrics"].items()}
        for name, model in expect["models"].items():
            about = found["models"][name]["metrics"]
            assert {point[0] for point in model["metrics"]} <= {point[0] for point in about}
            model["metrics"] = about
    same(found, expect)
    again = report(own_server, "import", "mlflow", str(moved))
    assert again["runs"] == {"copied": 1, "present": 3} and again["files"] == 0


def test_killed_and_started_again(own_server, tmp_path):
    uri = f"sqlite:///{tmp_path}/many.db"
    client = mlflow.MlflowClient(uri)
    experiment = client.create_experiment("many", artifact_location=str(tmp_path / "files"))
    for number in range(12):
        run = client.create_run(experiment, run_name=f"run {number}")
        for key in ["a", "b", "c"]:
            client.log_batch(run.info.run_id, [Metric(key, step * 0.5, 1_000 + step, step) for step in range(1_000)])
        client.log_text(run.info.run_id, "x" * 50_000, "x.txt")
        client.set_terminated(run.info.run_id)
    expect = everything(uri)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RONDO_")}
    command = [os.environ["RONDO_BIN"], "import", "mlflow", str(tmp_path / "many.db"), "--server", own_server.url]
    ours = mlflow.MlflowClient(own_server.url)
    kills = 0
    for wanted in [1, 4, 7, 10]:
        importer = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while importer.poll() is None:
            there = ours.get_experiment_by_name("many")
            if there and len(ours.search_runs([there.experiment_id])) >= wanted:
                importer.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        importer.wait()
    assert kills >= 1
    rondo(own_server, "import", "mlflow", str(tmp_path / "many.db"))
    same(everything(own_server.url), expect)


def test_what_cannot_be_imported_is_said(own_server, tmp_path):
    refused = rondo(own_server, "import", "mlflow", str(tmp_path), check=False)
    assert refused.returncode == 1 and "is no store of MLflow" in refused.stderr
    refused = rondo(own_server, "import", "mlflow", own_server.url, "--experiment", "none", check=False)
    assert refused.returncode == 1 and "no experiment `none`" in refused.stderr and "Default" in refused.stderr
