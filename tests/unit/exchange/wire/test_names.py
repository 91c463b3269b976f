"""What the exchange knows of the wire is what the lake's jobs know."""

from __future__ import annotations

import re
from pathlib import Path

from upbit_exchange.wire.names import MICROSECONDS_ABOVE

REPOSITORY = Path(__file__).parents[4]


def test_the_jobs_take_the_same_times_for_microseconds() -> None:
    text = (REPOSITORY / "sql" / "jobs" / "orderbook.sql").read_text()
    assert set(re.findall(r"`timestamp` > (\d+) THEN `timestamp` / 1000", text)) == {str(MICROSECONDS_ABOVE)}
