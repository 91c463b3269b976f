"""Orphans are processes of this home that no supervisor watches any more: a crashed run leaves them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil

from local.home.places import Places
from local.processes.supervisor import MARK


def find(places: Places) -> list[psutil.Process]:
    """Returns every process of this home, but this one and those that it runs in.

    A process is the home's when it carries the home's mark in its environment, or (a process that renames itself,
    as Airflow's and PostgreSQL's do, overwrites its environment) when it is of the supervisor's session and works
    inside the home, or when it is a child of one of these.
    """
    session = _recorded_session(places)
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(places.home) or _is_of_session(process, session, places.home):
                found.update({child.pid: child for child in (process, *process.children(recursive=True))})
        except (psutil.Error, OSError):
            continue
    return [process for pid, process in found.items() if pid not in own]


def end(processes: list[psutil.Process], patience_s: float = 30) -> None:
    """Ends processes: SIGTERM, then SIGKILL after `patience_s`."""
    for process in processes:
        _signal(process, psutil.Process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=patience_s)
    for process in alive:
        _signal(process, psutil.Process.kill)
    psutil.wait_procs(alive, timeout=10)


def sweep(places: Places) -> None:
    """Removes the temporary files of engines that have ended: Flink alone unpacks 45 MB a process."""
    outside = places.short_run != places.run
    for name in ("",) if outside else ("flink", "s3", "sql-client-init.sql"):
        path = places.short_run / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _recorded_session(places: Places) -> int | None:
    """The supervisor is the leader of its session; its pid file outlives it when it was killed."""
    try:
        return int((places.run / "supervisord.pid").read_text())
    except (OSError, ValueError):
        return None


def _is_of_session(process: psutil.Process, session: int | None, home: Path) -> bool:
    return session is not None and os.getsid(process.pid) == session and Path(process.cwd()).is_relative_to(home)


def _signal(process: psutil.Process, how: Callable[[psutil.Process], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        how(process)
