"""Sweeps as people use them: `rondo sweep`, workers that die, and training scripts that know only MLflow."""

import json
import os
import signal
import subprocess
import sys
import time

import mlflow
import pytest
import requests

TRAIN = """
import argparse, json, os, sys, time
import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--depth", type=int)
parser.add_argument("--pause", type=float, default=0.0)
args = parser.parse_args()
given = json.load(open(os.environ["RONDO_PARAMS_FILE"]))
assert given == {"lr": args.lr, "depth": args.depth}, given
assert float(os.environ["RONDO_PARAM_LR"]) == args.lr
with mlflow.start_run():
    # The same again is fine only if it is written the same.
    mlflow.log_params(vars(args))
    for step in range(5):
        mlflow.log_metric("loss", (args.lr - 0.01) ** 2 + args.depth / (step + 1), step=step)
        time.sleep(args.pause)
"""


def rondo(server, *arguments, code=0):
    done = subprocess.run(
        [os.environ["RONDO_BIN"], "--json", "--server", server.url, *arguments], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout.startswith("{") and "\n{" not in done.stdout else done.stdout


def worker(server, folder, *arguments, command):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RONDO_", "MLFLOW_"))}
    environment["GIT_PYTHON_REFRESH"] = "quiet"
    return subprocess.Popen(
        [os.environ["RONDO_BIN"], "--json", "--server", server.url, "sweep", "work", *arguments, "--logs", str(folder), "--", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def events(process, timeout=300):
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, out + err
    return [json.loads(line) for line in out.splitlines()]


def until(what, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = what()
        except requests.ConnectionError:
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


def children(url, name):
    sweep = requests.get(f"{url}/api/v1/sweeps/{name}", timeout=10).json()
    client = mlflow.MlflowClient()
    found = client.search_runs([sweep["experiment_id"]], f"tags.`mlflow.parentRunId` = '{sweep['run_id']}'")
    return sweep, found


def trials(url, name):
    return requests.get(f"{url}/api/v1/sweeps/{name}/trials", timeout=10).json()["trials"]


def test_a_sweep_from_file_to_best_trial(server, tmp_path):
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "sweep.toml").write_text(
        """
        name = "clients-grid"
        metric = "loss"
        method = "grid"
        [space]
        lr = { type = "choice", values = [0.01, 1e-5] }
        depth = { type = "int", low = 2, high = 3 }
        """
    )
    made = rondo(server, "sweep", "create", str(tmp_path / "sweep.toml"))
    assert (made["state"], made["trials"]) == ("running", 4)
    command = [sys.executable, str(tmp_path / "train.py"), "--lr", "{lr}", "--depth={depth}"]
    told = events(worker(server, tmp_path / "logs", "clients-grid", "--parallel", "2", command=command))
    assert sorted(event["trial"] for event in told if event["event"] == "finished") == [0, 1, 2, 3], told
    assert told[-1]["sweep"]["best"]["params"] == {"lr": "0.01", "depth": "2"}

    sweep, runs = children(server.url, "clients-grid")
    assert sweep["state"] == "finished"
    assert {(run.data.params["lr"], run.data.params["depth"]) for run in runs} == {
        (lr, depth) for lr in ("0.01", "1e-05") for depth in ("2", "3")
    }
    assert {run.info.status for run in runs} == {"FINISHED"}
    parent = mlflow.get_run(sweep["run_id"])
    assert (parent.info.status, parent.data.metrics["loss"]) == ("FINISHED", sweep["best"]["value"])
    shown = rondo(server, "sweep", "show", "clients-grid")
    assert [trial["state"] for trial in shown["trial_list"]] == ["finished"] * 4
    assert "clients-grid" in {one["name"] for one in rondo(server, "sweep", "list")["sweeps"]}


def test_a_trial_that_fails_says_why_and_the_worker_gives_up(server, tmp_path):
    (tmp_path / "sweep.yaml").write_text(
        "name: clients-failing\nmetric: loss\nmethod: random\nbudget: {trials: 9}\nspace:\n  lr: {type: uniform, low: 0, high: 1}\n"
    )
    rondo(server, "sweep", "create", str(tmp_path / "sweep.yaml"))
    command = [sys.executable, "-c", "import sys; print('fine'); sys.exit('no such file: {lr}')"]
    process = worker(server, tmp_path / "logs", "clients-failing", "--max-failures", "2", command=command)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "the last 2 trials failed" in err, out + err
    found = trials(server.url, "clients-failing")
    assert [trial["state"] for trial in found] == ["failed", "failed"]
    assert found[0]["error"] == f"exit code 1: no such file: {found[0]['params']['lr']}"
    _, runs = children(server.url, "clients-failing")
    assert {run.info.status for run in runs} == {"FAILED"}
    process = worker(server, tmp_path / "logs", "clients-failing", command=["true", "{depth}"])
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "`{depth}` in `{depth}` is no parameter of the sweep" in err
    assert rondo(server, "sweep", "stop", "clients-failing")["state"] == "stopped"


ENDLESS = """
import sys, time
import mlflow

quality = int(sys.argv[1])
with mlflow.start_run():
    for step in range(1, 6 if quality == 0 else 1200):
        mlflow.log_metric("loss", quality + 1 / step, step=step)
        if step >= 5:
            time.sleep(0.1)
"""


def test_the_rule_ends_a_process_that_gets_nowhere(server, tmp_path):
    (tmp_path / "train.py").write_text(ENDLESS)
    (tmp_path / "sweep.toml").write_text(
        """
        name = "clients-asha"
        metric = "loss"
        method = "grid"
        stopping = { rule = "asha", min_step = 2, reduction = 2 }
        [space]
        quality = { type = "choice", values = [0, 1, 2] }
        """
    )
    rondo(server, "sweep", "create", str(tmp_path / "sweep.toml"))
    command = [sys.executable, str(tmp_path / "train.py"), "{quality}"]
    told = events(worker(server, tmp_path / "logs", "clients-asha", command=command))
    ended = {event["trial"]: event["event"] for event in told if event["event"] not in ("began", "over")}
    assert ended == {0: "finished", 1: "pruned", 2: "pruned"}, told
    _, runs = children(server.url, "clients-asha")
    assert {(run.data.params["quality"], run.info.status, run.data.tags["rondo.sweep.state"]) for run in runs} == {
        ("0", "FINISHED", "finished"),
        ("1", "KILLED", "pruned"),
        ("2", "KILLED", "pruned"),
    }


def test_workers_and_the_server_die_and_every_trial_ends_once(own_server, tmp_path):
    server = own_server
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "sweep.toml").write_text(
        """
        name = "dying"
        metric = "loss"
        method = "grid"
        budget = { lease_seconds = 4, attempts = 20 }
        [space]
        lr = { type = "choice", values = [0.1, 0.01, 0.001] }
        depth = { type = "int", low = 2, high = 4 }
        """
    )
    rondo(server, "sweep", "create", str(tmp_path / "sweep.toml"))
    # The client of the script waits for the server to come back, as people configure it.
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    command = ["env", "MLFLOW_HTTP_REQUEST_MAX_RETRIES=10", sys.executable, str(tmp_path / "train.py")]
    command += ["--lr", "{lr}", "--depth", "{depth}", "--pause", "0.2"]
    start = lambda: worker(server, tmp_path / "logs", "dying", command=command)  # noqa: E731
    workers = [start() for _ in range(3)]
    seen = lambda state: [trial for trial in trials(server.url, "dying") if trial["state"] == state]  # noqa: E731
    try:
        for victim in range(2):
            until(lambda: any(trial["worker"].endswith(f":{workers[victim].pid}") for trial in seen("running")))
            workers[victim].send_signal(signal.SIGKILL)
            workers[victim].communicate(timeout=60)
            workers[victim] = start()
            if victim == 0:
                server.stop(kill=True)
                server.start()
        until(lambda: len(seen("finished")) >= 4)
        server.stop(kill=True)
        server.start()
        told = [event for process in workers for event in events(process)]
    finally:
        for process in workers:
            if process.poll() is None:
                process.kill()
                process.communicate()

    sweep, runs = children(server.url, "dying")
    found = trials(server.url, "dying")
    assert sweep["state"] == "finished"
    assert [(trial["number"], trial["state"]) for trial in found] == [(number, "finished") for number in range(9)]
    assert max(trial["attempt"] for trial in found) > 1, "a trial of a killed worker was begun again"
    assert sorted(trial["run_id"] for trial in found) == sorted(run.info.run_id for run in runs)
    assert sorted((run.data.params["lr"], run.data.params["depth"]) for run in runs) == sorted(
        (lr, depth) for lr in ("0.1", "0.01", "0.001") for depth in ("2", "3", "4")
    )
    assert {run.info.status for run in runs} == {"FINISHED"}
    ended = [event["trial"] for event in told if event["event"] == "finished"]
    assert len(ended) == len(set(ended)), "no worker ends what another has ended"
    client = mlflow.MlflowClient()
    for run in runs:
        steps = {point.step for point in client.get_metric_history(run.info.run_id, "loss")}
        assert steps == set(range(5)), run.info.run_id


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_asked_to_leave_gives_its_trial_back(server, tmp_path, ending):
    name = f"clients-leaving-{int(ending)}"
    (tmp_path / "sweep.toml").write_text(
        f'name = "{name}"\nmetric = "loss"\nmethod = "random"\nbudget = {{ trials = 1 }}\n'
        '[space]\nlr = { type = "uniform", low = 0, high = 1 }\n'
    )
    rondo(server, "sweep", "create", str(tmp_path / "sweep.toml"))
    process = worker(server, tmp_path / "logs", name, command=["sleep", "600"])
    until(lambda: [trial for trial in trials(server.url, name) if trial["state"] == "running"])
    process.send_signal(ending)
    told = events(process)
    assert [event["event"] for event in told] == ["began", "released", "over"]
    assert [(trial["state"], trial["attempt"]) for trial in trials(server.url, name)] == [("waiting", 0)]
    assert rondo(server, "sweep", "cancel", name)["state"] == "cancelled"
