"""The request budgets hold what the exchange grants this address: starts in a second, none after a refusal.

The clock is passed in.
"""

import asyncio
import logging
from collections import deque

from upbit_ingester.clock import Clock

log = logging.getLogger(__name__)

CONNECTS_PER_S = 5
REQUESTS_PER_S = 9  # Upbit grants 10 per second and group


class Pace:
    """A pace allows at most `count` starts within `window_s` seconds (Upbit: 5 connects a second)."""

    def __init__(self, count: int, window_s: float) -> None:
        self._count = count
        self._window_s = window_s
        self._starts: deque[float] = deque(maxlen=count)
        self._closed_until_s = 0.0

    def reserve(self, now_s: float) -> float:
        """Reserve the next start and return how long to wait for it, in seconds."""
        start = max(now_s, self._closed_until_s)
        if len(self._starts) == self._count:
            start = max(start, self._starts[0] + self._window_s)
        self._starts.append(start)
        return start - now_s

    def hold(self, until_s: float) -> None:
        """No start before `until_s`, whatever was reserved; a longer hold stays."""
        self._closed_until_s = max(self._closed_until_s, until_s)

    def is_on_hold(self, now_s: float) -> bool:
        """True while no start is allowed."""
        return now_s < self._closed_until_s


class Budgets:
    """The budgets of this address: connects and REST requests."""

    def __init__(self, clock: Clock) -> None:
        self._now_s = clock.monotonic_s
        self.connects = Pace(CONNECTS_PER_S, 1.0)
        self.requests = Pace(REQUESTS_PER_S, 1.0)

    async def turn(self, pace: Pace) -> None:
        """Return when `pace` lets its next start go."""
        await asyncio.sleep(pace.reserve(self._now_s()))
        while pace.is_on_hold(self._now_s()):  # put on hold while it waited
            await asyncio.sleep(pace.reserve(self._now_s()))

    def refused(self, pace: Pace, status: int, wait_s: float) -> None:
        """An answer asks to stay away: 429 from what it was refused for, 418 from everything (docs/upbit.md#limits)."""
        until_s = self._now_s() + wait_s
        if status != 418:
            pace.hold(until_s)
            return
        log.error("the exchange blocks this address (418): no connect and no REST request for %.0f s", wait_s)
        self.connects.hold(until_s)
        self.requests.hold(until_s)
