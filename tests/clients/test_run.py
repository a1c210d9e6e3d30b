"""`rondo run -- python train.py`: unchanged MLflow code is recorded, whatever dies in between."""

import json
import os
import pathlib
import signal

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from recording import PYTHON, Project, artifact, git, history, manifest, processes, run_of, wait_for

LOGS = """
import sys, mlflow
print("to the terminal")
print("to the other stream", file=sys.stderr)
with mlflow.start_run() as run:
    mlflow.log_param("depth", 3)
    mlflow.log_params({"rate": 0.1})
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.set_tag("kind", "test")
    mlflow.log_text("hello", "notes/a b.txt")
sys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
"""

# Logs one point after another and keeps its own record of what it was told is logged.
COUNTS = """
import os, pathlib, sys, time, mlflow
record = pathlib.Path(sys.argv[1])
with mlflow.start_run():
    start = len(record.read_text().splitlines()) if record.exists() else 0
    for step in range(start, int(sys.argv[2])):
        while not pathlib.Path(sys.argv[3]).exists() and step == start + 20:
            time.sleep(0.01)
        mlflow.log_metric("count", step * 0.5, step=step)
        with record.open("a") as file:
            file.write(f"{step}\\n")
    print("all is counted")
"""


def test_unchanged_code_logs_to_the_recorded_run(url, tmp_path):
    project = Project(tmp_path, url, train__py=LOGS)
    told, out, err = project.run("--experiment", "recorded", "--name", "first")
    assert out == "to the terminal\n" and "to the other stream\n" in err
    run = run_of(url, told["run_id"])
    assert (run.info.status, run.info.run_name, told["sent"]) == ("FINISHED", "first", True)
    assert mlflow.get_experiment(run.info.experiment_id).name == "recorded"
    assert run.data.params == {"depth": "3", "rate": "0.1"} and run.data.tags["kind"] == "test"
    assert history(url, told["run_id"], "loss") == [(step, 1 / (step + 1)) for step in range(5)]
    assert artifact(url, told["run_id"], "notes/a b.txt", tmp_path) == "hello"
    console = artifact(url, told["run_id"], "rondo/console.log", tmp_path)
    assert "to the terminal\n" in console and "to the other stream\n" in console
    tags = run.data.tags
    assert tags["mlflow.source.name"] == "train.py" and tags["mlflow.source.type"] == "LOCAL"
    assert tags["mlflow.source.git.commit"] == git(project.folder, "rev-parse", "HEAD")
    assert (tags["mlflow.source.git.branch"], tags["mlflow.source.git.dirty"]) == ("main", "false")
    assert "system/system_memory_usage_megabytes" in run.data.metrics
    assert project.runs_in_spool() == [], "what was sent is gone from the disk"


def test_the_manifest_names_everything(url, tmp_path):
    project = Project(tmp_path, url, train__py=LOGS, data__csv="a,b\n1,2\n")
    told, _, _ = project.run("--data", "data.csv", OMP_NUM_THREADS=1, MY_TOKEN="hush", RONDO_SEED=11)
    found = manifest(url, told["run_id"], tmp_path)
    assert (found["schema"], found["run_id"], found["attempt"]) == ("rondo.manifest/1", told["run_id"], 1)
    assert found["command"] == {"argv": [PYTHON, "train.py"], "directory": ""}
    assert found["code"]["commit"] == git(project.folder, "rev-parse", "HEAD") and found["code"]["patch"] is None
    assert found["seed"] == {"value": "11", "chosen": False}
    assert found["variables"]["OMP_NUM_THREADS"] == "1" and found["variables"]["PYTHONHASHSEED"] == "11"
    assert "hush" not in json.dumps(found)
    environment = found["environment"]
    assert f"mlflow=={mlflow.__version__}" in environment["requirements"] and environment["version"].count(".") == 2
    [data] = found["data"]
    assert (data["name"], data["kind"], data["relative"], data["size"]) == ("data.csv", "file", "data.csv", 8)
    hardware = found["hardware"]
    assert hardware["cores"] == len(os.sched_getaffinity(0)) and hardware["memory"] > 1 << 20 and hardware["system"]
    assert found["gaps"] == []
    tags = run_of(url, told["run_id"]).data.tags
    assert tags["rondo.reproducible"] == "true" and len(tags["rondo.manifest"]) == 64
    # The same again has the same key; another seed has not.
    again, _, _ = project.run("--data", "data.csv", OMP_NUM_THREADS=1, RONDO_SEED=11)
    other, _, _ = project.run("--data", "data.csv", OMP_NUM_THREADS=1, RONDO_SEED=12)
    key = lambda run: run_of(url, run["run_id"]).data.tags["rondo.key"]
    assert key(told) == key(again) != key(other)


def test_changes_and_new_files_are_in_the_patch(url, tmp_path):
    project = Project(tmp_path, url, train__py=LOGS, gone__txt="x", ignored__gitignore="")
    project.write(".gitignore", "*.tmp\n")
    project.write("train.py", LOGS + "# changed\n")
    project.write("sub/new file.py", "print()\n")
    project.write("skip.tmp", "not code\n")
    (project.folder / "image.bin").write_bytes(bytes(range(256)))
    (project.folder / "gone.txt").unlink()
    before = git(project.folder, "status", "--porcelain")
    told, _, _ = project.run()
    assert git(project.folder, "status", "--porcelain") == before, "the repository is left as it was"
    found = manifest(url, told["run_id"], tmp_path)
    assert found["code"]["dirty"] and sorted(found["code"]["untracked"]) == [".gitignore", "image.bin", "sub/new file.py"]
    patch = pathlib.Path(MlflowClient(url).download_artifacts(told["run_id"], "rondo/code.patch", str(tmp_path)))
    # The patch on the commit gives exactly the folder.
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(project.folder), str(clone))
    git(clone, "apply", "--index", str(patch))
    assert git(clone, "write-tree") == found["code"]["tree"]
    assert (clone / "image.bin").read_bytes() == bytes(range(256)) and not (clone / "gone.txt").exists()
    assert not (clone / "skip.tmp").exists()


def test_too_much_that_is_new_is_said(url, tmp_path):
    project = Project(tmp_path, url, train__py=LOGS)
    project.write("big.bin", "x" * 2_000)
    told, _, _ = project.run(RONDO_UNTRACKED_LIMIT=1_000)
    said = run_of(url, told["run_id"]).data.tags["rondo.reproducible"]
    assert said.startswith("false: ") and "`big.bin`" in said


def test_reported_datasets_are_in_the_manifest(url, tmp_path):
    script = """
import mlflow, pandas
frame = pandas.read_csv("data.csv")
with mlflow.start_run():
    mlflow.log_input(mlflow.data.from_pandas(frame, source="data.csv", name="table"), context="training")
"""
    project = Project(tmp_path, url, train__py=script, data__csv="a,b\n1,2\n")
    told, _, _ = project.run()
    [given] = run_of(url, told["run_id"]).inputs.dataset_inputs
    found = manifest(url, told["run_id"], tmp_path)["data"]
    assert [(data["name"], data["kind"]) for data in found] == [("table", "dataset"), ("data.csv", "file")]
    assert found[0]["digest"] == given.dataset.digest and found[1]["relative"] == "data.csv"


def test_exit_code_and_signals_pass_through(url, tmp_path):
    project = Project(tmp_path, url, train__py=LOGS, wait__py="""
import pathlib, signal, sys, time
def stop(number, frame):
    print("asked to stop")
    sys.exit(9)
signal.signal(signal.SIGTERM, stop)
pathlib.Path("ready").touch()
while True:
    time.sleep(1)
""")
    told, _, _ = project.run(arguments=["7"], code=7)
    assert run_of(url, told["run_id"]).info.status == "FAILED"
    process = project.start("run", "--json", "--", PYTHON, "wait.py")
    wait_for((project.folder / "ready").exists)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (9, "asked to stop\n")
    told = json.loads(err.strip().splitlines()[-1])
    assert run_of(url, told["run_id"]).info.status == "KILLED"


def test_what_cannot_start_records_nothing(url, tmp_path):
    project = Project(tmp_path, url, train__py=LOGS)
    _, err = project.rondo("run", "--", "no-such-program", code=1)
    assert "no-such-program" in err and project.runs_in_spool() == []
    _, err = project.rondo("run", "--data", "nowhere.csv", "--", PYTHON, "train.py", code=1)
    assert "nowhere.csv" in err and project.runs_in_spool() == []


def counted(url, run_id, record, total):
    """What the server has is what the script was told that it has: nothing lost, nothing doubled."""
    steps = [int(line) for line in record.read_text().splitlines()]
    assert steps == list(range(total))
    points = MlflowClient(url).get_metric_history(run_id, "count")
    assert sorted((point.step, point.value) for point in points) == [(step, step * 0.5) for step in range(total)]


def test_a_server_that_dies_and_comes_back_misses_nothing(own_server, tmp_path):
    project = Project(tmp_path, own_server.url, train__py=COUNTS)
    record, going = tmp_path / "record", tmp_path / "go"
    process = project.start("run", "--json", "--", PYTHON, "train.py", record, 200, going)
    wait_for(lambda: record.exists() and len(record.read_text().splitlines()) == 20)
    own_server.stop(kill=True)
    going.touch()
    wait_for(lambda: len(record.read_text().splitlines()) > 120)
    own_server.start()
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "all is counted\n"), err
    told = json.loads(err.strip().splitlines()[-1])
    assert told["sent"] and project.runs_in_spool() == []
    counted(own_server.url, told["run_id"], record, 200)
    assert run_of(own_server.url, told["run_id"]).info.status == "FINISHED"


def test_without_a_server_the_disk_keeps_it(own_server, tmp_path):
    project = Project(tmp_path, own_server.url, train__py=LOGS)
    own_server.stop()
    told, out, err = project.run("--experiment", "offline")
    assert out == "to the terminal\n" and not told["sent"] and "rondo sync" in err
    assert project.runs_in_spool() == [told["run_id"]]
    project.rondo("sync", code=1)
    own_server.start()
    out, _ = project.rondo("sync")
    assert out == f"{told['run_id']} is sent\n" and project.runs_in_spool() == []
    run = run_of(own_server.url, told["run_id"])
    assert run.info.status == "FINISHED" and run.data.params == {"depth": "3", "rate": "0.1"}
    assert history(own_server.url, told["run_id"], "loss") == [(step, 1 / (step + 1)) for step in range(5)]
    assert artifact(own_server.url, told["run_id"], "notes/a b.txt", tmp_path) == "hello"
    assert manifest(own_server.url, told["run_id"], tmp_path)["gaps"] == []
    assert project.rondo("sync")[0] == "nothing waits to be sent\n"


@pytest.mark.parametrize("kill_server", [False, True])
def test_a_killed_run_is_resumed(own_server, tmp_path, kill_server):
    project = Project(tmp_path, own_server.url, train__py=COUNTS)
    record, going = tmp_path / "record", tmp_path / "go"
    process = project.start("run", "--", PYTHON, "train.py", record, 100, going)
    wait_for(lambda: record.exists() and len(record.read_text().splitlines()) == 20)
    if kill_server:
        own_server.stop(kill=True)
    process.kill()
    process.communicate(timeout=60)
    [run_id] = project.runs_in_spool()
    wait_for(lambda: not alive(record))
    if kill_server:
        own_server.start()
    going.touch()
    out, err = project.rondo("run", "--json", "--resume", run_id)
    assert out == "all is counted\n", "the same command goes on"
    assert json.loads(err.strip().splitlines()[-1])["run_id"] == run_id
    counted(own_server.url, run_id, record, 100)
    run = run_of(own_server.url, run_id)
    assert (run.info.status, run.data.tags["rondo.attempt"]) == ("FINISHED", "2")
    first = manifest(own_server.url, run_id, tmp_path)
    second = manifest(own_server.url, run_id, tmp_path, "rondo/attempt-2/manifest.json")
    assert (first["attempt"], second["attempt"], first["seed"]) == (1, 2, second["seed"])
    assert "all is counted" in artifact(own_server.url, run_id, "rondo/attempt-2/console.log", tmp_path)


def alive(record):
    """Whether the script still runs: it must not outlive whoever records it."""
    return any(str(record) in command and "train.py" in command for _, _, command in processes())


def test_a_killed_run_is_sent_as_killed(own_server, tmp_path):
    project = Project(tmp_path, own_server.url, train__py=COUNTS)
    record, going = tmp_path / "record", tmp_path / "go"
    process = project.start("run", "--", PYTHON, "train.py", record, 100, going)
    wait_for(lambda: record.exists() and len(record.read_text().splitlines()) == 20)
    [run_id] = project.runs_in_spool()
    assert project.rondo("sync")[0] == f"{run_id} is being recorded\n"
    process.kill()
    process.communicate(timeout=60)
    assert project.rondo("sync")[0] == f"{run_id} is sent\n"
    counted(own_server.url, run_id, record, 20)
    assert run_of(own_server.url, run_id).info.status == "KILLED"
    # Nothing of it is on this disk any more; the server knows enough to go on.
    going.touch()
    project.rondo("run", "--resume", run_id)
    counted(own_server.url, run_id, record, 100)
    assert run_of(own_server.url, run_id).info.status == "FINISHED"


def test_output_is_seen_while_the_run_goes_on(url, tmp_path):
    project = Project(tmp_path, url, train__py="""
import pathlib, time
print("half way")
while not pathlib.Path("go").exists():
    time.sleep(0.01)
""")
    process = project.start("run", "--", PYTHON, "train.py")
    run_id = wait_for(project.runs_in_spool)[0]

    def seen():
        if not json.loads((project.spool / run_id / "about.json").read_text())["target"]:
            return False
        files = [file.path for file in MlflowClient(url).list_artifacts(run_id, "rondo")]
        return "rondo/console.log" in files and artifact(url, run_id, "rondo/console.log", tmp_path)

    assert wait_for(seen) == "half way\n" and run_of(url, run_id).info.status == "RUNNING"
    project.write("go", "")
    process.communicate(timeout=120)
    assert process.returncode == 0


def test_the_script_may_choose_its_experiment(url, tmp_path):
    script = """
import mlflow
mlflow.set_experiment("chosen by the script")
with mlflow.start_run():
    mlflow.log_metric("loss", 1)
"""
    project = Project(tmp_path, url, train__py=script)
    told, _, _ = project.run()
    run = run_of(url, told["run_id"])
    assert mlflow.get_experiment(run.info.experiment_id).name == "chosen by the script"
    assert run.info.status == "FINISHED" and run.data.metrics["loss"] == 1
    assert manifest(url, told["run_id"], tmp_path)["run_id"] == told["run_id"], "what was kept before is found"
    found = mlflow.search_runs([run.info.experiment_id], "metrics.loss = 1", output_format="list")
    assert [run.info.run_id for run in found] == [told["run_id"]]
    # Whoever starts it has the last word, and MLflow says so.
    _, _, err = project.run("--experiment", "chosen by hand", code=1)
    assert "active experiment ID does not match" in err


def test_what_mlflow_refuses_the_script_hears(url, tmp_path):
    project = Project(tmp_path, url, train__py="""
import mlflow
with mlflow.start_run():
    mlflow.log_param("a", 1)
    try:
        mlflow.log_param("a", 2)
    except mlflow.MlflowException as error:
        print(error.error_code)
""")
    told, out, _ = project.run()
    assert out == "INVALID_PARAMETER_VALUE\n" and run_of(url, told["run_id"]).data.params == {"a": "1"}


def test_on_a_terminal_the_keyboard_reaches_the_script(url, tmp_path):
    project = Project(tmp_path, url, train__py="""
import pathlib, sys, time
print("tty", sys.stdin.isatty())
pathlib.Path("ready").touch()
try:
    while True:
        time.sleep(0.01)
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(5)
""")
    pid, terminal = os.forkpty()
    if pid == 0:
        os.chdir(project.folder)
        binary = os.environ["RONDO_BIN"]
        os.execve(binary, [binary, "run", "--", PYTHON, "train.py"], project.environment())
    wait_for((project.folder / "ready").exists)
    os.write(terminal, b"\x03")
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5, shown
    assert b"tty True" in shown and shown.count(b"interrupted") == 1
    [run_id] = [word for word in shown.decode().split() if len(word) == 32][:1]
    run = run_of(url, run_id)
    assert run.info.status == "KILLED" and "interrupted" in artifact(url, run_id, "rondo/console.log", tmp_path)
