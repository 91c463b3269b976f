"""The rate limits count requests within fixed windows of wall time, refuse, and block an address that goes on."""

from __future__ import annotations

from typing import Literal

import msgspec

SECOND_MS = 1_000
MINUTE_MS = 60_000
REST_PER_SECOND = 10
CONNECTS_PER_SECOND = 5
MESSAGES_PER_SECOND = 5
MESSAGES_PER_MINUTE = 100
WEBSOCKET = "websocket"
# Documented: who goes on after 429 is blocked, longer each time. Not documented: after how many, for how long.
REFUSALS_PER_MINUTE = 20
FIRST_BLOCK_S = 10
LONGEST_BLOCK_S = 600


class Window:
    """A window admits at most `limit` requests within each `length_ms`."""

    def __init__(self, limit: int, length_ms: int) -> None:
        self._limit = limit
        self._length_ms = length_ms
        self._window = -1
        self._used = 0

    def take(self, wall_ms: int) -> int | None:
        """Counts a request; returns how many are left in this window, None when it is over the limit."""
        window = wall_ms // self._length_ms
        self._used = self._used + 1 if window == self._window else 1
        self._window = window
        return self._limit - self._used if self._used <= self._limit else None


class MessageLimit:
    """The limit of what one WebSocket connection may send."""

    def __init__(self) -> None:
        self._windows = (Window(MESSAGES_PER_SECOND, SECOND_MS), Window(MESSAGES_PER_MINUTE, MINUTE_MS))

    def allows(self, wall_ms: int) -> bool:
        """Counts a message; returns whether it is within both limits."""
        return all([window.take(wall_ms) is not None for window in self._windows])


class LimitResult(msgspec.Struct, frozen=True):
    """One request's result: 200 with the requests left in this second, 429, or 418 with the seconds still blocked."""

    status: Literal[200, 418, 429]
    left: int = 0
    blocked_s: int = 0


class _Address:
    """One client's counts by group, its refusals and its blocks."""

    def __init__(self) -> None:
        self.groups: dict[str, Window] = {}
        self.with_origin = Window(1, 10 * SECOND_MS)
        self._refusals = Window(REFUSALS_PER_MINUTE, MINUTE_MS)
        self._blocks = 0
        self._blocked_until_ms = 0

    def blocked_s(self, wall_ms: int) -> int:
        return max(-(-(self._blocked_until_ms - wall_ms) // SECOND_MS), 0)

    def refuse(self, wall_ms: int) -> LimitResult:
        if self._refusals.take(wall_ms) is not None:
            return LimitResult(429)
        block_s = min(FIRST_BLOCK_S << min(self._blocks, 10), LONGEST_BLOCK_S)
        self._blocks += 1
        self._blocked_until_ms = wall_ms + block_s * SECOND_MS
        self._refusals = Window(REFUSALS_PER_MINUTE, MINUTE_MS)
        return LimitResult(418, blocked_s=block_s)


class RateLimit:
    """The rate limit counts an address's REST requests by group, and handshakes; `limited` off: without refusing."""

    def __init__(self, limited: bool = True) -> None:
        self._limited = limited
        self._addresses: dict[str, _Address] = {}

    def take(self, address: str, group: str, wall_ms: int, origin: bool = False) -> LimitResult:
        """Judges one request of `group`; `origin`: it carries an Origin header, which costs all but 1 in 10 s."""
        client = self._addresses.setdefault(address, _Address())
        if blocked_s := client.blocked_s(wall_ms):
            return LimitResult(418, blocked_s=blocked_s)
        per_second = CONNECTS_PER_SECOND if group == WEBSOCKET else REST_PER_SECOND
        left = client.groups.setdefault(group, Window(per_second, SECOND_MS)).take(wall_ms)
        if origin and client.with_origin.take(wall_ms) is None:
            left = None
        if left is None and self._limited:
            return client.refuse(wall_ms)
        return LimitResult(200, left or 0)
