"""REST shows a market's trades in batches, a few seconds later than the WebSocket."""

from __future__ import annotations

from zlib import crc32

import msgspec


class RestLag(msgspec.Struct, frozen=True):
    """One batch of trades and candles every `every_ms`, at a moment of each market's own, drawn by `seed`.

    What was matched before `since_ms` is there at once: it was known before this exchange started. 0 = no lag.
    """

    every_ms: int = 0
    seed: int = 0
    since_ms: int = 0

    def visible_ms(self, code: str, now_ms: int) -> int:
        """Returns the moment (ms) before which matched trades can be read at `now_ms`; it never goes back."""
        if not self.every_ms:
            return 1 << 62
        phase = crc32(f"{self.seed}:{code}".encode()) % self.every_ms
        return max(now_ms - (now_ms - phase) % self.every_ms, self.since_ms)


NO_LAG = RestLag()
