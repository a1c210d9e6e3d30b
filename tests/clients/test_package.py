"""`import rondo`: the Python package with the real binary and a real server."""

import os
import pathlib
import signal
import subprocess

import pytest

from recording import PYTHON, Project, artifact, history, manifest, processes, run_of, wait_for

PACKAGE = pathlib.Path(__file__).parents[2] / "python"

TRAINS = """
import os, pathlib, sys, time
import rondo
with rondo.init(experiment="packaged", name="own", data=["data.csv"], params={"depth": 3}, tags={"kind": "test"}) as run:
    print(run.run_id, flush=True)
    for step in range(300):
        rondo.log({"loss": 1 / (step + 1)}, step=step)
        while step == 100 and not pathlib.Path("go").exists():
            time.sleep(0.01)
    pathlib.Path("note.txt").write_text("kept")
    rondo.log_artifact("note.txt", "notes")
"""

HISTORY = [(step, 1 / (step + 1)) for step in range(300)]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The package, installed the way a user does."""
    target = tmp_path_factory.mktemp("packages")
    uv = pathlib.Path(PYTHON).with_name("uv")
    subprocess.run([uv, "pip", "install", "--quiet", "--target", target, PACKAGE], check=True)
    return target


def project(tmp_path, url, packages):
    made = Project(tmp_path, url, train__py=TRAINS, data__csv="a\n1\n")
    plain = made.environment

    def environment(**more):
        return {**plain(**more), "PYTHONPATH": str(packages), "RONDO_BIN": os.environ["RONDO_BIN"]}

    made.environment = environment
    return made


def start(made):
    return subprocess.Popen([PYTHON, "train.py"], cwd=made.folder, env=made.environment(), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_its_own_tests_pass(packages):
    command = [PYTHON, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", PACKAGE / "tests"]
    variables = {**os.environ, "PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_script_records_itself(url, tmp_path, packages):
    made = project(tmp_path, url, packages)
    made.write("go", "")
    out, err = start(made).communicate(timeout=120)
    run_id = out.strip()
    run = run_of(url, run_id)
    assert (run.info.status, run.info.run_name, run.data.params) == ("FINISHED", "own", {"depth": "3"}), err
    assert history(url, run_id, "loss") == HISTORY and run.data.tags["kind"] == "test"
    assert artifact(url, run_id, "notes/note.txt", tmp_path) == "kept"
    found = manifest(url, run_id, tmp_path)
    assert found["command"]["argv"] == [PYTHON, "train.py"] and found["code"]["commit"] and found["data"][0]["name"] == "data.csv"
    assert run.data.tags["rondo.key"] == found["key"] and made.runs_in_spool() == []


def test_under_rondo_run_it_is_that_run(url, tmp_path, packages):
    made = project(tmp_path, url, packages)
    made.write("go", "")
    told, out, _ = made.run("--experiment", "outer", "--name", "given")
    assert out.strip() == told["run_id"]
    run = run_of(url, told["run_id"])
    assert (run.info.run_name, run.info.status, run.data.params) == ("given", "FINISHED", {"depth": "3"})
    assert history(url, told["run_id"], "loss") == HISTORY
    assert artifact(url, told["run_id"], "notes/note.txt", tmp_path) == "kept"


def test_without_a_binary_the_disk_keeps_it(url, tmp_path, packages):
    made = project(tmp_path, url, packages)
    made.write("go", "")
    variables = {name: value for name, value in made.environment().items() if name != "RONDO_BIN"}
    done = subprocess.run([PYTHON, "train.py"], cwd=made.folder, env=variables, capture_output=True, text=True, check=True)
    run_id = done.stdout.strip()
    assert "rondo sync" in done.stderr and made.runs_in_spool() == [run_id]
    assert made.rondo("sync")[0] == f"{run_id} is sent\n"
    run = run_of(url, run_id)
    assert run.info.status == "FINISHED" and run.data.tags["rondo.reproducible"].startswith("false: ")
    assert history(url, run_id, "loss") == HISTORY and artifact(url, run_id, "notes/note.txt", tmp_path) == "kept"


@pytest.mark.parametrize("whom", ["server", "recorder", "script"])
def test_whatever_is_killed_nothing_is_lost_or_doubled(own_server, tmp_path, packages, whom):
    made = project(tmp_path, own_server.url, packages)
    process = start(made)
    run_id = process.stdout.readline().strip()
    lanes = lambda: list((made.spool / run_id).glob("python-*.jsonl"))
    wait_for(lambda: sum(len(lane.read_text().splitlines()) for lane in lanes()) >= 103)
    if whom == "server":
        own_server.stop(kill=True)
        own_server.start()
    elif whom == "recorder":
        [recorder] = children(process.pid)
        recorder_ended = lambda: not children(process.pid) or zombie(recorder)
        os.kill(recorder, signal.SIGKILL)
        wait_for(recorder_ended)
    else:
        process.kill()
    made.write("go", "")
    process.communicate(timeout=120)
    if whom == "script":
        wait_for(lambda: not made.runs_in_spool())
        assert (run_of(own_server.url, run_id).info.status, len(history(own_server.url, run_id, "loss"))) == ("KILLED", 101)
        return
    if whom == "recorder":
        assert made.rondo("sync")[0] == f"{run_id} is sent\n"
    assert run_of(own_server.url, run_id).info.status == "FINISHED"
    assert history(own_server.url, run_id, "loss") == HISTORY


def children(pid):
    return [number for number, parent, _ in processes() if parent == pid]


def zombie(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
