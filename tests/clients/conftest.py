"""A Rondo server of its own for the real clients: the development binary, a fresh data folder, a free port.

`RONDO_BIN` names the binary; `cargo xtask test --stage clients` builds it and sets it. With `RONDO_CLIENTS_DATABASE=postgres` each
server has a PostgreSQL of its own instead of the file in its data folder.
"""

import os
import pathlib
import signal
import socket
import subprocess
import time

import mlflow
import pytest
import requests

from postgres import Postgres

START_SECONDS = 60

# A request that fails is a failed test, at once.
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
os.environ["GIT_PYTHON_REFRESH"] = "quiet"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One `rondo up`; `stop` and `start` keep the data folder and the port."""

    def __init__(self, folder, database=None):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.options = ["--database", database] if database else []
        self.environment = {}
        self.postgres = None
        if database is None and os.environ.get("RONDO_CLIENTS_DATABASE") == "postgres":
            self.postgres = Postgres()
            self.options = ["--database", self.postgres.url]

    def start(self):
        binary = os.environ.get("RONDO_BIN")
        if not binary:
            pytest.exit("RONDO_BIN is not set: run `cargo xtask test --stage clients`", returncode=2)
        # The server reads RONDO_* variables: none of the test run's may reach it.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RONDO_")} | self.environment
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [binary, "up", "--listen", f"127.0.0.1:{self.port}", "--data-dir", str(self.folder / "data"), *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"rondo up ended with {self.process.returncode}:\n{self.log()}")
            try:
                if requests.get(f"{self.url}/health", timeout=5).ok:
                    return
            except requests.ConnectionError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"rondo up does not answer after {START_SECONDS} s:\n{self.log()}")
            time.sleep(0.01)

    def stop(self, kill=False):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            self.process.wait(timeout=60)

    def close(self):
        self.stop()
        if self.postgres is not None:
            self.postgres.close()

    def log(self):
        return (self.folder / "server.log").read_text(errors="replace")[-4000:]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The server that all tests share; name your things so that tests do not meet."""
    started = Server(tmp_path_factory.mktemp("rondo"))
    started.start()
    yield started
    started.close()


@pytest.fixture(scope="session")
def url(server):
    """Base URL of the shared server."""
    return server.url


@pytest.fixture
def own_server(tmp_path):
    """A server for one test, which may kill it and start it again."""
    started = Server(tmp_path)
    started.start()
    yield started
    started.close()


@pytest.fixture(autouse=True)
def mlflow_to_server(request):
    """Points MLflow's client at the server of the test. Its addresses are global, so the next test starts without any."""
    if "own_server" in request.fixturenames:
        mlflow.set_tracking_uri(request.getfixturevalue("own_server").url)
    elif "server" in request.fixturenames or "url" in request.fixturenames:
        mlflow.set_tracking_uri(request.getfixturevalue("url"))
    yield
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri("")
    os.environ.pop("MLFLOW_REGISTRY_URI", None)
