"""Tracking over HTTP: Rondo beside `mlflow server` (SQLite, default workers), the same load for both in one run.

    cargo build --release -p rondo && cargo build --release -p rondo-bench
    uv venv .venv && uv pip install --python .venv/bin/python mlflow==3.17.2
    .venv/bin/python bench/track.py                      # everything
    .venv/bin/python bench/track.py --only log-batch --rounds 5
    .venv/bin/python bench/track.py --only million       # Rondo alone: a search over 1,000,000 runs

Rounds are interleaved, the numbers are medians over the rounds. CPU is that of the server's whole process tree, from /proc; memory is
proportional (shared pages are divided among those who share them). Every point that is logged is another one.
"""

import argparse
import http.client
import json
import os
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
API = "/api/2.0/mlflow"
TICK = os.sysconf("SC_CLK_TCK")
METRICS = 20
PAGE = 100
STAGES = ["idle", "log-batch", "log-batch-wide", "log-metric", "create", "search", "history", "artifact", "million"]


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")
    parser.add_argument("--bin", type=Path, default=Path(target) / "release", help="where rondo and track are")
    parser.add_argument("--rondo", type=Path, help="another rondo than that")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--without-mlflow", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--folder", type=Path, help="where the servers keep their data; a temporary folder if not given")
    parser.add_argument("--million", type=int, default=1_000_000, help="runs of the great search")
    return parser.parse_args()


class Server:
    """One of the two, with its whole process tree."""

    def __init__(self, name, folder, command, database):
        self.name, self.folder, self.database = name, folder, database
        self.log = folder / f"{name}.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        self.address = None
        self.count = 1_000_000

    def wait(self, address=None):
        until = time.monotonic() + 300
        while time.monotonic() < until:
            found = re.search(r"http://([\d.]+:\d+)", self.log.read_text())
            self.address = address or (found and found.group(1))
            try:
                if self.address and urllib.request.urlopen(f"http://{self.address}/health", timeout=5).status == 200:
                    return self
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"{self.name} did not come up:\n{self.log.read_text()[-2000:]}")

    def post(self, path, body):
        request = urllib.request.Request(
            f"http://{self.address}{API}/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        return json.load(urllib.request.urlopen(request, timeout=120))

    def run(self, experiment="0"):
        return self.post("runs/create", {"experiment_id": experiment, "start_time": 1})["run"]["info"]["run_id"]

    def pids(self):
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                except OSError:
                    pass
        tree = {self.process.pid}
        while len(grown := tree | {pid for pid, parent in parents.items() if parent in tree}) > len(tree):
            tree = grown
        return tree

    def cpu_seconds(self):
        ticks = 0
        for pid in self.pids():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
            except OSError:
                pass
        return ticks / TICK

    def memory_mb(self):
        total = 0
        for pid in self.pids():
            try:
                total += int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))
            except OSError:
                pass
        return total / 1024

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def start_rondo(chosen, folder):
    binary, data = chosen.rondo or chosen.bin / "rondo", folder / "rondo-data"
    command = [str(binary), "up", "--listen", "127.0.0.1:0", "--data-dir", str(data)]
    return Server("rondo", folder, command, data / "rondo.db").wait()


def start_mlflow(folder):
    database, port = folder / "mlflow.db", random.randint(20_000, 30_000)
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{database}",
        "--artifacts-destination", str(folder / "mlflow-artifacts"), "--host", "127.0.0.1", "--port", str(port),
    ]
    return Server("mlflow", folder, command, database).wait(f"127.0.0.1:{port}")


def track(chosen, server, path, bodies, connections, seconds, method="POST"):
    """One round of load; what `track` reports, with the CPU that the server spent."""
    files = []
    for index, body in enumerate(bodies):
        file = server.folder / f"body-{index}"
        file.write_text(body)
        files.append(str(file))
    wanted = {
        "address": server.address, "path": path, "method": method, "bodies": files, "connections": connections,
        "seconds": seconds, "first": server.count,
    }
    before = server.cpu_seconds()
    done = subprocess.run([chosen.bin / "track", json.dumps(wanted)], check=True, capture_output=True, text=True)
    seen = json.loads(done.stdout)
    seen["cpu_us"] = (server.cpu_seconds() - before) * 1e6 / max(seen["requests"], 1)
    server.count = max(server.count, seen["next"])
    if seen["failed"]:
        print(f"  {server.name}: {seen['failed']} failed: {seen['failures']}")
    return seen


def rounds(chosen, servers, what, per_request, load):
    """Interleaved rounds of `load(server)`; prints the medians and how many times Rondo is."""
    runs = {server.name: [] for server in servers}
    for _ in range(chosen.rounds):
        for server in servers:
            runs[server.name].append(load(server))
    print(f"\n{what}: median of {chosen.rounds} rounds")
    middle = {}
    for name, seen in runs.items():
        middle[name] = {key: statistics.median(run[key] for run in seen) for key in ("per_second", "p50_ms", "p99_ms", "cpu_us")}
        one, unit = middle[name], "points" if per_request > 1 else "requests"
        print(
            f"  {name:7} {one['per_second'] * per_request:12,.1f} {unit}/s   p50 {one['p50_ms']:9.2f} ms   p99 {one['p99_ms']:9.2f} ms"
            f"   CPU {one['cpu_us'] / per_request:10.2f} us for each"
        )
    if "mlflow" in middle:
        a, b = middle["rondo"], middle["mlflow"]
        print(
            f"  rondo / mlflow: {a['per_second'] / b['per_second']:.1f} times as many, 1/{b['cpu_us'] / max(a['cpu_us'], 0.01):.0f} of the CPU,"
            f" p50 1/{b['p50_ms'] / a['p50_ms']:.0f}"
        )
    sys.stdout.flush()
    return middle


def batch(run_id, keys, steps):
    """A body of keys * steps points, as a training loop logs them: step by step, every key."""
    mark, points = "##########", []
    for step in range(steps):
        for key in range(keys):
            value = random.random()
            points.append(f'{{"key": "metric_{key:04}", "value": {value!r}, "timestamp": 170{mark}, "step": 1{mark}}}')
    return f'{{"run_id": "{run_id}", "metrics": [{", ".join(points)}], "params": [], "tags": []}}'


def log_batch(chosen, servers, keys, steps):
    bodies = {s.name: [batch(s.run(), keys, steps) for _ in range(chosen.connections)] for s in servers}
    load = lambda s: track(chosen, s, f"{API}/runs/log-batch", bodies[s.name], chosen.connections, chosen.seconds)
    rounds(chosen, servers, f"log-batch, {keys} metrics x {steps} steps, {chosen.connections} clients", keys * steps, load)


def log_metric(chosen, servers):
    def body(run_id):
        return f'{{"run_id": "{run_id}", "key": "loss", "value": 0.123456789, "timestamp": 170##########, "step": 1##########}}'

    bodies = {s.name: [body(s.run()) for _ in range(chosen.connections)] for s in servers}
    load = lambda s: track(chosen, s, f"{API}/runs/log-metric", bodies[s.name], chosen.connections, chosen.seconds)
    rounds(chosen, servers, f"log-metric, {chosen.connections} clients", 1, load)


def create(chosen, servers):
    body = '{"experiment_id": "0", "user_id": "ada", "run_name": "run-##########", "start_time": 1700000000000, "tags": [{"key": "mlflow.user", "value": "ada"}, {"key": "mlflow.source.name", "value": "train.py"}]}'
    load = lambda s: track(chosen, s, f"{API}/runs/create", [body], chosen.connections, chosen.seconds)
    rounds(chosen, servers, f"runs/create, {chosen.connections} clients", 1, load)


def seed(server, experiment, runs, metrics):
    """Runs with their latest metrics, written into the tables themselves: over HTTP one of the two would take an hour."""
    dice = random.Random(7)
    ids = [f"{dice.getrandbits(128):032x}" for _ in range(runs)]
    ids.sort()
    base = sqlite3.connect(server.database, timeout=60)
    base.execute("PRAGMA cache_size = -1000000")
    point = lambda: [(run, f"m{key:02}", dice.random()) for run in ids for key in range(metrics)]
    if server.name == "rondo":
        base.executemany(
            "INSERT INTO runs (run_id, workspace, experiment_id, name, user_id, status, start_ms, artifact_uri, lifecycle_stage)"
            " VALUES (?, 'default', ?, 'seeded', 'ada', 'FINISHED', ?, 'mlflow-artifacts:/x', 'active')",
            ((run, experiment, 1_700_000_000_000 + dice.randrange(10**9)) for run in ids),
        )
        columns = [row[1] for row in base.execute("PRAGMA table_info(metric_series)")]
        with_experiment = "experiment_id" in columns
        base.executemany(
            "INSERT INTO metric_series (run_id, key, series, step, timestamp_ms, value, is_nan"
            + (", experiment_id) VALUES (?, ?, ?, 1, 1, ?, 0, ?)" if with_experiment else ") VALUES (?, ?, ?, 1, 1, ?, 0)"),
            (
                (run, f"m{key:02}", 1_000_000_000 + number * metrics + key, dice.random()) + ((experiment,) if with_experiment else ())
                for number, run in enumerate(ids)
                for key in range(metrics)
            ),
        )
    else:
        base.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
            " lifecycle_stage, artifact_uri, experiment_id) VALUES (?, 'seeded', 'UNKNOWN', '', '', 'ada', 'FINISHED', ?, 'active',"
            " 'mlflow-artifacts:/x', ?)",
            ((run, 1_700_000_000_000 + dice.randrange(10**9), experiment) for run in ids),
        )
        for table in ("metrics", "latest_metrics"):
            base.executemany(
                f"INSERT INTO {table} (run_uuid, key, value, timestamp, step, is_nan) VALUES (?, ?, ?, 1, 1, 0)", point()
            )
    base.commit()
    base.close()


def search_body(experiment, results=PAGE):
    wanted = {
        "experiment_ids": [experiment], "filter": "metrics.m03 > 0.5##########", "order_by": ["metrics.m07 DESC"],
        "max_results": results,
    }
    return json.dumps(wanted)


def search(chosen, servers):
    experiments = {}
    for server in servers:
        experiments[server.name] = server.post("experiments/create", {"name": "searched"})["experiment_id"]
        seed(server, int(experiments[server.name]), 10_000, METRICS)
    for results in (PAGE, 1_000):
        for connections in (1, 4):
            load = lambda s: track(
                chosen, s, f"{API}/runs/search", [search_body(experiments[s.name], results)], connections, chosen.seconds
            )
            what = f"runs/search, 10,000 runs x {METRICS} metrics, filter and order, {results} results, {connections} clients"
            rounds(chosen, servers, what, 1, load)


def million(chosen, rondo):
    experiment = rondo.post("experiments/create", {"name": "million"})["experiment_id"]
    began = time.monotonic()
    seed(rondo, int(experiment), chosen.million, 3)
    print(f"\n{chosen.million:,} runs x 3 metrics written in {time.monotonic() - began:.0f} s")
    asked = {
        "metric filter and metric order": {"filter": "metrics.m01 > 0.5##########", "order_by": ["metrics.m02 DESC"]},
        "the same metric": {"filter": "metrics.m01 < 0.5##########", "order_by": ["metrics.m01 ASC"]},
        "metric filter that few pass, newest first": {"filter": "metrics.m01 > 0.9999##########"},
        "metric filter that half pass, newest first": {"filter": "metrics.m01 > 0.5##########"},
        "few pass, metric order": {"filter": "metrics.m01 > 0.9999##########", "order_by": ["metrics.m02 DESC"]},
        "no filter, newest first": {},
        "status and metric order": {"filter": "attributes.status = 'FINISHED'", "order_by": ["metrics.m00 ASC"]},
    }
    for what, wanted in asked.items():
        body = json.dumps({"experiment_ids": [experiment], "max_results": PAGE, **wanted})
        load = lambda s: track(chosen, s, f"{API}/runs/search", [body], 1, chosen.seconds)
        rounds(chosen, [rondo], f"runs/search, {chosen.million:,} runs, {PAGE} results, {what}", 1, load)


def history(chosen, servers, points=100_000):
    paths = {}
    for server in servers:
        run_id = server.run()
        for start in range(0, points, 1_000):
            logged = [{"key": "loss", "value": random.random(), "timestamp": 1_700_000_000_000 + step, "step": step} for step in range(start, start + 1_000)]
            server.post("runs/log-batch", {"run_id": run_id, "metrics": logged})
        paths[server.name] = f"{API}/metrics/get-history?run_id={run_id}&metric_key=loss"
    load = lambda s: track(chosen, s, paths[s.name], [""], 1, max(chosen.seconds, 10), "GET")
    rounds(chosen, servers, f"get-history, {points:,} points in one answer, 1 client", 1, load)


def artifact(chosen, servers, size=1 << 30):
    block = os.urandom(1 << 20)

    def written():
        began = time.monotonic()
        with open(servers[0].folder / "plain", "wb", buffering=0) as file:
            for _ in range(size >> 20):
                file.write(block)
            os.fsync(file.fileno())
        return time.monotonic() - began

    def read():
        began = time.monotonic()
        with open(servers[0].folder / "plain", "rb", buffering=0) as file:
            while file.read(1 << 20):
                pass
        return time.monotonic() - began

    def up(server):
        host = http.client.HTTPConnection(server.address, timeout=600)
        began = time.monotonic()
        host.request("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/bench/big", (block for _ in range(size >> 20)),
                     {"content-length": str(size), "content-type": "application/octet-stream"})
        answer = host.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        return time.monotonic() - began

    def down(server):
        host = http.client.HTTPConnection(server.address, timeout=600)
        began = time.monotonic()
        host.request("GET", "/api/2.0/mlflow-artifacts/artifacts/0/bench/big")
        answer, got = host.getresponse(), 0
        buffer = bytearray(1 << 20)
        while count := answer.readinto(buffer):
            got += count
        assert got == size, got
        return time.monotonic() - began

    took = {"disk up": [], "disk down": []}
    for _ in range(chosen.rounds):
        took["disk up"].append(written())
        took["disk down"].append(read())
        for server in servers:
            took.setdefault(f"{server.name} up", []).append(up(server))
            took.setdefault(f"{server.name} down", []).append(down(server))
    print(f"\nartifact of {size >> 20} MB: median of {chosen.rounds} rounds")
    speed = {what: (size >> 20) / statistics.median(seconds) for what, seconds in took.items()}
    for what, rate in speed.items():
        print(f"  {what:12} {rate:8.0f} MB/s   {rate / speed['disk ' + what.split()[1]]:.2f} of the disk")
    for server in servers:
        print(f"  {server.name} memory afterwards {server.memory_mb():.0f} MB")
    sys.stdout.flush()


def main():
    chosen = options()
    folder = chosen.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    servers = []
    try:
        servers.append(start_rondo(chosen, folder))
        with_mlflow = not chosen.without_mlflow and set(chosen.only) != {"million"}
        if with_mlflow:
            servers.append(start_mlflow(folder))
        stages = {
            "idle": lambda: [print(f"{s.name}: idle {s.memory_mb():.0f} MB in {len(s.pids())} processes") for s in servers],
            "log-batch": lambda: log_batch(chosen, servers, 10, 100),
            "log-batch-wide": lambda: log_batch(chosen, servers, 1_000, 1),
            "log-metric": lambda: log_metric(chosen, servers),
            "create": lambda: create(chosen, servers),
            "search": lambda: search(chosen, servers),
            "history": lambda: history(chosen, servers),
            "artifact": lambda: artifact(chosen, servers),
            "million": lambda: million(chosen, servers[0]),
        }
        time.sleep(3)
        for stage in chosen.only:
            stages[stage]()
        print("\n" + "\n".join(f"{s.name}: {s.memory_mb():.0f} MB at the end" for s in servers))
    finally:
        for server in servers:
            server.stop()
        if not chosen.folder:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
