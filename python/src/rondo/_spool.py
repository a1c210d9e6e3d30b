"""The spool: one folder a run, append-only lanes of JSON lines, the same form that the ``rondo`` binary writes and sends."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import secrets
import shutil
import threading
from typing import Any

SCHEMA = "rondo.spool/1"


def root() -> pathlib.Path:
    """Where spools are: ``RONDO_SPOOL``, else ``spool`` in ``RONDO_CACHE``, else in ``rondo`` of the user's cache folder."""
    if spool := os.environ.get("RONDO_SPOOL"):
        return pathlib.Path(spool)
    if cache := os.environ.get("RONDO_CACHE"):
        return pathlib.Path(cache) / "spool"
    user = os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(user) if user else pathlib.Path.home() / ".cache") / "rondo" / "spool"


class Lane:
    """A lane with this process as its one writer.

    A line is one write to a file that is open for appending: when ``append`` returns, the entry outlives this process.
    """

    def __init__(self, folder: pathlib.Path, name: str) -> None:
        self._folder = folder
        self._pid = os.getpid()
        self._lock = threading.Lock()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(folder / f"{name}.jsonl", flags, 0o644)

    def post(self, call: str, body: "dict[str, Any]") -> None:
        """A call of the tracking protocol; the id of the run is added when it is sent."""
        self._append({"post": call, "body": body})

    def put(self, path: str, source: "os.PathLike[str]") -> None:
        """An artifact: a copy is kept until it is sent."""
        name = f"files/{secrets.token_hex(16)}"
        shutil.copyfile(source, self._folder / name)
        self._append({"put": path, "file": name})

    def _append(self, entry: "dict[str, Any]") -> None:
        line = memoryview((json.dumps(entry, allow_nan=False) + "\n").encode())
        with self._lock:
            if os.getpid() != self._pid:
                raise RuntimeError("this process was forked from the one that logs: start a run of its own in it")
            while line:
                line = line[os.write(self._file, line):]

    def close(self) -> None:
        """Makes everything outlive the machine."""
        os.fsync(self._file)
        os.close(self._file)


class Alone:
    """A spool that no binary looks after: it is held until the run ends, and waits for ``rondo sync``."""

    def __init__(self, about: "dict[str, Any]") -> None:
        self.folder = root() / about["run_id"]
        (self.folder / "files").mkdir(parents=True, exist_ok=True)
        self._held = open(self.folder / "lock", "ab")
        fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._about = {"schema": SCHEMA, **about, "target": None, "ended": False}
        self._write()

    @classmethod
    def take(cls, folder: pathlib.Path) -> "Alone":
        """Takes over the spool of a binary that died."""
        return cls(json.loads((folder / "about.json").read_text()))

    def _write(self) -> None:
        new = self.folder / "about.json.new"
        new.write_text(json.dumps(self._about, indent=2))
        new.replace(self.folder / "about.json")

    def end(self) -> None:
        """Everything about the run is in the lanes."""
        self._about["ended"] = True
        self._write()
        self._held.close()
