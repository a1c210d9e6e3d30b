"""Import of what other tools left on disk: TensorBoard's event files and offline runs of Weights & Biases, made by their own writers."""

import json
import pathlib
import subprocess
import sys

import mlflow
import numpy
import pytest
from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.proto.tensor_pb2 import TensorProto

from importing import files, report, rondo

TIME = 1_700_000_000


def write_events(folder, steps=50):
    writer = SummaryWriter(str(folder))
    for step in range(steps):
        writer.add_scalar("loss/train", 1 / (step + 1), step, walltime=TIME + step)
    writer.add_scalar("p(95)", float("nan"), 3, walltime=TIME + 3)
    tensor = TensorProto(dtype=1, float_val=[0.25])
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
    value = Summary.Value(tag="as_tensor", tensor=tensor, metadata=metadata)
    writer.file_writer.add_event(Event(summary=Summary(value=[value]), wall_time=TIME + 4), step=4, walltime=TIME + 4)
    writer.add_histogram("weights", numpy.arange(100) / 10, 1, walltime=TIME + 1)
    writer.add_image("input/first", numpy.zeros((3, 4, 4), dtype=numpy.uint8), 2, walltime=TIME + 2)
    writer.add_text("note", "hello *there*", 1, walltime=TIME + 1)
    writer.add_hparams({"lr": 0.1, "opt": "adam", "flag": True}, {"best": 0.9}, name="tuned", global_step=1)
    writer.close()


def runs_of(url, experiment):
    client = mlflow.MlflowClient(url)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return client, {run.info.run_name: run for run in found}


def points(client, run, key):
    return [(point.step, point.timestamp, point.value) for point in client.get_metric_history(run.info.run_id, key)]


def test_tensorboard(url, server, tmp_path):
    logs = tmp_path / "tb-logs"
    write_events(logs / "first")
    done = report(server, "import", "tensorboard", str(logs))
    assert done["runs"] == {"copied": 2, "present": 0} and done["warnings"] == []
    client, runs = runs_of(url, "tb-logs")
    assert set(runs) == {"first", "first/tuned"}
    first, tuned = runs["first"], runs["first/tuned"]
    expect = [(step, (TIME + step) * 1000, float(numpy.float32(1 / (step + 1)))) for step in range(50)]
    assert points(client, first, "loss/train") == expect
    assert points(client, first, "as_tensor") == [(4, (TIME + 4) * 1000, 0.25)]
    assert numpy.isnan(points(client, first, "p_95_")[0][2])
    assert tuned.data.params == {"lr": "0.1", "opt": "adam", "flag": "True"}
    assert tuned.data.metrics["best"] == pytest.approx(0.9)
    assert set(files(client, run_id=first.info.run_id)) == {
        "tensorboard/histograms/weights.json", "tensorboard/images/input/first/2.png", "tensorboard/text/note/text_summary/1.md"}
    histogram = json.loads(mlflow.artifacts.load_text(
        f"{first.info.artifact_uri}/tensorboard/histograms/weights.json"))[0]
    assert (histogram["num"], histogram["min"], histogram["max"]) == (100, 0, 9.9)
    assert sum(histogram["buckets"]) == 100 and len(histogram["bucket_limits"]) == len(histogram["buckets"])
    assert mlflow.artifacts.load_text(f"{first.info.artifact_uri}/tensorboard/text/note/text_summary/1.md") == "hello *there*"
    again = report(server, "import", "tensorboard", str(logs))
    assert again["runs"] == {"copied": 0, "present": 2}


def test_tensorboard_that_is_still_written(url, server, tmp_path):
    logs = tmp_path / "tb-growing"
    write_events(logs)
    whole = [file for file in pathlib.Path(logs).iterdir() if file.is_file()][0]
    content = whole.read_bytes()
    for file in (logs / "tuned").iterdir():
        file.unlink()
    for length in [0, 20, 700, 1501, len(content)]:
        whole.write_bytes(content[:length])
        assert report(server, "import", "tensorboard", str(logs), "--into", "growing")["warnings"] == []
    client, runs = runs_of(url, "growing")
    assert [step for step, _, _ in points(client, runs["tb-growing"], "loss/train")] == list(range(50))
    assert client.get_run(runs["tb-growing"].info.run_id).info.end_time > (TIME + 49) * 1000 - 1
    damaged = bytearray(content)
    damaged[200] ^= 1
    whole.write_bytes(bytes(damaged))
    warned = report(server, "import", "tensorboard", str(logs), "--into", "damaged")["warnings"]
    assert len(warned) == 1 and "is damaged" in warned[0]


WANDB = """
import sys, wandb
run = wandb.init(project="wb-project", name="first", id="abc123", dir=sys.argv[1], notes="a note", tags=["x", "y"],
                 config={"lr": 0.1, "layers": [1, 2], "opt": {"name": "adam"}}, settings=wandb.Settings(init_timeout=120))
for step in range(2000):
    run.log({"loss": 1 / (step + 1), "acc": {"top1": step}, "text": "no number", "bad": float("nan")})
run.summary["best"] = 0.9
run.finish(int(sys.argv[2]))
"""


def offline_run(folder, code):
    folder.mkdir(exist_ok=True)
    environment = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "HOME": str(folder), "PATH": "/usr/bin:/bin"}
    environment["PYTHONPATH"] = ":".join(path for path in sys.path if path)
    subprocess.run([sys.executable, "-c", WANDB, str(folder), str(code)], env=environment, cwd=folder, check=True, timeout=300)
    return [path for path in folder.glob("wandb/offline-run-*/run-abc123.wandb")][0]


def test_wandb(url, server, tmp_path):
    log = offline_run(tmp_path / "wb", 0)
    folder = str(tmp_path / "wb" / "wandb")
    done = report(server, "import", "wandb", folder)
    assert done["runs"] == {"copied": 1, "present": 0} and done["warnings"] == []
    client, runs = runs_of(url, "wb-project")
    run = runs["first"]
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1", "layers": "[1,2]", "opt.name": "adam"}
    assert run.data.tags["wandb.run_id"] == "abc123" and run.data.tags["wandb.tags"] == "x, y"
    assert run.data.tags["mlflow.note.content"] == "a note"
    loss = points(client, run, "loss")
    assert sorted((step, value) for step, _, value in loss) == [(step, 1 / (step + 1)) for step in range(2000)]
    assert len(points(client, run, "acc/top1")) == 2000 and numpy.isnan(points(client, run, "bad")[0][2])
    assert "text" not in run.data.metrics and not any(key.startswith("_") for key in run.data.metrics)
    summary = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/wandb-summary.json"))
    assert summary["best"] == 0.9
    assert report(server, "import", "wandb", folder)["runs"] == {"copied": 0, "present": 1}

    # A writer that was killed leaves a log that breaks off; what is whole is taken, and the rest when it is there.
    content = log.read_bytes()
    log.write_bytes(content[: len(content) // 2])
    report(server, "import", "wandb", folder, "--into", "killed")
    client, runs = runs_of(url, "killed")
    half = len(points(client, runs["first"], "loss"))
    assert 500 < half < 1500 and runs["first"].info.status == "KILLED"


def test_what_is_none_is_said(server, tmp_path):
    for kind in ["tensorboard", "wandb"]:
        refused = rondo(server, "import", kind, str(tmp_path), check=False)
        assert refused.returncode == 1 and "is no folder with" in refused.stderr
