"""First on PYTHONPATH, this puts the wall clock of a process wrong, and further wrong while it runs.

The file that SKEW_FILE names holds the seconds to add. What Python reads of the wall clock is shifted, log stamps too;
the monotonic clock is not, as with a clock that was really set wrong. C libraries read the true clock; in the ingester
only librdkafka does, for a time that nothing reads.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_FILE = Path(os.environ["SKEW_FILE"])
_true_ns = time.time_ns


def _skewed_ns() -> int:
    return _true_ns() + int(_FILE.read_text()) * 1_000_000_000


def _skewed() -> float:
    return _skewed_ns() / 1e9


time.time_ns, time.time = _skewed_ns, _skewed
