"""The clock of the control plane, and the one way to wait for something by looking at it again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """What tells the time and lets it pass; a test gives one that it turns by hand."""

    def now(self) -> float:
        """The clock returns the time of day in seconds since the epoch."""

    def monotonic(self) -> float:
        """The clock returns seconds from some fixed moment; they never go back."""

    def sleep(self, seconds: float) -> None:
        """The clock returns after so many seconds."""


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        """The clock returns the time of day in seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """The clock returns seconds from some fixed moment; they never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """The clock returns after so many seconds."""
        time.sleep(seconds)


SYSTEM: Clock = SystemClock()


def wait_until(
    look: Callable[[], T],
    done: Callable[[T], bool],
    timeout_s: float,
    poll_s: float,
    clock: Clock = SYSTEM,
    slower: float = 1.0,
    poll_max_s: float = 1.0,
) -> T:
    """The wait looks until `done` accepts what `look` returns or `timeout_s` seconds have passed.

    Args:
        look: asks an engine; called at least once. What it raises ends the wait.
        poll_s: seconds between two looks; each pause is `slower` times the one before, up to `poll_max_s` seconds.

    Returns:
        The last look, accepted or not: the caller judges it and names in its error what it saw.
    """
    deadline = clock.monotonic() + timeout_s
    while not done(seen := look()) and clock.monotonic() <= deadline:
        clock.sleep(poll_s)
        if slower > 1.0:
            poll_s = min(poll_s * slower, poll_max_s)
    return seen
