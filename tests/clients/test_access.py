"""A server that asks who calls, as the stock client meets it: with its own variables, and with each of its refusals."""

import os
import re
import subprocess

import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from conftest import Server
from recording import PYTHON, Project

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("asking"))
    started.options += ["--auth", "on"]
    started.start()
    admin = re.search(r"^rondo_\S+$", started.log(), re.MULTILINE).group()
    started.admin = {"Authorization": f"Bearer {admin}"}
    yield started
    started.close()


def token(server, name, **more):
    made = requests.post(f"{server.url}/api/v1/tokens", json={"name": name, **more}, headers=server.admin, timeout=60)
    assert made.ok, made.text
    return made.json()["secret"]


@pytest.fixture
def proof(monkeypatch):
    for name in ("TOKEN", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    return lambda **given: [monkeypatch.setenv(f"MLFLOW_TRACKING_{name.upper()}", value) for name, value in given.items()]


def a_run(server):
    client = MlflowClient(server.url)
    run = client.create_run("0")
    client.log_metric(run.info.run_id, "m", 1.0)
    client.log_text(run.info.run_id, "hello", "a.txt")
    return client.get_run(run.info.run_id)


def test_a_token_and_a_password_open(asking, proof):
    proof(token=token(asking, "ci", role="editor"))
    assert a_run(asking).data.metrics == {"m": 1.0}
    ada = {"name": "ada", "role": "editor", "password": PASSWORD}
    assert requests.post(f"{asking.url}/api/v1/users", json=ada, headers=asking.admin, timeout=60).ok
    proof(username="ada", password=PASSWORD)
    os.environ.pop("MLFLOW_TRACKING_TOKEN")
    assert a_run(asking).data.metrics == {"m": 1.0}


def test_a_recorded_run_proves_who_it_is(asking, proof, tmp_path):
    script = "import mlflow\nwith mlflow.start_run():\n    mlflow.log_metric('m', 1.0)\n    mlflow.log_text('hello', 'a.txt')\n"
    project = Project(tmp_path, asking.url, train__py=script)
    secret = token(asking, "recorder", role="editor")
    proof(token=secret)
    for variable in ("MLFLOW_TRACKING_TOKEN", "RONDO_TOKEN"):
        told, _, _ = project.run(**{variable: secret})
        run = MlflowClient(asking.url).get_run(told["run_id"])
        assert (run.info.status, run.data.metrics["m"]) == ("FINISHED", 1.0)
    _, err = project.rondo("run", "--", PYTHON, "train.py", code=1, MLFLOW_TRACKING_TOKEN="rondo_guess")
    assert "does not take the run" in err and "the token is not known here" in err
    assert project.runs_in_spool() == [], "what was refused leaves nothing behind"


def test_a_refusal_says_what_is_missing(asking, proof):
    with pytest.raises(MlflowException, match="asks who calls"):
        a_run(asking)
    proof(token="rondo_guess")
    with pytest.raises(MlflowException, match="the token is not known here"):
        a_run(asking)
    proof(token=token(asking, "look", role="viewer"))
    assert MlflowClient(asking.url).search_experiments()
    with pytest.raises(MlflowException, match="service:look lacks the permission `edit`"):
        a_run(asking)


def test_beyond_loopback_a_server_asks_or_does_not_start(tmp_path):
    command = [os.environ["RONDO_BIN"], "up", "--listen", "0.0.0.0:0", "--data-dir", str(tmp_path / "data")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert ended.returncode == 1
    assert "nothing there would ask who calls" in ended.stderr and "--auth on" in ended.stderr
