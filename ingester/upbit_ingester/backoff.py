"""When to try again: full-jitter back-off without a limit, and the budgets of the exchange.

Clock and chance are passed in.
"""

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

CONNECTS_PER_S = 5
REQUESTS_PER_S = 9  # Upbit grants 10 per second and group
FIRST_S = 1.0
CAP_S = 30.0
STATED_CAP_S = 3600.0

_SECONDS = re.compile(r"([0-9]{1,6})(?:\.[0-9]+)?\s*(?:s\b|sec|seconds?|초)", re.IGNORECASE)


class Backoff:
    """Waits of 0..1, 0..2, 0..4 … 0..30 s (full jitter). `random` returns a float in [0, 1)."""

    def __init__(self, random: Callable[[], float], first_s: float = FIRST_S, cap_s: float = CAP_S) -> None:
        self._random = random
        self._first_s = first_s
        self._cap_s = cap_s
        self._failures = 0

    def ceiling_s(self) -> float:
        """The longest wait that `next_s` can return now, in seconds."""
        # The exponent is bounded: 2**n of an outage that lasts days would be no float any more.
        return min(self._cap_s, self._first_s * float(2 ** min(self._failures, 30)))

    def next_s(self) -> float:
        """Count one more failure and return how long to wait, in seconds."""
        wait = self._random() * self.ceiling_s()
        self._failures += 1
        return wait

    def reset(self) -> None:
        """To be called after the first data frame, not after a connect: a server may accept and drop at once."""
        self._failures = 0


class Pace:
    """At most `count` starts within `window_s` seconds (Upbit: 5 connects a second)."""

    def __init__(self, count: int, window_s: float) -> None:
        self._count = count
        self._window_s = window_s
        self._starts: deque[float] = deque(maxlen=count)
        self._held_until_s = 0.0

    def reserve(self, now_s: float) -> float:
        """Reserve the next start and return how long to wait for it, in seconds."""
        start = max(now_s, self._held_until_s)
        if len(self._starts) == self._count:
            start = max(start, self._starts[0] + self._window_s)
        self._starts.append(start)
        return start - now_s

    def hold(self, until_s: float) -> None:
        """No start before `until_s`, whatever was reserved; a longer hold stays."""
        self._held_until_s = max(self._held_until_s, until_s)

    def is_held(self, now_s: float) -> bool:
        """True while no start is allowed."""
        return now_s < self._held_until_s


class Budgets:
    """What the exchange grants this address. `clock` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.connects = Pace(CONNECTS_PER_S, 1.0)
        self.requests = Pace(REQUESTS_PER_S, 1.0)

    async def turn(self, pace: Pace) -> None:
        """Return when `pace` lets its next start go."""
        await asyncio.sleep(pace.reserve(self._clock()))
        while pace.is_held(self._clock()):  # held while it waited
            await asyncio.sleep(pace.reserve(self._clock()))

    def refused(self, pace: Pace, status: int, wait_s: float) -> None:
        """An answer asks to stay away: 429 from what it was refused for, 418 from everything (docs/upbit.md#limits)."""
        until_s = self._clock() + wait_s
        if status != 418:
            pace.hold(until_s)
            return
        log.error("the exchange blocks this address (418): no connect and no REST request for %.0f s", wait_s)
        self.connects.hold(until_s)
        self.requests.hold(until_s)


def stated_wait_s(status: int, headers: Mapping[str, str], body: str) -> float:
    """How long a refusal (HTTP 429 or 418) asks to stay away, in seconds; 0 for any other status.

    `Retry-After` counts first, then a time stated in the body. A 418 that states nothing is a minute: going on
    would lengthen the block (docs/upbit.md#limits).
    """
    if status not in (418, 429):
        return 0.0
    stated = headers.get("Retry-After") or headers.get("retry-after") or ""
    if stated.strip().isdigit():
        return min(float(stated), STATED_CAP_S)
    match = _SECONDS.search(body[:500])
    if match:
        return min(float(match.group(1)), STATED_CAP_S)
    return 60.0 if status == 418 else 1.0
