"""REST rate limits: a number of requests a second and group."""

from __future__ import annotations

PER_SECOND = 10


class RateLimit:
    """Fixed windows of one wall second; `limited` off counts without refusing."""

    def __init__(self, limited: bool = True) -> None:
        self._limited = limited
        self._used: dict[str, tuple[int, int]] = {}

    def take(self, group: str, wall_ms: int) -> int | None:
        """Requests left in this second after this one; None when it is over the limit."""
        second = wall_ms // 1000
        window, used = self._used.get(group, (second, 0))
        used = used + 1 if window == second else 1
        self._used[group] = (second, used)
        if used > PER_SECOND:
            return None if self._limited else 0
        return PER_SECOND - used
