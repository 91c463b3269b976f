"""Which partitions say how far the lake is, and how they are named in a query."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from upbit_lake.hours.hour import Hour
from upbit_lake.hours.partitions import PartitionState, hour_filter
from upbit_lake.hours.stored import last_written

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def state(hh: str, age_s: int) -> PartitionState:
    return PartitionState("trade", Hour("2026-11-23", hh), 1, 1, 1, NOW - timedelta(seconds=age_s))


def test_partitions_become_a_predicate() -> None:
    hours = [Hour.of_partition(name) for name in ("dt=2026-11-23/hh=01", "dt=2026-11-22/hh=23")]
    assert hour_filter(hours) == "(dt = '2026-11-23' AND hh = '01') OR (dt = '2026-11-22' AND hh = '23')"
    assert hour_filter([]) == "FALSE"


def test_what_was_written_last_counts_not_what_happened_last() -> None:
    states = [state("01", 5), state("02", 400), state("03", 300), state("04", 200), state("05", 100)]
    assert [hour.hh for hour in last_written(states)] == ["03", "04", "05", "01"]
