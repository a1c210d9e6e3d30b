"""Artifacts, as MLflow's client moves them."""

import json
import os
import time

import mlflow
import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

NAMES = ["plain.txt", "with space.txt", "grüße-日本.txt", "100%.txt", "a+b&c=d;e,f.txt", "quote'.txt"]


@pytest.fixture
def run(server):
    mlflow.set_experiment("artifacts")
    with mlflow.start_run() as run:
        yield run


def paths(run, path=None):
    return [(file.path, file.is_dir, file.file_size) for file in MlflowClient().list_artifacts(run.info.run_id, path)]


def test_files_and_folders_go_up_and_are_listed(run, tmp_path):
    (tmp_path / "out" / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "out" / "a.txt").write_text("a")
    (tmp_path / "out" / "deep" / "b.bin").write_bytes(bytes(range(256)))
    (tmp_path / "out" / "deep" / "deeper" / "c.json").write_text("{}")
    mlflow.log_artifacts(str(tmp_path / "out"), artifact_path="out")
    mlflow.log_artifact(str(tmp_path / "out" / "a.txt"))
    mlflow.log_text("text", "texts/t.txt")
    mlflow.log_dict({"k": [1, 2]}, "config.json")
    assert paths(run) == [("a.txt", False, 1), ("config.json", False, 29), ("out", True, None), ("texts", True, None)]
    assert paths(run, "out") == [("out/a.txt", False, 1), ("out/deep", True, None)]
    assert paths(run, "out/deep") == [("out/deep/b.bin", False, 256), ("out/deep/deeper", True, None)]
    assert paths(run, "out/a.txt") == []
    assert paths(run, "nowhere") == []


def test_a_folder_comes_down_as_it_went_up(run, tmp_path):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    for name in NAMES:
        (source / name).write_text(name)
        (source / "sub" / name).write_bytes(name.encode() * 1000)
    mlflow.log_artifacts(str(source), artifact_path="all")
    target = tmp_path / "target"
    local = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="all", dst_path=str(target))
    found = sorted(os.path.relpath(os.path.join(at, name), local) for at, _, names in os.walk(local) for name in names)
    assert found == sorted(NAMES + [f"sub/{name}" for name in NAMES])
    for name in NAMES:
        assert (target / "all" / name).read_text() == name
        assert (target / "all" / "sub" / name).read_bytes() == name.encode() * 1000


def test_a_file_is_read_by_each_kind_of_address(run):
    mlflow.log_text("hello", "dir/hello.txt")
    run_id = run.info.run_id
    for uri in [f"runs:/{run_id}/dir/hello.txt", f"{run.info.artifact_uri}/dir/hello.txt"]:
        assert mlflow.artifacts.load_text(uri) == "hello"
    assert [file.path for file in mlflow.artifacts.list_artifacts(f"runs:/{run_id}/dir")] == ["dir/hello.txt"]


def test_a_file_is_replaced_and_deleted(run):
    mlflow.log_text("one", "f.txt")
    mlflow.log_text("two", "f.txt")
    repository = mlflow.store.artifact.artifact_repository_registry.get_artifact_repository(run.info.artifact_uri)
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/f.txt") == "two"
    repository.delete_artifacts("f.txt")
    assert paths(run) == []


def test_a_large_file_comes_back_whole(run, tmp_path):
    block = os.urandom(1 << 20)
    (tmp_path / "large.bin").write_bytes(block * 64)
    mlflow.log_artifact(str(tmp_path / "large.bin"))
    local = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="large.bin")
    with open(local, "rb") as file:
        assert all(file.read(1 << 20) == block for _ in range(64))
        assert not file.read(1)


def test_the_client_uploads_in_parts_when_it_is_told_to(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1024")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(1 << 20))
    content = os.urandom(20 << 20) + b"end"
    (tmp_path / "parts ü.bin").write_bytes(content)
    sent = []
    put = requests.put
    monkeypatch.setattr(requests, "put", lambda url, **more: sent.append(url) or put(url, **more))
    mlflow.log_artifact(str(tmp_path / "parts ü.bin"), "deep")
    assert len(sent) == 21 and all("/mpu/part/" in url for url in sent)
    assert paths(run, "deep") == [("deep/parts ü.bin", False, len(content))]
    local = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="deep/parts ü.bin")
    with open(local, "rb") as file:
        assert file.read() == content


def test_an_upload_in_parts_that_fails_leaves_nothing(run, tmp_path, monkeypatch, server):
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1024")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", "2048")
    (tmp_path / "broken.bin").write_bytes(b"x" * 8192)
    put = requests.put

    def break_one(url, **more):
        if "/3?" in url:
            raise requests.ConnectionError("cut")
        return put(url, **more)

    monkeypatch.setattr(requests, "put", break_one)
    with pytest.raises(MlflowException, match="Failed to upload at least one part"):
        mlflow.log_artifact(str(tmp_path / "broken.bin"))
    assert paths(run) == []
    uploads = server.folder / "data" / "objects" / "uploads"
    assert not uploads.exists() or list(uploads.iterdir()) == []


def test_what_is_not_there_is_said_at_once(run):
    started = time.monotonic()
    with pytest.raises((MlflowException, OSError)):
        mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="nope.txt")
    assert time.monotonic() - started < 5


def test_tables_and_figures_are_artifacts(run):
    mlflow.log_table({"q": ["a", "b"], "n": [1, 2]}, "table.json")
    mlflow.log_table({"q": ["c"], "n": [3]}, "table.json")
    loaded = mlflow.load_table("table.json", run_ids=[run.info.run_id])
    assert list(loaded["q"]) == ["a", "b", "c"]
    tags = MlflowClient().get_run(run.info.run_id).data.tags
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [{"path": "table.json", "type": "table"}]


def test_artifacts_outlive_a_killed_server(own_server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", own_server.url)
    mlflow.set_experiment("killed")
    with mlflow.start_run() as run:
        mlflow.log_text("kept", "f.txt")
        own_server.stop(kill=True)
        own_server.start()
        assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/f.txt") == "kept"
