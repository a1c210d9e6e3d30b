"""A PostgreSQL server for one Rondo server, whose data nobody will miss.

`RONDO_PG_BIN` names the directory of `postgres` and `initdb`; otherwise they are looked for on the path and where Debian puts them.
"""

import atexit
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

SETTINGS = [
    "listen_addresses=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "shared_buffers=64MB",
]
START_SECONDS = 60


def programs():
    """The directory of `postgres` and `initdb`."""
    places = [os.environ.get("RONDO_PG_BIN") or "", *os.environ.get("PATH", "").split(os.pathsep)]
    places += [str(place) for place in sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    for place in places:
        if place and (pathlib.Path(place) / "initdb").exists() and (pathlib.Path(place) / "postgres").exists():
            return pathlib.Path(place).resolve()
    raise RuntimeError("PostgreSQL was not found: set RONDO_PG_BIN to the directory of `postgres` and `initdb`")


def owner():
    """Who runs the server: PostgreSQL refuses to be root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
        except KeyError:
            continue
    return {"user": 65534, "group": 65534, "extra_groups": []}


class Postgres:
    """One server on one socket; `url` leads to its only database."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rondo-pg-", dir="/tmp"))
        self.who = owner()
        if self.who:
            os.chown(self.folder, self.who["user"], self.who["group"])
        self.process = None
        atexit.register(self.close)
        home = programs()
        self.environment = {"PATH": os.environ.get("PATH", ""), "LD_LIBRARY_PATH": str(home.parent / "lib")}
        self.run([home / "initdb", "--no-sync", "--auth=trust", "--locale=C", "--encoding=UTF8", "--username=postgres"])
        arguments = [home / "postgres", "-D", self.folder / "data", "-k", self.folder]
        for setting in SETTINGS:
            arguments += ["-c", setting]
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=self.environment, **self.who
        )
        deadline = time.monotonic() + START_SECONDS
        while "ready" not in self.state():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.02)
        self.url = f"postgres://postgres@{str(self.folder).replace('/', '%2F')}/postgres"

    def run(self, command):
        command = [*command, "--pgdata", self.folder / "data"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=self.environment, **self.who)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed:\n{done.stderr}")

    def state(self):
        """The last line of the file that tells how far the server is."""
        file = self.folder / "data" / "postmaster.pid"
        try:
            return file.read_text().splitlines()[-1]
        except (OSError, IndexError):
            return ""

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)
