"""The outcome of a reconcile: what was found of one thing, and what was done about it. Decisions compare its state.

Its text (`str`) is for logs and people only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a thing stands after a reconcile. The values are the words of the logs."""

    UNCHANGED = "unchanged"
    CREATED = "created"
    REPAIRED = "repaired"
    DRIFT = "drift"
    WOULD_CREATE = "would be created"
    WOULD_START = "would be started"


@dataclass(frozen=True)
class Outcome:
    """The outcome for one topic, bucket, table, job, principal or process.

    Args:
        changes: what was changed, in words. A thing with drift may have changes beside it.
        drift: what differs from the contract and stays so, in words.
        note: why it stays, or what else is to be said; in brackets at the end.
    """

    state: State
    changes: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    note: str = ""

    @classmethod
    def of(cls, drift: tuple[str, ...], repaired: tuple[str, ...], note: str = "") -> Outcome:
        """The outcome of what was compared: unchanged when nothing differed, drift when anything is left."""
        if not drift and not repaired:
            return cls(State.UNCHANGED, note=note)
        return cls(State.DRIFT if drift else State.REPAIRED, repaired, drift, note)

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        if self.state is not State.DRIFT:
            return ": ".join([self.state, "; ".join(self.changes)] if self.changes else [self.state]) + note
        repaired = [f"{State.REPAIRED}: {'; '.join(self.changes)}"] if self.changes else []
        return f"{State.DRIFT}: {'; '.join([*self.drift, *repaired])}{note}"


UNCHANGED = Outcome(State.UNCHANGED)
CREATED = Outcome(State.CREATED)


def created(dry_run: bool) -> Outcome:
    """The outcome for a thing that was missing."""
    return Outcome(State.WOULD_CREATE) if dry_run else CREATED


# Thing → its outcome, in the order in which they were worked.
Outcomes = Mapping[str, Outcome]
