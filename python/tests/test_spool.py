"""Without a binary and without a server: what is written to the disk, and what is refused."""

import json
import pathlib
import subprocess
import sys
import threading

import pytest

import rondo

SOURCE = pathlib.Path(rondo.__file__).parent.parent


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No binary, a spool of our own, and no run left over."""
    monkeypatch.setenv("RONDO_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("RONDO_BIN", "RONDO_RUN_SPOOL", "RONDO_RUN_ID", "RONDO_SEED", "MLFLOW_TRACKING_URI", "RONDO_SERVER"):
        monkeypatch.delenv(name, raising=False)
    yield
    if rondo.active_run():
        rondo.finish()


def written(lane):
    """The lane that says what the run is was written first."""
    return not lane.name.endswith("-about.jsonl")


def entries(run, kind="post"):
    lines = [line for lane in sorted(run.spool.glob("python-*.jsonl"), key=written) for line in lane.read_text().splitlines()]
    return [entry for entry in map(json.loads, lines) if kind in entry]


def metrics(run):
    batches = [entry["body"].get("metrics", []) for entry in entries(run)]
    return [(point["key"], point["step"], point["value"]) for batch in batches for point in batch]


def test_everything_is_on_the_disk_at_once(tmp_path):
    run = rondo.init(experiment="flights", name="first", params={"depth": 3})
    rondo.log({"loss": 0.5})
    assert metrics(run) == [("loss", 0, 0.5)]
    rondo.log({"loss": 0.25, "auc": 1})
    rondo.log({"loss": 0.1}, step=10)
    rondo.log({"loss": 0.0})
    assert metrics(run) == [("loss", 0, 0.5), ("loss", 1, 0.25), ("auc", 1, 1.0), ("loss", 10, 0.1), ("loss", 11, 0.0)]
    about = json.loads((run.spool / "about.json").read_text())
    assert (about["schema"], about["experiment"], about["name"], about["ended"]) == ("rondo.spool/1", "flights", "first", False)
    assert rondo.finish() is False, "nothing is sent without a binary"
    assert json.loads((run.spool / "about.json").read_text())["ended"]
    assert entries(run)[-1]["body"]["status"] == "FINISHED"


def test_numbers_that_json_lacks_are_words():
    run = rondo.init()
    rondo.log({"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": True})
    assert [value for _, _, value in metrics(run)] == ["NaN", "Infinity", "-Infinity", 1.0]
    for value in ("1", None, [1]):
        with pytest.raises(TypeError, match="the metric `x`"):
            rondo.log({"x": value})


def test_artifacts_are_copies_of_now(tmp_path):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.txt").write_text("one")
    run = rondo.init()
    rondo.log_artifact(folder / "sub" / "a.txt", "notes")
    rondo.log_artifact(folder)
    (folder / "sub" / "a.txt").write_text("two")
    puts = entries(run, "put")
    assert [put["put"] for put in puts] == ["notes/a.txt", "model/sub/a.txt"]
    assert [(run.spool / put["file"]).read_text() for put in puts] == ["one", "one"]


def test_threads_do_not_mix_their_lines():
    run = rondo.init()
    threads = [threading.Thread(target=lambda: [rondo.log({"n": 1}, step=step) for step in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(step for _, step, _ in metrics(run)) == sorted(list(range(200)) * 4)


def test_one_run_at_a_time():
    with rondo.init() as run:
        with pytest.raises(rondo.RondoError, match=run.run_id):
            rondo.init()
    assert run.finished and rondo.active_run() is None
    for use in (lambda: run.log({"a": 1}), lambda: rondo.log({"a": 1})):
        with pytest.raises(rondo.RondoError):
            use()
    with pytest.raises(ValueError), rondo.init() as run:
        raise ValueError
    assert entries(run)[-1]["body"]["status"] == "FAILED"


def test_a_process_that_ends_ends_its_run(tmp_path):
    def status(script):
        before = set((tmp_path / "spool").glob("*"))
        command = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import rondo; run = rondo.init(); {script}"
        subprocess.run([sys.executable, "-c", command], capture_output=True, check=False)
        [spool] = set((tmp_path / "spool").glob("*")) - before
        lines = [line for lane in spool.glob("python-*.jsonl") for line in lane.read_text().splitlines()]
        return [entry["body"]["status"] for entry in map(json.loads, lines) if entry.get("post") == "/runs/update"]

    assert status("pass") == ["FINISHED"]
    assert status("raise ValueError") == ["FAILED"]
    assert status("import os; os._exit(1)") == [], "a process that is killed says nothing, and `rondo sync` knows"


def test_under_rondo_run_the_run_is_the_one_that_is_recorded(monkeypatch, tmp_path):
    (tmp_path / "given" / "files").mkdir(parents=True)
    monkeypatch.setenv("RONDO_RUN_SPOOL", str(tmp_path / "given"))
    monkeypatch.setenv("RONDO_RUN_ID", "abc")
    monkeypatch.setenv("RONDO_SEED", "7")
    with rondo.init(experiment="other") as run:
        rondo.log({"loss": 1})
    assert (run.run_id, run.seed, metrics(run)) == ("abc", "7", [("loss", 0, 1.0)])
    assert [path.name for path in run.spool.iterdir() if path.suffix != ".jsonl"] == ["files"], "its end is not ours to tell"
