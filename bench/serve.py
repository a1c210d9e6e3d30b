"""Single-row predictions over HTTP: Rondo beside FastAPI and beside a bare axum handler, in one run.

    cargo build --release && cargo build --release -p rondo-bench
    python -m venv .venv && .venv/bin/pip install -r bench/requirements.txt
    .venv/bin/python bench/serve.py

Each server answers the same request (a GradientBoostingRegressor(200, depth 4) on 20 columns, logged through a stock mlflow client);
rounds are interleaved, the numbers are medians over the rounds. Then the pointer is moved 20 times under load.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
COLUMNS = 20


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")
    parser.add_argument("--bin", type=Path, default=Path(target) / "release", help="where rondo, load and bare are")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--swaps", type=int, default=20)
    return parser.parse_args()


def post(url, body, method="POST"):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"}, method=method)
    return json.load(urllib.request.urlopen(request, timeout=30))


def wait(what, test, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if test():
                return
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.05)
    raise SystemExit(f"{what} did not come up")


class Servers:
    """Everything that was started; stopped together."""

    def __init__(self, folder):
        self.folder, self.processes = Path(folder), []

    def start(self, name, *command, **environment):
        log = open(self.folder / f"{name}.log", "w")
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment}, cwd=HERE)
        self.processes.append(process)
        return process, Path(log.name)

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


def train(seed):
    import numpy as np
    from sklearn.ensemble import GradientBoostingRegressor

    random = np.random.default_rng(seed)
    x = random.normal(size=(2000, COLUMNS))
    y = x[:, 0] * 2 + np.sin(x[:, 1]) + x[:, 2] * x[:, 3] + random.normal(scale=0.1, size=2000)
    return GradientBoostingRegressor(n_estimators=200, max_depth=4, random_state=seed).fit(x, y), x


def start_rondo(servers, binary, models, x):
    import mlflow
    from mlflow.models import infer_signature

    process, log = servers.start("rondo", str(binary), "up", "--listen", "127.0.0.1:0", "--data-dir", str(servers.folder / "data"))
    wait("rondo", lambda: re.search(r"http://[\d.]+:\d+", log.read_text()))
    url = re.search(r"http://[\d.]+:\d+", log.read_text()).group()
    mlflow.set_tracking_uri(url)
    client = mlflow.MlflowClient()
    for model in models:
        with mlflow.start_run():
            mlflow.sklearn.log_model(
                model, name="model", registered_model_name="bench", serialization_format="cloudpickle",
                signature=infer_signature(x, model.predict(x)),
            )
    move(client, "1")
    post(f"{url}/api/v1/deployments/bench", {"pointer": "models:/bench/Production"}, "PUT")
    wait("the deployment", lambda: "bench" == post(f"{url}/deployments/bench/predict", {"rows": [[0.0] * COLUMNS]})["deployment"])
    return process, url, client


def move(client, version):
    client.transition_model_version_stage("bench", version, "Production", archive_existing_versions=True)


def load(options, url, body, connections, seconds):
    address = url.removeprefix("http://")
    command = [options.bin / "load", address, "/deployments/bench/predict", body, str(connections), str(seconds)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_mb(process):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text()).group(1)) / 1024


def compare(options, urls, body):
    for connections in options.connections:
        results = {name: [] for name in urls}
        for _ in range(options.rounds):
            for name, url in urls.items():
                results[name].append(load(options, url, body, connections, options.seconds))
        print(f"\n{connections} connections, median of {options.rounds} rounds of {options.seconds:g} s")
        rates = {}
        for name, runs in results.items():
            assert not any(run["failed"] for run in runs), (name, runs)
            middle = {key: statistics.median(run[key] for run in runs) for key in ("per_second", "p50_ms", "p99_ms")}
            rates[name] = middle["per_second"]
            print(f"  {name:10} {middle['per_second']:9.0f} req/s   p50 {middle['p50_ms']:7.3f} ms   p99 {middle['p99_ms']:7.3f} ms")
        print(f"  rondo / fastapi {rates['rondo'] / rates['fastapi']:.1f}   rondo / bare axum {rates['rondo'] / rates['bare']:.2f}")


def swap(options, url, process, client, body):
    live = lambda: post(f"{url}/deployments/bench/predict", {"rows": [[0.0] * COLUMNS]})["version"]
    before, result = memory_mb(process), {}
    seconds = 0.5 * options.swaps
    fire = threading.Thread(target=lambda: result.update(load(options, url, body, 16, seconds)))
    fire.start()
    swaps = 0
    while fire.is_alive() and swaps < options.swaps:
        version = "2" if swaps % 2 == 0 else "1"
        move(client, version)
        wait("the swap", lambda: live() == version)
        swaps += 1
    fire.join()
    print(f"\n{swaps} swaps under 16 connections: {result['requests']} answered, {result['failed']} failed; "
          f"resident memory {before:.0f} MB before, {memory_mb(process):.0f} MB after")


def main():
    import joblib

    chosen = options()
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(folder)
        try:
            (first, x), (second, _) = train(1), train(2)
            joblib.dump(first, servers.folder / "model.joblib")
            body = servers.folder / "body.json"
            body.write_text(json.dumps({"rows": [x[0].tolist()]}))
            process, rondo, client = start_rondo(servers, chosen.bin / "rondo", [first, second], x)
            _, log = servers.start("bare", str(chosen.bin / "bare"))
            wait("bare", lambda: log.read_text().strip())
            bare = f"http://127.0.0.1:{log.read_text().strip()}"
            _, log = servers.start(
                "fastapi", sys.executable, "-m", "uvicorn", "peer_fastapi:app", "--port", "0", "--no-access-log",
                MODEL=str(servers.folder / "model.joblib"),
            )
            wait("fastapi", lambda: re.search(r"http://[\d.]+:\d+", log.read_text()))
            fastapi = re.search(r"http://[\d.]+:\d+", log.read_text()).group()
            want = first.predict(x[:1])[0]
            for name, url in (("rondo", rondo), ("fastapi", fastapi)):
                have = post(f"{url}/deployments/bench/predict", json.loads(body.read_text()))["predictions"][0]["prediction"]
                assert abs(have - want) <= 1e-9 * abs(want), (name, have, want)
            compare(chosen, {"rondo": rondo, "bare": bare, "fastapi": fastapi}, body)
            swap(chosen, rondo, process, client, body)
        finally:
            servers.stop()


if __name__ == "__main__":
    main()
