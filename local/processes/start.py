"""Starts parts as soon as what they need is ready: in parallel, by readiness, never by sleep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Protocol

from local.errors import PipelineError
from local.home.places import Places
from local.home.ports import Ports, refuse_taken
from local.parts.part import Part

POLL_S = 0.5
# States in which a process is, or will shortly be, running.
ALIVE = ("RUNNING", "STARTING", "BACKOFF")
# So many ends of one process before it is ready are no accident of the order of starts.
DEATHS = 3


class Supervision(Protocol):
    """What a start needs of `local.processes.supervisor.Supervisor`."""

    def processes(self) -> dict[str, dict[str, Any]]: ...

    def start_part(self, name: str) -> None: ...


class Starter:
    """The starter brings parts up.

    Args:
        supervisor: a running supervisor that knows all parts.
        ready: called with the name and the seconds of each part that became ready.
    """

    def __init__(
        self, places: Places, ports: Ports, supervisor: Supervision, ready: Callable[[str, float], None]
    ) -> None:
        self._places, self._ports, self._supervisor, self._ready = places, ports, supervisor, ready
        self._stop = threading.Event()

    def start(self, parts: dict[str, Part]) -> None:
        """Starts all `parts`; what `needs` name outside of them is taken for ready.

        Raises:
            PipelineError: a port is taken, a part does not get ready; the others stay up.
        """
        order = TopologicalSorter({n: [d for d in p.needs if d in parts] for n, p in parts.items()})
        order.prepare()
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(len(parts) or 1) as pool:
            try:
                while order.is_active():
                    for name in order.get_ready():
                        running[pool.submit(self._bring_up, parts[name])] = name
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                        order.done(running.pop(future))
            finally:
                self._stop.set()

    def _bring_up(self, part: Part) -> None:
        began = time.monotonic()
        if self._process(part)["statename"] not in ALIVE:
            refuse_taken(self._ports, part.ports)
            part.prepare()
            self._supervisor.start_part(part.name)
        starts: set[int] = set()
        while not part.ready():
            self._refuse_dead(part, starts)
            self._refuse_slow(part, time.monotonic() - began)
            if self._stop.wait(POLL_S):
                raise PipelineError(f"{part.name}: given up because another part failed")
        part.settle()
        self._ready(part.name, time.monotonic() - began)

    def _process(self, part: Part) -> dict[str, Any]:
        return self._supervisor.processes()[part.name]

    def _refuse_dead(self, part: Part, starts: set[int]) -> None:
        """`starts` collects when the process was started: all but the running one have ended."""
        process = self._process(part)
        starts.add(int(process["start"]))
        runs = process["statename"] in ("RUNNING", "STARTING")
        if process["statename"] == "FATAL" or len(starts) - runs >= DEATHS:
            refuse_taken(self._ports, part.ports)
            log = self._places.logs / f"{part.name}.log"
            raise PipelineError(f"{part.name} does not stay up: {last_line(log)} (see {log}); correct it and run up")

    def _refuse_slow(self, part: Part, waited: float) -> None:
        if waited > part.patience_s:
            log = self._places.logs / f"{part.name}.log"
            raise PipelineError(f"{part.name} is not ready after {waited:.0f} s: {last_line(log)} (see {log}); run up")


def last_line(log: Path) -> str:
    """Returns the last telling line of a log, for a one-line error."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-50:]
    except OSError:
        return "no log"
    said = [line.strip() for line in lines if line.strip() and not line.startswith(("\t", " "))]
    telling = [line for line in said if "rror" in line or "xception" in line]
    return (telling or said or ["an empty log"])[-1][:300]
