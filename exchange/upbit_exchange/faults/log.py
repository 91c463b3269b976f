"""The fault log is a file beside the ledger in which tests read what faults did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec


class FaultLog:
    """The file holds what faults did, one JSON object a line: `ms` since the epoch, `fault`, `what`."""

    def __init__(self, path: Path, wall_ms: Callable[[], float]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._wall_ms = wall_ms

    def note(self, fault: str, what: str) -> None:
        """Writes a line. OSError when the disk refuses: a log with holes would be none."""
        self._file.write(msgspec.json.encode({"ms": int(self._wall_ms()), "fault": fault, "what": what}) + b"\n")
