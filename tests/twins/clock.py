"""A clock that a test turns by hand."""

from __future__ import annotations


class HandClock:
    """The clock stands still until something sleeps or a test moves it; `slept` holds every pause in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
