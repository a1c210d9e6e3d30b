"""Workspaces with the stock client: its own functions and variables, as against `mlflow server --enable-workspaces`."""

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException


@pytest.fixture(autouse=True)
def nowhere(server):
    """The client's workspace is global: the next test starts without any."""
    mlflow.set_tracking_uri(server.url)
    yield
    mlflow.set_workspace(None)


def test_made_listed_changed_and_deleted(url):
    made = mlflow.create_workspace("team-listed", description="one")
    assert (made.name, made.description) == ("team-listed", "one")
    assert {"default", "team-listed"} <= {one.name for one in mlflow.list_workspaces()}
    assert mlflow.update_workspace("team-listed", description="two").description == "two"
    with pytest.raises(MlflowException, match="already exists"):
        mlflow.create_workspace("team-listed")
    mlflow.delete_workspace("team-listed")
    with pytest.raises(RestException, match="Workspace 'team-listed' not found"):
        mlflow.get_workspace("team-listed")


def test_each_has_its_own_experiments_runs_files_and_models(url):
    runs = {}
    for name in ("team-one", "team-two"):
        mlflow.create_workspace(name)
        mlflow.set_workspace(name)
        assert [one.name for one in mlflow.search_experiments()] == [], "not even the default one"
        experiment = mlflow.set_experiment("same name")
        assert experiment.artifact_location == f"mlflow-artifacts:/workspaces/{name}/{experiment.experiment_id}"
        with mlflow.start_run() as run:
            mlflow.log_metric("m", 1.0)
            mlflow.log_text(name, "who.txt")
        client = MlflowClient()
        client.create_registered_model("same name", description=name)
        with mlflow.start_span("asked") as span:
            span.set_inputs({"who": name})
        runs[name] = (run.info.run_id, experiment.experiment_id)
    for name, other in (("team-one", "team-two"), ("team-two", "team-one")):
        mlflow.set_workspace(name)
        client = MlflowClient()
        run_id, experiment_id = runs[name]
        assert mlflow.artifacts.load_text(f"runs:/{run_id}/who.txt") == name
        assert [one.description for one in client.search_registered_models()] == [name]
        assert list(mlflow.search_runs(search_all_experiments=True)["run_id"]) == [run_id]
        mlflow.flush_trace_async_logging()
        traces = client.search_traces(locations=[experiment_id])
        assert [one.data.spans[0].inputs for one in traces] == [{"who": name}]
        foreign_run, foreign_experiment = runs[other]
        with pytest.raises(RestException, match="not found"):
            client.get_run(foreign_run)
        with pytest.raises(RestException, match="No Experiment with id"):
            client.create_run(foreign_experiment)
        with pytest.raises(Exception):
            mlflow.artifacts.load_text(f"mlflow-artifacts:/workspaces/{other}/{foreign_experiment}/{foreign_run}/artifacts/who.txt")
    mlflow.set_workspace(None)
    assert not {"same name"} & {one.name for one in MlflowClient().search_registered_models()}
    with pytest.raises(RestException, match="still contains"):
        mlflow.delete_workspace("team-one")


def test_the_variable_of_the_client_chooses_too(url, monkeypatch):
    mlflow.create_workspace("team-variable")
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-variable")
    experiment = MlflowClient().create_experiment("by variable")
    assert MlflowClient().get_experiment(experiment).workspace == "team-variable"
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-nowhere")
    with pytest.raises(RestException, match="Workspace 'team-nowhere' not found"):
        MlflowClient().search_experiments()
    monkeypatch.delenv("MLFLOW_WORKSPACE")
    with pytest.raises(RestException, match="No Experiment with id"):
        MlflowClient().get_experiment(experiment)
