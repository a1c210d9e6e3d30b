"""What the tests of `rondo run` and `rondo reproduce` share: a repository, the command itself, and a look at what was recorded."""

import json
import os
import pathlib
import subprocess
import sys
import time

from mlflow.tracking import MlflowClient

PYTHON = sys.executable


def git(folder, *words):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Project:
    """A repository with one commit, a spool of its own, and a server to record on."""

    def __init__(self, folder, url, **files):
        self.folder = pathlib.Path(folder) / "project"
        self.spool = pathlib.Path(folder) / "spool"
        # Environments that `rondo reproduce` builds are shared by all tests of a session.
        self.cache = pathlib.Path(folder).parent / "rondo-cache"
        self.url = url
        self.folder.mkdir()
        git(self.folder, "init", "--quiet", "--initial-branch=main")
        for name, text in files.items():
            self.write(name.replace("__", "."), text)
        git(self.folder, "add", ".")
        git(self.folder, "commit", "--quiet", "--message", "first")

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def environment(self, **more):
        # The variables of the test run are not those of the run that is recorded.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RONDO_", "MLFLOW_", "PYTHONHASH"))}
        own = {"RONDO_SPOOL": str(self.spool), "RONDO_CACHE": str(self.cache), "MLFLOW_TRACKING_URI": self.url,
               "GIT_PYTHON_REFRESH": "quiet"}
        return {**kept, **own, **{name: str(value) for name, value in more.items()}}

    def start(self, *words, **variables):
        return subprocess.Popen([os.environ["RONDO_BIN"], *map(str, words)], cwd=self.folder, env=self.environment(**variables),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def rondo(self, *words, code=0, **variables):
        """Runs the binary to its end; answers with what it wrote to both streams."""
        process = self.start(*words, **variables)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
        return out, err

    def run(self, *options, script="train.py", arguments=(), code=0, **variables):
        """`rondo run OPTIONS -- python SCRIPT`; answers with the id of the run and both streams."""
        out, err = self.rondo("run", "--json", *options, "--", PYTHON, script, *arguments, code=code, **variables)
        told = json.loads(err.strip().splitlines()[-1])
        return told, out, err

    def runs_in_spool(self):
        return sorted(path.parent.name for path in self.spool.glob("*/about.json"))


def run_of(url, run_id):
    return MlflowClient(url).get_run(run_id)


def history(url, run_id, key):
    """Steps and values, in the order of the steps."""
    return sorted((point.step, point.value) for point in MlflowClient(url).get_metric_history(run_id, key))


def artifact(url, run_id, path, folder):
    return pathlib.Path(MlflowClient(url).download_artifacts(run_id, path, str(folder))).read_text()


def manifest(url, run_id, folder, path="rondo/manifest.json"):
    return json.loads(artifact(url, run_id, path, folder))


def wait_for(what, seconds=120):
    """Until something is there; answers with it."""
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def processes():
    """Number, parent and command of everything that runs."""
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            yield int(folder.name), parent, (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            pass
