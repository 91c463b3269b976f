"""What the control plane may do to the ingester's process: one interface, whatever supervises it.

An implementation says how the process is and can restart it; it decides nothing (`ingester_health` does).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class ControlError(RuntimeError):
    """The ingester's supervisor does not answer or refuses. One line: who, what it said."""


@dataclass(frozen=True)
class ProcessState:
    """A process as its supervisor sees it: whether it runs, the supervisor's word for that, its age in seconds."""

    running: bool
    word: str
    age_s: float | None = None


class IngesterControl(Protocol):
    """What the control plane may do to the ingester."""

    def state(self) -> ProcessState:
        """The process's state; raises ControlError."""

    def restart(self) -> None:
        """Stop the process as gently as it allows, if it runs, and start it; raises ControlError."""
