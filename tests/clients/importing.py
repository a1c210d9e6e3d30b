"""What the tests of the importers share: MLflow's own server, `rondo` commands, and what a client sees of a server."""

import json
import math
import os
import subprocess
import sys
import time

import mlflow
import requests
from mlflow.entities import ViewType
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from conftest import free_port

START_SECONDS = 120


def rondo(server, *arguments, check=True, **more):
    """Runs a command against a server; the finished process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RONDO_")}
    command = [os.environ["RONDO_BIN"], *arguments, "--server", server.url]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)}: {done.stderr}\n{done.stdout}")
    return done


def report(server, *arguments):
    """The JSON that a command prints."""
    return json.loads(rondo(server, *arguments, "--json").stdout)


class Mlflow:
    """MLflow's own server over SQLite, which keeps artifacts itself."""

    def __init__(self, folder):
        folder.mkdir()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = open(folder / "server.log", "ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=folder,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if requests.get(f"{self.url}/health", timeout=5).ok:
                    return
            except requests.ConnectionError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mlflow server does not start:\n{(folder / 'server.log').read_text()[-3000:]}")
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.log.close()


def value(number):
    return "NaN" if math.isnan(number) else number


def tags(pairs):
    """Without what an export adds, and without what a server notes by itself on a model that is registered."""
    return {key: text for key, text in pairs.items() if not key.startswith("rondo.") and key != "mlflow.modelVersions"}


def everything(uri):
    """What a client sees of a server, by name instead of by id."""
    # Where artifacts are is asked of the one server that is set for all, and remembered by id.
    mlflow.set_tracking_uri(uri)
    _artifact_repos_cache.clear()
    client = mlflow.MlflowClient(uri, uri)
    names, seen = {}, {"experiments": {}, "runs": {}, "models": {}, "registry": {}}
    for experiment in client.search_experiments(ViewType.ALL):
        about = (experiment.lifecycle_stage, tags(experiment.tags))
        seen["experiments"][experiment.name] = about
        runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, max_results=1000)
        for run in runs:
            names[run.info.run_id] = run.info.run_name
        for model in client.search_logged_models([experiment.experiment_id]):
            names[model.model_id] = model.name
            seen["models"][model.name] = {
                "status": model.status.value, "params": model.params, "tags": tags(model.tags), "type": model.model_type or None,
                "run": names.get(model.source_run_id), "files": files(client, model_id=model.model_id),
                "metrics": sorted((m.key, 0 if math.isnan(m.value) else m.value, m.step, m.timestamp, m.dataset_name, m.dataset_digest)
                                  for m in model.metrics or []),
            }
        for run in runs:
            run = client.get_run(run.info.run_id)
            seen["runs"][experiment.name, run.info.run_name] = seen_run(client, run, names)
    for model in [*client.search_registered_models(), *client.search_prompts()]:
        model = client.get_registered_model(model.name) if hasattr(model, "latest_versions") else model
        versions = client.search_model_versions(f"name='{model.name}'")
        seen["registry"][model.name] = {
            "description": model.description, "tags": model.tags, "aliases": {alias: str(version) for alias, version in model.aliases.items()},
            "versions": sorted((str(v.version), v.current_stage, v.description, names.get(v.run_id), tuple(sorted(v.tags.items())))
                               for v in versions),
        }
    return seen


def seen_run(client, run, names):
    run_id = run.info.run_id
    inputs = [(i.dataset.name, i.dataset.digest, i.dataset.source, i.dataset.profile, {t.key: t.value for t in i.tags})
              for i in run.inputs.dataset_inputs]
    return {
        "status": run.info.status, "stage": run.info.lifecycle_stage, "start": run.info.start_time,
        "end": run.info.end_time, "user": run.info.user_id, "params": run.data.params, "tags": tags(run.data.tags),
        "metrics": {key: sorted((m.step, m.timestamp, str(value(m.value))) for m in client.get_metric_history(run_id, key))
                    for key in run.data.metrics},
        "inputs": sorted(inputs, key=str),
        "outputs": sorted((names.get(o.model_id), o.step) for o in run.outputs.model_outputs) if run.outputs else [],
        "files": files(client, run_id=run_id),
    }


def files(client, run_id=None, model_id=None):
    """Paths and sizes."""
    found, open_folders = {}, [None]
    while open_folders:
        folder = open_folders.pop()
        listed = client.list_artifacts(run_id, folder) if run_id else client.list_logged_model_artifacts(model_id, folder)
        for file in listed:
            if file.is_dir:
                open_folders.append(file.path)
            else:
                found[file.path] = file.file_size or 0
    return found
