"""A team outgrows its first server: it saves it, tidies it, and moves it to PostgreSQL and back."""

import json
import os
import subprocess

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from postgres import Postgres


def rondo(server, *arguments):
    """Runs a command as the person who runs this server."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RONDO_")}
    environment["RONDO_DATA_DIR"] = str(server.folder / "data")
    command = [os.environ["RONDO_BIN"], *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=server.folder, env=environment, timeout=120)


def done(server, *arguments):
    result = rondo(server, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture
def file_server(own_server):
    if own_server.postgres is not None:
        pytest.skip("it begins with the file in the data folder")
    return own_server


def a_run(folder):
    """A run with points, a param and a file."""
    note = folder / "note.txt"
    note.write_text("kept")
    with mlflow.start_run(experiment_id="0") as run:
        mlflow.log_param("p", "1")
        for step in range(150):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metric("bad", float("nan"))
        mlflow.log_artifact(note)
    return run.info.run_id


def as_seen(url, run_id):
    client = MlflowClient(url)
    run = client.get_run(run_id)
    history = [(point.step, point.value) for point in client.get_metric_history(run_id, "loss")]
    return run.data.params, sorted(run.data.metrics), history, run.info.start_time


def test_everything_moves_to_postgresql_and_back(file_server, tmp_path):
    run_id = a_run(tmp_path)
    before = as_seen(file_server.url, run_id)
    here = f"sqlite:{file_server.folder / 'data' / 'rondo.db'}"
    there = Postgres()
    try:
        busy = rondo(file_server, "db", "move", here, there.url)
        assert busy.returncode != 0 and "is in use by process" in busy.stderr
        file_server.stop()
        moved = json.loads(done(file_server, "--json", "db", "move", here, there.url))["tables"]
        rows = {table["table"]: table["rows"] for table in moved}
        assert rows["runs"] == 1 and rows["run_params"] == 1 and rows["experiments"] == 1
        again = rondo(file_server, "db", "move", here, there.url)
        assert again.returncode != 0 and "the target is not empty" in again.stderr

        file_server.options = ["--database", there.url]
        file_server.start()
        assert as_seen(file_server.url, run_id) == before
        assert mlflow.artifacts.load_text(f"runs:/{run_id}/note.txt") == "kept"
        second = a_run(tmp_path)
        file_server.stop()

        back = f"sqlite:{tmp_path / 'back.db'}"
        done(file_server, "db", "move", there.url, back)
        file_server.options = ["--database", back]
        file_server.start()
        assert as_seen(file_server.url, run_id) == before
        assert MlflowClient(file_server.url).get_run(second).data.params == {"p": "1"}
    finally:
        file_server.stop()
        there.close()


def test_a_backup_is_taken_while_the_server_runs(file_server, tmp_path):
    run_id = a_run(tmp_path)
    (tmp_path / "saved").mkdir()
    told = done(file_server, "db", "backup", str(tmp_path / "saved"))
    assert "holds the database" in told and "not in it: artifacts" in told and "prediction log" in told
    assert "exists already" in rondo(file_server, "db", "backup", str(tmp_path / "saved")).stderr
    before = as_seen(file_server.url, run_id)
    a_run(tmp_path)
    file_server.stop()
    file_server.options = ["--database", f"sqlite:{tmp_path / 'saved' / 'rondo.db'}"]
    file_server.start()
    assert as_seen(file_server.url, run_id) == before
    assert len(MlflowClient(file_server.url).search_runs(["0"])) == 1


def test_what_was_deleted_goes_for_good(own_server, tmp_path):
    client = MlflowClient(own_server.url)
    kept, gone = a_run(tmp_path), a_run(tmp_path)
    client.delete_run(gone)
    options = ["--older-than", "0s", *own_server.options]
    assert "is in use by process" in rondo(own_server, "gc", *options).stderr
    own_server.stop()
    assert json.loads(done(own_server, "--json", "gc", *own_server.options))["runs"] == [], "30 days by default"
    planned = json.loads(done(own_server, "--json", "gc", "--dry-run", *options))
    assert (planned["runs"], planned["files"], planned["bytes"]) == ([gone], 1, 4)
    assert f"removed run {gone}" in done(own_server, "gc", *options)
    files = [path for path in (own_server.folder / "data" / "objects" / "artifacts").rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["note.txt"]
    own_server.start()
    assert client.get_run(kept).info.lifecycle_stage == "active"
    with pytest.raises(MlflowException, match="not found"):
        client.get_run(gone)


def test_migrating_alone_says_what_it_did(own_server):
    own_server.stop()
    assert "the database is up to date with rondo" in done(own_server, "db", "migrate", *own_server.options)
