"""The exchange's clock stands until it is let go, then runs `speed` times the wall's pace, never past real time."""

from __future__ import annotations

import time
from collections.abc import Callable

DAY_MS = 86_400_000


def wall_ms() -> float:
    """Returns the machine's time in ms since the epoch."""
    return time.time() * 1000


class ExchangeClock:
    """The clock counts milliseconds since the epoch, UTC; `start_ms` None = the wall's time when it is let go."""

    def __init__(self, wall_ms: Callable[[], float], start_ms: int | None, speed: float) -> None:
        self._wall_ms = wall_ms
        self._start_ms = start_ms
        self._speed = speed
        self._let_go_at: float | None = None

    @property
    def running(self) -> bool:
        """Whether the clock was let go."""
        return self._let_go_at is not None

    def let_go(self) -> None:
        """The clock begins to run; a second call changes nothing."""
        if self._let_go_at is None:
            self._let_go_at = self._wall_ms()
            if self._start_ms is None:
                self._start_ms = int(self._let_go_at)

    def now_ms(self) -> int:
        """Returns the exchange's time in ms since the epoch."""
        wall = self._wall_ms()
        if self._start_ms is None:
            return int(wall)
        if self._let_go_at is None:
            return min(self._start_ms, int(wall))
        return int(min(self._start_ms + max(wall - self._let_go_at, 0) * self._speed, wall))
