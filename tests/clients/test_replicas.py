"""Several servers on one PostgreSQL database, with a folder that they share for artifacts: what one is told the others know, what must
happen once happens once, and one that dies or stands still is replaced within `failover`."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from conftest import Server
from postgres import Postgres

FAILOVER_SECONDS = 2
# Generous: the machine may be busy with other things.
PATIENCE_SECONDS = 90


class Replica(Server):
    """One of several servers of a database."""

    def __init__(self, folder, database, artifacts):
        folder.mkdir(exist_ok=True)
        super().__init__(folder, database)
        self.options += ["--artifacts", str(artifacts)]
        self.environment = {"RONDO_FAILOVER": str(FAILOVER_SECONDS)}

    def call(self, method, path, body=None, expect=200):
        answer = requests.request(method, self.url + path, json=body, timeout=60)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def replicas(self):
        return self.call("GET", "/api/v1/replicas")

    def turns_loop(self):
        return self.call("GET", "/readyz")["replica"]["turns_loop"]


class Cluster:
    def __init__(self, folder, count):
        self.postgres = Postgres()
        (folder / "artifacts").mkdir()
        self.servers = [
            Replica(folder / f"server-{number}", self.postgres.url, folder / "artifacts") for number in range(count)
        ]
        # At the same moment, on an empty database: each wants to migrate it.
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(Server.start, self.servers))
        until(lambda: self.leader())

    def leader(self):
        """The server that turns the loop, if one of those that answer does."""
        leading = [server for server in self.servers if is_up(server) and server.turns_loop()]
        return leading[0] if len(leading) == 1 else None

    def others(self, one):
        return [server for server in self.servers if server is not one]

    def close(self):
        for server in self.servers:
            if server.process is not None:
                server.process.send_signal(signal.SIGCONT)
            server.stop(kill=True)
        self.postgres.close()


def is_up(server):
    try:
        return server.process.poll() is None and requests.get(f"{server.url}/health", timeout=1).ok
    except requests.RequestException:
        return False


def until(what):
    """Waits for something to be, and returns it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def cluster(tmp_path):
    started = Cluster(tmp_path, 2)
    yield started
    started.close()


def pipeline(folder, name, step, more=""):
    """The definition of a pipeline of one step, a Python program."""
    (folder / f"{name}.py").write_text(textwrap.dedent(step))
    return textwrap.dedent(
        f"""
        [pipeline]
        name = "{name}"
        [step.only]
        run = "'{sys.executable}' {name}.py"
        always = true
        """
    ) + textwrap.dedent(more)


def events(server, kind):
    return [event for event in server.call("GET", "/api/v1/events?after=-1&limit=1000")["events"] if event["kind"] == kind]


def test_who_is_there(cluster):
    one, other = cluster.servers
    seen = one.replicas()
    assert sorted(each["address"] for each in seen["replicas"]) == sorted([one.url, other.url])
    assert [each["turns_loop"] for each in seen["replicas"]].count(True) == 1
    assert seen["this"] != other.replicas()["this"]
    leader = cluster.leader()
    (other,) = cluster.others(leader)
    leader.stop()
    until(other.turns_loop)
    assert [each["address"] for each in other.replicas()["replicas"]] == [other.url]
    assert other.replicas()["term"] == seen["term"] + 1
    leader.start()
    assert len(other.replicas()["replicas"]) == 2


def test_a_server_with_a_store_of_its_own_is_refused(cluster, tmp_path):
    lonely = Replica(tmp_path / "lonely", cluster.postgres.url, tmp_path / "other-artifacts")
    with pytest.raises(RuntimeError, match="keeps the artifacts of this database in another store"):
        lonely.start()
    command = [os.environ["RONDO_BIN"], "gc", "--database", cluster.postgres.url, "--artifacts", str(tmp_path / "artifacts")]
    command += ["--data-dir", str(tmp_path / "nowhere")]
    collecting = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert collecting.returncode != 0 and "is at work on this database" in collecting.stderr, collecting.stderr


def test_clients_of_both_log_to_one_run(cluster):
    clients = [MlflowClient(server.url) for server in cluster.servers]
    run_id = clients[0].create_run("0").info.run_id
    batches, size = 10, 200

    def log(which):
        for batch in range(batches):
            steps = range(batch * size, (batch + 1) * size)
            points = [Metric("both", float(2 * step + which), 1_000 + step, 2 * step + which) for step in steps]
            clients[which].log_batch(run_id, metrics=points)
            # Many different metrics at once go another way inside the server.
            wide = [Metric(f"wide-{n}", float(2 * batch + which), 1_000, 2 * batch + which) for n in range(40)]
            clients[which].log_batch(run_id, metrics=wide)
            clients[which].log_metric(run_id, f"own-{which}", float(batch), step=batch)
            clients[which].log_param(run_id, f"p{which}-{batch}", str(batch))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(log, range(2)))
    for client in clients:
        points = client.get_metric_history(run_id, "both")
        assert sorted((point.step, point.value) for point in points) == [(n, float(n)) for n in range(2 * batches * size)]
        wide = client.get_metric_history(run_id, "wide-39")
        assert sorted((point.step, point.value) for point in wide) == [(n, float(n)) for n in range(2 * batches)]
        data = client.get_run(run_id).data
        assert data.metrics["wide-0"] == float(2 * batches - 1)
        assert data.metrics["both"] == float(2 * batches * size - 1)
        assert data.metrics["own-0"] == data.metrics["own-1"] == float(batches - 1)
        assert len(data.params) == 2 * batches


def test_names_and_numbers_are_given_once(cluster):
    clients = [MlflowClient(server.url) for server in cluster.servers]

    def experiment(which):
        try:
            return clients[which].create_experiment("one of a kind")
        except MlflowException as error:
            assert error.error_code == "RESOURCE_ALREADY_EXISTS", error
            return None

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(experiment, [0, 1] * 4))
    assert sum(each is not None for each in made) == 1, made
    clients[0].create_registered_model("m")
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda n: clients[n % 2].create_model_version("m", f"s3://b/{n}").version, range(24)))
    assert sorted(int(version) for version in versions) == list(range(1, 25))

    def move(number):
        clients[number % 2].set_registered_model_alias("m", "best", str(1 + number % 24))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(move, range(48)))
    seen = {client.get_model_version_by_alias("m", "best").version for client in clients}
    assert len(seen) == 1
    # The trail is one chain: each move begins where the one before ended.
    moves = [event["payload"] for event in events(cluster.servers[0], "pointer.moved")]
    assert all(after["from"] == before["to"] for before, after in zip(moves, moves[1:])), moves


def test_what_one_promotes_the_other_serves(cluster):
    import mlflow
    from sklearn.linear_model import LinearRegression

    one, other = cluster.servers
    one.call("PUT", "/api/v1/deployments/d", {"pointer": "models:/m@live"})
    frame = pd.DataFrame({"x": np.arange(50.0)})
    mlflow.set_tracking_uri(one.url)
    for slope in (1, 2):
        with mlflow.start_run(experiment_id="0") as run:
            mlflow.sklearn.log_model(LinearRegression().fit(frame, slope * frame["x"]), name="model", input_example=frame.head(2))
        mlflow.register_model(f"runs:/{run.info.run_id}/model", "m")

    def answers(server):
        answer = requests.post(f"{server.url}/deployments/d/predict", json={"rows": [{"x": 10.0}]}, timeout=30)
        if answer.status_code == 503:
            return None
        answer.raise_for_status()
        return round(answer.json()["predictions"][0]["prediction"], 6)

    for mover, version in ((one, 1), (other, 2), (one, 1)):
        MlflowClient(mover.url).set_registered_model_alias("m", "live", str(version))
        for server in cluster.servers:
            until(lambda: answers(server) == 10.0 * version)
    other.stop()
    other.start()
    assert answers(other) == 10.0, "a server that comes serves what the others serve before it answers"
    one.call("DELETE", "/api/v1/deployments/d")
    until(lambda: requests.post(f"{other.url}/deployments/d/predict", json={"rows": [{"x": 1}]}, timeout=30).status_code == 404)


def test_a_pipeline_goes_on_where_the_server_that_ran_it_was_killed(cluster, tmp_path):
    step = """
        import os, pathlib, time
        with open("begun", "a") as begun:
            begun.write(os.environ["RONDO_ATTEMPT"] + "\\n")
        while not pathlib.Path("go").exists():
            time.sleep(0.02)
    """
    leader = cluster.leader()
    (other,) = cluster.others(leader)
    other.call("PUT", "/api/v1/pipelines/p", {"definition": pipeline(tmp_path, "p", step), "dir": str(tmp_path)})
    run = other.call("POST", "/api/v1/pipelines/p/runs", {})["run_id"]
    until((tmp_path / "begun").exists)
    leader.stop(kill=True)
    until(lambda: (tmp_path / "begun").read_text().split() == ["1", "2"])
    (tmp_path / "go").touch()
    shown = until(lambda: ended(other, run))
    assert shown["state"] == "succeeded", shown
    assert len(events(other, "pipeline.succeeded")) == 1


def ended(server, run):
    shown = server.call("GET", f"/api/v1/pipeline-runs/{run}")
    return shown if shown["state"] not in ("pending", "running") else None


def test_a_server_that_stood_still_publishes_nothing(cluster, tmp_path):
    """It is stopped while its step runs. When it goes on, another has done the work, and what its own step made does not count."""
    step = """
        import os, pathlib, time
        number = os.environ["RONDO_ATTEMPT"]
        pathlib.Path("begun-" + number).touch()
        while not pathlib.Path("go-" + number).exists():
            time.sleep(0.02)
    """
    leader = cluster.leader()
    (other,) = cluster.others(leader)
    leader.call("PUT", "/api/v1/pipelines/p", {"definition": pipeline(tmp_path, "p", step), "dir": str(tmp_path)})
    run = leader.call("POST", "/api/v1/pipelines/p/runs", {})["run_id"]
    until((tmp_path / "begun-1").exists)
    leader.process.send_signal(signal.SIGSTOP)
    until((tmp_path / "begun-2").exists)
    assert other.turns_loop()
    leader.process.send_signal(signal.SIGCONT)
    until(lambda: not leader.turns_loop())
    (tmp_path / "go-1").touch()
    assert other.call("GET", f"/api/v1/pipeline-runs/{run}")["state"] == "running"
    (tmp_path / "go-2").touch()
    shown = until(lambda: ended(other, run))
    assert (shown["state"], shown["steps"][0]["attempt"]) == ("succeeded", 2), shown
    assert len(events(other, "pipeline.succeeded")) == 1
    assert leader.call("GET", f"/api/v1/pipeline-runs/{run}")["state"] == "succeeded"


def test_a_schedule_fires_once_whoever_dies(cluster, tmp_path):
    """A schedule of every second, and a server that is killed again and again, whichever turns the loop."""
    more = """
        [trigger.clock]
        kind = "cron"
        cron = "* * * * * *"
    """
    ticking = pipeline(tmp_path, "ticks", "pass", more)
    cluster.servers[0].call("PUT", "/api/v1/pipelines/ticks", {"definition": ticking, "dir": str(tmp_path)})
    for _ in range(3):
        leader = until(cluster.leader)
        before = len(events(leader, "pipeline.started"))
        until(lambda: len(events(leader, "pipeline.started")) > before + 1)
        leader.stop(kill=True)
        until(cluster.leader)
        leader.start()
    server = until(cluster.leader)
    server.call("DELETE", "/api/v1/pipelines/ticks")
    started = [event["payload"] for event in events(server, "pipeline.started")]
    times = [start["at_us"] for start in started]
    assert len(times) >= 6 and len(set(times)) == len(times) and times == sorted(times), times
    ended_runs = [event["payload"]["run_id"] for event in events(server, "pipeline.succeeded")]
    assert len(set(ended_runs)) == len(ended_runs)
