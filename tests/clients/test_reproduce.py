"""`rondo reproduce RUN`: the four verdicts, each from a real script in a real repository."""

import json
import shutil

import pytest

from recording import PYTHON, Project, git, history, run_of

FOREST = """
import os, random
import mlflow, numpy
from sklearn.ensemble import RandomForestClassifier

table = numpy.loadtxt("data/table.csv", delimiter=",", skiprows=1)
numpy.random.seed(int(os.environ["RONDO_SEED"]))
with mlflow.start_run():
    for trees in (1, 2, 4):
        model = RandomForestClassifier(trees).fit(table[:, :2], table[:, 2])
        mlflow.log_metric("accuracy", model.score(table[:, :2] + numpy.random.normal(size=(len(table), 2)), table[:, 2]), step=trees)
    mlflow.log_param("order", "".join({"a", "b", "c", "d", "e"}))
"""

METRIC = """
import os, random, time
import mlflow
with mlflow.start_run():
    for step in range(3):
        mlflow.log_metric("value", VALUE, step=step)
"""


def table():
    return "a,b,c\n" + "".join(f"{i % 7},{i % 5},{i % 2}\n" for i in range(60))


def reproduce(project, run_id, *options, code):
    out, _ = project.rondo("reproduce", run_id, "--json", *options, code=code)
    return json.loads(out)


def left_behind(project):
    place = project.cache / "reproduce"
    return sorted(place.iterdir()) if place.exists() else []


def test_the_same_comes_out_exactly(url, tmp_path):
    project = Project(tmp_path, url, train__py="raise SystemExit('not yet written')", readme__md="x")
    project.write("train.py", FOREST)
    project.write(".gitignore", "data/\n")
    project.write("data/table.csv", table())
    told, _, _ = project.run("--experiment", "forests", "--data", "data")
    # What happens to the folder later does not matter.
    project.write("train.py", "raise SystemExit('changed since')")
    git(project.folder, "commit", "--quiet", "--all", "--message", "later")
    report = reproduce(project, told["run_id"], code=0)
    assert (report["verdict"], report["reason"]) == ("EXACT", None), report
    [row] = report["metrics"]
    assert (row["metric"], row["points"], row["largest"], row["first_diverged_step"]) == ("accuracy", 3, 0.0, None)
    assert not any("parameter" in note for note in report["notes"]), "the order of a set is that of the seed"
    again = run_of(url, report["reproduction_run_id"])
    original = run_of(url, told["run_id"])
    assert history(url, again.info.run_id, "accuracy") == history(url, told["run_id"], "accuracy")
    assert again.data.tags["rondo.reproduces"] == told["run_id"] and again.data.params == original.data.params
    assert again.info.experiment_id == original.info.experiment_id
    assert original.data.tags["rondo.reproduction"] == "EXACT"
    assert original.data.tags["rondo.reproduction.run"] == again.info.run_id
    # For people: a table and a word.
    out, _ = project.rondo("reproduce", told["run_id"])
    assert "METRIC" in out and out.splitlines()[-1] == "EXACT"
    assert any("built before" in line for line in out.splitlines()), "the environment is built once"
    assert not left_behind(project)


def test_what_depends_on_the_time_diverges(url, tmp_path):
    project = Project(tmp_path, url, train__py=METRIC.replace("VALUE", "time.time() if step else 1.0"))
    told, _, _ = project.run()
    report = reproduce(project, told["run_id"], "--tol", "value=1e-12,rel", code=3)
    [row] = report["metrics"]
    assert (report["verdict"], row["verdict"], row["first_diverged_step"]) == ("DIVERGED", "DIVERGED", 1)
    assert row["largest"] > 0 and run_of(url, told["run_id"]).data.tags["rondo.reproduction"] == "DIVERGED"


def test_noise_is_within_its_tolerance(url, tmp_path):
    project = Project(tmp_path, url, train__py=METRIC.replace("VALUE", "0.5 + random.SystemRandom().random() * 1e-9"))
    told, _, _ = project.run()
    assert reproduce(project, told["run_id"], code=0)["verdict"] == "WITHIN_TOLERANCE"
    assert reproduce(project, told["run_id"], "--tol", "value=1e-6,abs", code=0)["verdict"] == "WITHIN_TOLERANCE"
    assert reproduce(project, told["run_id"], "--tol", "value=0", code=3)["verdict"] == "DIVERGED"


def cannot(project, url, run_id, *words):
    report = reproduce(project, run_id, code=4)
    assert report["verdict"] == "CANNOT" and all(word in report["reason"] for word in words), report["reason"]
    tags = run_of(url, run_id).data.tags
    assert tags["rondo.reproduction"] == "CANNOT" and tags["rondo.reproduction.reason"] == report["reason"]
    assert not left_behind(project)


def test_the_first_missing_thing_is_named(url, tmp_path):
    project = Project(tmp_path, url, train__py=METRIC.replace("VALUE", "len(open('table.csv').read())"))
    project.write(".gitignore", "*.csv\n")
    data = project.write("table.csv", table())
    declared, _, _ = project.run("--data", "table.csv")
    silent, _, _ = project.run()
    data.write_text("changed")
    cannot(project, url, declared["run_id"], "`table.csv`", "has changed")
    data.unlink()
    cannot(project, url, declared["run_id"], "`table.csv`", "is not at")
    # What was not declared is missed by the script itself.
    cannot(project, url, silent["run_id"], "FileNotFoundError", "table.csv")
    # The commit is gone, and the repository came from nowhere.
    data.write_text(table())
    shutil.rmtree(project.folder / ".git")
    git(project.folder, "init", "--quiet")
    cannot(project, url, declared["run_id"], "the commit", "no remote")


def test_a_commit_may_come_from_the_remote(url, tmp_path):
    project = Project(tmp_path, url, train__py=METRIC.replace("VALUE", "step * 2"))
    git(tmp_path, "clone", "--quiet", "--bare", str(project.folder), str(tmp_path / "remote"))
    git(project.folder, "remote", "add", "origin", f"file://{tmp_path}/remote")
    told, _, _ = project.run()
    shutil.rmtree(project.folder / ".git")
    report = reproduce(project, told["run_id"], "--keep", code=0)
    assert report["verdict"] == "EXACT" and report["kept"] and left_behind(project)
    shutil.rmtree(report["kept"])


def test_what_was_not_recorded_cannot_be_repeated(url, tmp_path):
    import mlflow
    project = Project(tmp_path, url, train__py=METRIC.replace("VALUE", "1"))
    with mlflow.start_run() as run:
        mlflow.log_metric("value", 1)
    cannot(project, url, run.info.run_id, "not recorded by `rondo run`")
    project.write("big.bin", "x" * 2_000)
    told, _, _ = project.run(RONDO_UNTRACKED_LIMIT=1_000)
    cannot(project, url, told["run_id"], "`big.bin`")
    project.rondo("reproduce", "0" * 32, code=1)
