"""Log runs to Rondo, recorded so that they can be repeated, and kept on the disk while the server is away.

>>> import rondo
>>> with rondo.init(experiment="flights") as run:       # doctest: +SKIP
...     run.log_params({"depth": 3})
...     run.log({"loss": 0.25}, step=1)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union

from ._run import Run, RondoError

__all__ = [
    "Run", "RondoError", "init", "start_run", "active_run", "log", "log_metrics", "log_params", "set_tags", "log_artifact", "finish",
]
__version__ = "0.1.0"

_active: Optional[Run] = None


def init(
    experiment: Optional[str] = None,
    name: Optional[str] = None,
    *,
    server: Optional[str] = None,
    data: Iterable[Union[str, "os.PathLike[str]"]] = (),
    params: Optional[Mapping[str, Any]] = None,
    tags: Optional[Mapping[str, Any]] = None,
    resume: Optional[str] = None,
) -> Run:
    """Starts a run and makes it the active one.

    Under ``rondo run`` this is the run that is being recorded, and the arguments but ``params`` and ``tags`` have no effect.

    :param experiment: Name of the experiment; it is made if there is none.
    :param name: Name of the run; the server gives one if there is none.
    :param server: Address of the server, else ``RONDO_SERVER``, else ``MLFLOW_TRACKING_URI``, else ``http://127.0.0.1:5000``.
    :param data: Files and folders that the run reads; their digests are recorded.
    :param params: Parameters to log at once.
    :param tags: Tags to set at once.
    :param resume: Id of an interrupted run to go on with.
    :raises RondoError: If a run is active already, or the server refuses the run.
    """
    global _active
    if _active is not None and not _active.finished:
        raise RondoError(f"run {_active.run_id} is active: call rondo.finish() before you start another")
    paths = [os.fspath(path) for path in data]
    _active = Run(experiment=experiment, name=name, server=server, data=paths, resume=resume)
    if params:
        _active.log_params(params)
    if tags:
        _active.set_tags(tags)
    return _active


start_run = init


def active_run() -> Optional[Run]:
    """The run that is active, if there is one."""
    return _active if _active is not None and not _active.finished else None


def _run() -> Run:
    run = active_run()
    if run is None:
        raise RondoError("there is no active run: call rondo.init() first")
    return run


def log(metrics: Mapping[str, float], step: Optional[int] = None) -> None:
    """Logs numbers of the active run; see :meth:`Run.log`."""
    _run().log(metrics, step)


log_metrics = log


def log_params(params: Mapping[str, Any]) -> None:
    """Logs parameters of the active run; see :meth:`Run.log_params`."""
    _run().log_params(params)


def set_tags(tags: Mapping[str, Any]) -> None:
    """Sets tags of the active run; see :meth:`Run.set_tags`."""
    _run().set_tags(tags)


def log_artifact(path: Union[str, "os.PathLike[str]"], artifact_path: Optional[str] = None) -> None:
    """Keeps a file or folder as an artifact of the active run; see :meth:`Run.log_artifact`."""
    _run().log_artifact(path, artifact_path)


def finish(status: str = "FINISHED") -> bool:
    """Ends the active run; see :meth:`Run.finish`."""
    return _run().finish(status)
