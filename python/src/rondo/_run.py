"""One run: attached to `rondo run`, recorded by a `rondo` binary of its own, or alone with its spool."""

from __future__ import annotations

import atexit
import getpass
import json
import math
import numbers
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Optional, Union

from ._spool import Alone, Lane

# A run that ends waits this long for the binary, which sends what is left and waits a while for a server that is away.
_PATIENCE_SECONDS = 600


class RondoError(Exception):
    """A run cannot be started, or is used in a way that it does not allow."""


class Run:
    """A run. Every method may be called from any thread of the process that made it.

    :ivar run_id: The id of the run, known before any server is.
    :ivar seed: The seed of the run, also in the environment as ``RONDO_SEED``.
    :ivar spool: The folder in which everything is kept until it is sent.
    :ivar finished: Whether the run has ended.
    """

    def __init__(
        self,
        *,
        experiment: Optional[str] = None,
        name: Optional[str] = None,
        server: Optional[str] = None,
        data: Sequence[str] = (),
        resume: Optional[str] = None,
    ) -> None:
        self.finished = False
        self._recorder: Optional[subprocess.Popen[str]] = None
        self._alone: Optional[Alone] = None
        self._attached = "RONDO_RUN_SPOOL" in os.environ
        self._step = -1
        self._lock = threading.Lock()
        if self._attached:
            self.run_id = os.environ["RONDO_RUN_ID"]
            self.seed = os.environ.get("RONDO_SEED", "")
            self.spool = pathlib.Path(os.environ["RONDO_RUN_SPOOL"])
        elif binary := os.environ.get("RONDO_BIN") or shutil.which("rondo"):
            self._start_recorder(binary, experiment, name, server, data, resume)
        elif resume is not None:
            raise RondoError("a run is resumed by the `rondo` binary: put it on the PATH, or set RONDO_BIN")
        else:
            self._start_alone(experiment, name, server, data)
        os.environ["RONDO_SEED"] = self.seed
        self._lane = Lane(self.spool, f"python-{os.getpid()}-{secrets.token_hex(4)}")
        self._previous_hook = sys.excepthook
        sys.excepthook = self._on_exception
        atexit.register(self._at_exit)

    def _start_recorder(
        self,
        binary: str,
        experiment: Optional[str],
        name: Optional[str],
        server: Optional[str],
        data: Sequence[str],
        resume: Optional[str],
    ) -> None:
        command = [binary, "run", "--caller", str(os.getpid())]
        for option, value in (("--experiment", experiment), ("--name", name), ("--server", server), ("--resume", resume)):
            if value is not None:
                command.append(f"{option}={value}")
        command += [f"--data={path}" for path in data]
        command += ["--", *_command()]
        # A session of its own: what the keyboard sends to us must not end it before it has sent our last words.
        self._recorder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )
        assert self._recorder.stdout is not None
        line = self._recorder.stdout.readline()
        if not line:
            self._recorder.wait()
            raise RondoError("the run was not started: see what `rondo` said above")
        greeting = json.loads(line)
        self.run_id, self.seed, self.spool = greeting["run_id"], greeting["seed"], pathlib.Path(greeting["spool"])

    def _start_alone(
        self, experiment: Optional[str], name: Optional[str], server: Optional[str], data: Sequence[str]
    ) -> None:
        self.run_id, self.seed = secrets.token_hex(16), os.environ.get("RONDO_SEED") or str(secrets.randbelow(1 << 32))
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        default = uri if uri.startswith("http") else "http://127.0.0.1:5000"
        self._alone = Alone({
            "run_id": self.run_id, "server": (server or os.environ.get("RONDO_SERVER") or default).rstrip("/"),
            "workspace": os.environ.get("RONDO_WORKSPACE") or os.environ.get("MLFLOW_WORKSPACE"),
            "experiment": experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "Default", "name": name or "",
            "user": getpass.getuser(), "start_ms": _now_ms(), "argv": _command(), "directory": os.getcwd(), "data": list(data),
            "seed": self.seed, "attempt": 1,
        })
        self.spool = self._alone.folder
        lane = Lane(self.spool, f"python-{os.getpid()}-about")
        tags = {"mlflow.source.name": sys.argv[0], "mlflow.source.type": "LOCAL", "mlflow.user": getpass.getuser(),
                "rondo.reproducible": "false: no `rondo` binary was there to record it", **_git_tags()}
        lane.post("/runs/log-batch", {"tags": _pairs(tags)})
        lane.close()
        print(f"rondo: there is no `rondo` binary; the run waits in {self.spool} for `rondo sync`", file=sys.stderr)

    def log(self, metrics: Mapping[str, float], step: Optional[int] = None) -> None:
        """Logs numbers, all at the same step.

        :param metrics: Values by name; whatever ``float`` takes, so also numpy's and torch's scalars.
        :param step: The step; one more than that of the last call if it is not given.
        :raises TypeError: If a value is no number.
        """
        self._check()
        with self._lock:
            self._step = self._step + 1 if step is None else int(step)
            step = self._step
        now = _now_ms()
        points = [{"key": str(key), "value": _number(key, value), "timestamp": now, "step": step} for key, value in metrics.items()]
        for start in range(0, len(points), 1_000):
            self._lane.post("/runs/log-batch", {"metrics": points[start:start + 1_000]})

    log_metrics = log

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Logs parameters. A parameter is never changed: the server keeps the first value."""
        self._check()
        pairs = _pairs(params)
        for start in range(0, len(pairs), 100):
            self._lane.post("/runs/log-batch", {"params": pairs[start:start + 100]})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Sets tags; the last value counts."""
        self._check()
        pairs = _pairs(tags)
        for start in range(0, len(pairs), 100):
            self._lane.post("/runs/log-batch", {"tags": pairs[start:start + 100]})

    def log_artifact(self, path: Union[str, "os.PathLike[str]"], artifact_path: Optional[str] = None) -> None:
        """Keeps a copy of a file, or of all files of a folder, as it is now.

        :param path: The file or folder.
        :param artifact_path: The folder among the run's artifacts; the topmost one if it is not given.
        """
        self._check()
        source = pathlib.Path(path)
        prefix = f"{artifact_path.strip('/')}/" if artifact_path else ""
        if not source.is_dir():
            self._lane.put(prefix + source.name, source)
            return
        for file in sorted(file for file in source.rglob("*") if file.is_file()):
            self._lane.put(f"{prefix}{source.name}/{file.relative_to(source).as_posix()}", file)

    def finish(self, status: str = "FINISHED") -> bool:
        """Ends the run, and waits until everything is sent or the server has been away for some seconds.

        Under ``rondo run`` the run goes on: it ends with the process, by its exit code.

        :param status: ``FINISHED`` or ``FAILED``.
        :returns: Whether the server has everything; what it has not waits for ``rondo sync``.
        """
        if status not in ("FINISHED", "FAILED"):
            raise RondoError(f"`{status}` is neither FINISHED nor FAILED")
        if self.finished:
            return not self.spool.exists()
        self.finished = True
        atexit.unregister(self._at_exit)
        if sys.excepthook == self._on_exception:
            sys.excepthook = self._previous_hook
        if self._recorder is None and self._alone is not None:
            self._end_alone(status)
        elif self._recorder is not None:
            self._lane.close()
            if not self._tell(status):
                self._alone = Alone.take(self.spool)
                self._lane = Lane(self.spool, f"python-{os.getpid()}-end")
                self._end_alone(status)
        else:
            self._lane.close()
        return not self.spool.exists()

    def _tell(self, status: str) -> bool:
        """Tells the binary how the run ended. Whether it was there to hear it."""
        assert self._recorder is not None and self._recorder.stdin is not None
        try:
            self._recorder.stdin.write(status + "\n")
            self._recorder.stdin.close()
        except BrokenPipeError:
            self._recorder.wait()
            return False
        return self._recorder.wait(timeout=_PATIENCE_SECONDS) == 0

    def _end_alone(self, status: str) -> None:
        assert self._alone is not None
        self._lane.post("/runs/update", {"status": status, "end_time": _now_ms()})
        self._lane.close()
        self._alone.end()

    def _check(self) -> None:
        if self.finished:
            raise RondoError(f"run {self.run_id} has ended")

    def _on_exception(
        self, kind: "type[BaseException]", error: BaseException, trace: Optional[TracebackType]
    ) -> None:
        self._previous_hook(kind, error, trace)
        self.finish("FAILED")

    def _at_exit(self) -> None:
        # A forked child inherits the list of what is done at exit, and not the run.
        if self._lane._pid == os.getpid():
            self.finish()

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: "Optional[type[BaseException]]", error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.finish("FINISHED" if kind is None else "FAILED")

    def __repr__(self) -> str:
        return f"<rondo.Run {self.run_id}{' finished' if self.finished else ''}>"


def _command() -> "list[str]":
    """The command of this process, as it would be typed."""
    given = list(getattr(sys, "orig_argv", None) or ["python", *sys.argv])
    return [sys.executable, *given[1:]]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _number(key: str, value: Any) -> Union[float, str]:
    """A number as the protocol writes it, which has words for those that JSON lacks."""
    if isinstance(value, (str, bytes)) or not (isinstance(value, numbers.Number) or hasattr(value, "__float__")):
        raise TypeError(f"the metric `{key}` is {value!r}, which is no number")
    number = float(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def _pairs(values: Mapping[str, Any]) -> "list[dict[str, str]]":
    return [{"key": str(key), "value": str(value)} for key, value in values.items()]


def _git_tags() -> "dict[str, str]":
    """The commit, where there is one."""
    ask = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"mlflow.source.git.commit": done.stdout.strip()}
