"""The one clock of the process: made by the service and passed to whatever needs a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic_s` measures how long something takes, in seconds; `wall_ns` says when it was, ns since the epoch."""

    monotonic_s: Callable[[], float] = time.monotonic
    wall_ns: Callable[[], int] = time.time_ns

    def wall_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self.wall_ns() // 1_000_000

    def wall_s(self) -> float:
        """Seconds since the epoch."""
        return self.wall_ns() / 1e9
