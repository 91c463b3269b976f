"""Back-off decides when to try again: full jitter without a limit, and the time that a refusal states.

Chance is passed in.
"""

import re
from collections.abc import Callable, Mapping

FIRST_S = 1.0
CAP_S = 30.0
STATED_CAP_S = 3600.0

_SECONDS = re.compile(r"([0-9]{1,6})(?:\.[0-9]+)?\s*(?:s\b|sec|seconds?|초)", re.IGNORECASE)


class Backoff:
    """A back-off gives waits of 0..1, 0..2, 0..4 … 0..30 s (full jitter). `random` returns a float in [0, 1)."""

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


def stated_wait_s(status: int, headers: Mapping[str, str], body: str) -> float:
    """A refusal (HTTP 429 or 418) states how long to stay away, in seconds; 0 for any other status.

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
