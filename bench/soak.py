"""Clients that log for an hour: does memory grow, is a point lost or doubled, also when the server is killed again and again?

    cargo build --release -p rondo
    python bench/soak.py --minutes 60              # the slope of memory
    python bench/soak.py --minutes 10 --kills 50   # SIGKILL and a new start, 50 times

Each client is a process with its own run and its own record: what it was about to send, and what was answered. A request without an
answer is sent again, as MLflow's client does, so a point may arrive twice and must count once. At the end every series of every run is read
back and compared with the record, point by point; so is what the run shows as its latest values. Only the standard library is needed.
"""

import argparse
import http.client
import json
import multiprocessing
import random
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

API = "/api/2.0/mlflow"
NARROW, WIDE = 10, 200


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rondo", type=Path, default=Path("target/release/rondo"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--rate", type=float, default=10, help="requests a second and client")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="for the data; a temporary folder if not given")
    return parser.parse_args()


class Server:
    """The server, and the port it keeps over its lives."""

    def __init__(self, binary, folder):
        self.binary, self.folder, self.port = binary, folder, None
        self.start()

    def start(self):
        log = self.folder / "rondo.log"
        before = log.stat().st_size if log.exists() else 0
        command = [self.binary, "up", "--listen", f"127.0.0.1:{self.port or 0}", "--data-dir", self.folder / "data"]
        with open(log, "a") as out:
            self.process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out)
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            if found := re.search(r"ready at http://127\.0\.0\.1:(\d+)", log.read_text()[before:]):
                self.port = int(found.group(1))
                return
            time.sleep(0.01)
        raise SystemExit(f"the server did not come up:\n{log.read_text()[-2000:]}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def memory_mb(self):
        return int(re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text(), re.M).group(1)) / 1024


class Client:
    """One connection that is opened anew when it breaks; a request is repeated until it is answered."""

    def __init__(self, port):
        self.port, self.connection, self.repeated = port, None, 0

    def call(self, method, path, body=None):
        while True:
            try:
                self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                self.connection.request(method, API + path, body and json.dumps(body), {"content-type": "application/json"})
                answer = self.connection.getresponse()
                text = answer.read()
                if answer.status == 200:
                    return json.loads(text)
                if answer.status not in (429, 503):
                    raise SystemExit(f"{method} {path}: {answer.status} {text[:500]!r}")
            except (OSError, http.client.HTTPException):
                self.connection = None
            self.repeated += 1
            time.sleep(0.05)


def log(port, index, chosen, until, results):
    random.seed(chosen.seed * 1_000 + index)
    client, step, record, slowest = Client(port), 0, {}, 0.0
    run = client.call("POST", "/runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]

    def point(key):
        value, at = random.gauss(0, 1), 1_700_000_000_000 + step
        record.setdefault(key, []).append((at, step, value))
        return {"key": key, "value": value, "timestamp": at, "step": step}

    while time.time() < until:
        step += 1
        kind = step % 4
        keys = [f"wide{one}" for one in range(WIDE)] if kind == 0 else [f"narrow{one}" for one in range(NARROW)]
        began = time.monotonic()
        if kind == 1:
            client.call("POST", "/runs/log-metric", {"run_id": run, **point("single")})
        else:
            client.call("POST", "/runs/log-batch", {"run_id": run, "metrics": [point(key) for key in keys]})
        took = time.monotonic() - began
        slowest = max(slowest, took)
        time.sleep(max(0.0, random.expovariate(chosen.rate) - took))
    results.put((run, record, client.repeated, step, slowest))


def wrong(client, run, record):
    """Series that do not have exactly the points of the record."""
    bad = []
    latest = client.call("GET", f"/runs/get?run_id={run}")["run"]["data"].get("metrics", [])
    latest = {metric["key"]: (metric["timestamp"], metric["step"], metric["value"]) for metric in latest}
    if latest != {key: points[-1] for key, points in record.items()}:
        bad.append(f"{run}: latest values")
    for key, points in record.items():
        found = client.call("GET", f"/metrics/get-history?run_id={run}&metric_key={key}").get("metrics", [])
        found = [(metric["timestamp"], metric["step"], metric["value"]) for metric in found]
        if found != points:
            lost, more = len(set(points) - set(found)), len(found) - len(set(found) & set(points))
            bad.append(f"{run} {key}: {lost} lost, {more} doubled or foreign of {len(points)}")
    return bad


def slope(samples):
    """Percent of the mean, each hour, by least squares."""
    times, sizes = zip(*samples)
    fit = statistics.linear_regression(times, sizes)
    return fit.slope * 3_600 / statistics.mean(sizes) * 100


def main():
    chosen = options()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="soak"))
    folder.mkdir(parents=True, exist_ok=True)
    server, results = Server(chosen.rondo, folder), multiprocessing.Queue()
    began = time.time()
    until, samples, killed = began + 60 * chosen.minutes, [], 0
    clients = [
        multiprocessing.Process(target=log, args=(server.port, index, chosen, until, results))
        for index in range(chosen.clients)
    ]
    for client in clients:
        client.start()
    while (now := time.time()) < until:
        if chosen.kills and now - began > (killed + 0.5) * (until - began) / chosen.kills:
            server.kill()
            server.start()
            killed += 1
        samples.append((now - began, server.memory_mb()))
        time.sleep(0.1 if chosen.kills else 5)
    records = [results.get() for _ in clients]
    for client in clients:
        client.join()
    reader = Client(server.port)
    bad = [text for run, record, *_ in records for text in wrong(reader, run, record)]
    points = sum(len(points) for _, record, *_ in records for points in record.values())
    steps, repeated = sum(record[3] for record in records), sum(record[2] for record in records)
    print(f"{chosen.clients} clients, {(time.time() - began) / 60:.0f} minutes, {steps:,} requests, {points:,} points")
    print(f"{killed} kills, {repeated} requests repeated, longest wait for an answer {max(r[4] for r in records):.1f} s")
    print(f"{len(bad)} series wrong" + "".join(f"\n  {text}" for text in bad[:20]))
    if not chosen.kills:
        settled = [sample for sample in samples if sample[0] > samples[-1][0] / 4]
        print(f"memory {samples[0][1]:.0f} MB at first, {samples[-1][1]:.0f} MB at last; over the last three quarters {slope(settled):+.2f} %/h")
    server.process.terminate()
    server.process.wait(30)
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
