"""The loop turns by itself: drift fires an alert, the alert starts the pipeline, its candidate is measured against the champion and takes
over. Training is a real pipeline step with the stock MLflow client; the server is killed in the middle and nothing happens twice."""

import http.server
import json
import sys
import textwrap
import threading
import time

import numpy as np
import pandas as pd
import pytest
import requests

from conftest import Server

DAY_US = 86_400_000_000
ROWS_A_DAY = 600
TRAIN = textwrap.dedent(
    """
    import io, os, urllib.request
    import mlflow, pandas as pd
    from sklearn.ensemble import GradientBoostingClassifier

    until, source = os.environ["RONDO_PARAM_UNTIL"], os.environ["RONDO_PARAM_SOURCE"]
    if source == "file":
        rows = pd.read_csv("first.csv")
    else:
        url = f"{os.environ['RONDO_URL']}/api/v1/deployments/loop/labelled?until={until}&from={os.environ['RONDO_PARAM_FROM']}"
        rows = pd.read_csv(io.BytesIO(urllib.request.urlopen(url).read()))
    X, y = rows[["a", "b"]], rows["outcome"].astype(int)
    mlflow.set_experiment("loop")
    with mlflow.start_run() as run:
        mlflow.set_tag("rondo.trained_until", until)
        model = GradientBoostingClassifier(n_estimators=20, max_depth=2, random_state=0).fit(X, y)
        X.to_csv("train.csv", index=False)
        mlflow.log_artifact("train.csv", "reference")
        mlflow.sklearn.log_model(model, name="model", serialization_format="cloudpickle")
    mlflow.register_model(f"runs:/{run.info.run_id}/model", "loop")
    """
)


def rows_of(day, flipped, seed):
    """Rows of one day and their truth. After the flip `a` counts the other way round and is larger."""
    draw = np.random.default_rng(seed + day)
    a = draw.normal(1.5 if flipped else 0.0, 1.0, ROWS_A_DAY)
    b = draw.normal(0.0, 1.0, ROWS_A_DAY)
    chance = 1 / (1 + np.exp(-(2.0 * (-a if flipped else a) + b)))
    return pd.DataFrame({"a": a, "b": b}), (draw.random(ROWS_A_DAY) < chance).astype(int)


class Loop:
    """A deployment, its monitor and its pipeline, and the days that go by."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder

    def call(self, method, path, body=None, expect=200):
        answer = requests.request(method, self.server.url + path, json=body, timeout=60)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def rest(self, seconds=300):
        """Waits until everything that happened has had its consequences."""
        deadline = time.monotonic() + seconds
        while True:
            state = self.call("GET", "/api/v1/loop")
            if state["idle"]:
                return
            assert time.monotonic() < deadline, state
            time.sleep(0.05)

    def day(self, day, flipped):
        frame, truth = rows_of(day, flipped, seed=7)
        start = day * 86_400
        ids = [f"{day}-{row}" for row in range(len(frame))]
        times = [start + 60 * row for row in range(len(frame))]
        body = {"rows": json.loads(frame.to_json(orient="records")), "ids": ids, "event_times": times}
        self.call("POST", "/deployments/loop/predict", body)
        outcomes = [
            {"prediction_id": id, "value": int(value), "observed_at": start + 80_000} for id, value in zip(ids, truth)
        ]
        self.call("POST", "/api/v1/outcomes", {"outcomes": outcomes})
        self.call("POST", "/api/v1/deployments/loop/watermark", {"event_time": start + 86_400})
        self.rest()

    def history(self):
        return self.call("GET", "/api/v1/models/loop/history")["events"]

    def kinds(self):
        return [event["kind"] for event in self.history()]


@pytest.fixture
def own_server(tmp_path):
    """A server that may call this machine."""
    (tmp_path / "rondo.toml").write_text("webhook_private = true\n")
    started = Server(tmp_path)
    started.start()
    yield started
    started.close()


@pytest.fixture
def receiver():
    """A webhook receiver that is ill at first: the first call is refused."""
    calls = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            calls.append((dict(self.headers), body))
            self.send_response(503 if len(calls) == 1 else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}/hook", calls
    served.shutdown()


def test_the_loop_turns_by_itself_and_survives_a_kill(own_server, tmp_path, receiver):
    hook, calls = receiver
    work = tmp_path / "pipeline"
    work.mkdir()
    (work / "train.py").write_text(TRAIN)
    first = [rows_of(day, False, seed=100) for day in range(5)]
    frame = pd.concat([rows for rows, _ in first]).assign(outcome=np.concatenate([truth for _, truth in first]))
    frame.to_csv(work / "first.csv", index=False)
    loop = Loop(own_server, work)

    policy = {"mode": "required", "approve": "auto", "min_rows": 500, "holdout_us": 2 * DAY_US}
    loop.call("PUT", "/api/v1/models/loop/policy", policy)
    loop.call("PUT", "/api/v1/deployments/loop", {"pointer": "models:/loop/Production"})
    rule = {"name": "drift", "on": "drift", "metric": "share", "threshold": 0.4}
    monitor = {"deployment": "loop", "window_us": DAY_US, "outcome_delay_us": 0, "rules": [rule], "webhook": hook}
    loop.call("PUT", "/api/v1/monitors/loop", monitor | {"webhook_secret": "s3cret"})
    definition = textwrap.dedent(
        f"""
        [pipeline]
        name = "loop"
        [step.train]
        run = "'{sys.executable}' train.py"
        params = {{ UNTIL = "1970-01-19T00:00:00Z", FROM = "1970-01-18T00:00:00Z", SOURCE = "log" }}
        always = true
        [trigger.drift]
        kind = "alert"
        monitor = "loop"
        """
    )
    loop.call("PUT", "/api/v1/pipelines/loop", {"definition": definition, "dir": str(work)})

    start = {"params": {"SOURCE": "file", "UNTIL": "1970-01-10T00:00:00Z"}}
    run = loop.call("POST", "/api/v1/pipelines/loop/runs", start)["run_id"]
    loop.rest()
    shown = loop.call("GET", f"/api/v1/pipeline-runs/{run}")
    log = requests.get(f"{own_server.url}/api/v1/pipeline-runs/{run}/steps/train/log", timeout=10).text
    assert shown["state"] == "succeeded", log
    assert loop.call("GET", "/api/v1/deployments/loop")["version"] == "1"
    verdict = loop.call("GET", "/api/v1/models/loop")["verdicts"][0]
    assert verdict["passed"] and verdict["champion"] is None

    for day in range(14, 17):
        loop.day(day, flipped=False)
    assert "alert.fired" not in loop.kinds()
    for day in range(17, 21):
        loop.day(day, flipped=True)
        if day == 18:
            own_server.stop(kill=True)
            own_server.start()
            loop.rest()
    kinds = loop.kinds()
    assert kinds.count("alert.fired") == 1, kinds
    assert kinds.count("version.registered") == 2, kinds
    model = loop.call("GET", "/api/v1/models/loop")
    verdict = model["verdicts"][0]
    assert verdict["passed"] and verdict["champion"] == "1" and verdict["low"] > 0.05, verdict
    assert all(verdict["digests"][part] for part in ("model", "data", "thresholds")), verdict
    assert loop.call("GET", "/api/v1/deployments/loop")["version"] == "2"

    # The alert was about version 1 and is over; what version 2 sees is its own reference.
    loop.day(21, flipped=True)
    windows = loop.call("GET", "/api/v1/monitors/loop/windows")["windows"]
    assert windows[-1]["reference"]["version"] == "2"
    assert windows[-1]["drift"]["drifted"] == 0, windows[-1]["drift"]
    before = {measure["metric"]: measure["value"] for measure in windows[-4]["quality"]}
    after = {measure["metric"]: measure["value"] for measure in windows[-1]["quality"]}
    assert after["auc"] > 0.8 > 0.5 > before["auc"], (before, after)
    assert loop.kinds().count("alert.resolved") == 1

    deadline = time.monotonic() + 30
    while sum(body["event"] == "alert.fired" for _, body in calls) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    told = [(headers["x-rondo-delivery"], body["event"]) for headers, body in calls]
    assert told[0] == told[1] and told[0][1] == "alert.fired", told
    assert all(headers["x-rondo-signature"].startswith("v1,") for headers, _ in calls)


def test_a_person_has_the_last_word_where_the_policy_says_so(own_server, tmp_path):
    """`approve = human`: a passing verdict waits, also for the MLflow client, until somebody says yes."""
    import mlflow
    from sklearn.linear_model import LinearRegression

    mlflow.set_tracking_uri(own_server.url)
    loop = Loop(own_server, tmp_path)
    loop.call("PUT", "/api/v1/models/asked/policy", {"mode": "required", "approve": "human"})
    loop.call("PUT", "/api/v1/deployments/asked", {"pointer": "models:/asked/Production"})
    frame, _ = rows_of(0, False, seed=1)
    mlflow.set_experiment("asked")
    with mlflow.start_run() as run:
        model = LinearRegression().fit(frame, frame["a"])
        mlflow.sklearn.log_model(model, name="model", input_example=frame.head(2))
    mlflow.register_model(f"runs:/{run.info.run_id}/model", "asked")
    loop.rest()
    assert "approval.requested" in [event["kind"] for event in loop.call("GET", "/api/v1/models/asked/history")["events"]]
    with pytest.raises(mlflow.MlflowException, match="approv"):
        mlflow.MlflowClient().transition_model_version_stage("asked", "1", "Production")
    verdict = loop.call("GET", "/api/v1/models/asked")["verdicts"][0]
    loop.call("POST", f"/api/v1/models/asked/verdicts/{verdict['id']}/approve", {"approved": True, "note": "looks right"})
    loop.rest()
    assert loop.call("GET", "/api/v1/deployments/asked")["version"] == "1"
    events = loop.call("GET", "/api/v1/models/asked/history")["events"]
    moved = [event for event in events if event["kind"] == "pointer.moved"]
    assert [event["payload"]["to"] for event in moved] == ["1"]
