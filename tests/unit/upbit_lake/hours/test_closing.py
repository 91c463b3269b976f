"""Which hours are closed, and which want work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from upbit_lake.hours.closing import PartitionProgress, Progress, is_expired, open_reason, work_list
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.partitions import PartitionState, updated_at

NINE = Hour.parse("2026-11-23T09")
GRACE_S = 120
BOUND = NINE.end_ms + GRACE_S * 1000


def progress(*partitions: tuple[int | None, bool], clock: int | None = BOUND, ended: bool = False) -> Progress:
    return Progress({n: PartitionProgress(*p) for n, p in enumerate(partitions)}, clock, ended)


@pytest.mark.parametrize(
    ("facts", "closed"),
    [
        (progress((BOUND, False), (BOUND + 1, False)), True),
        (progress((BOUND, False), (BOUND - 1, False)), False),
        # A quiet partition: all of it is consumed, and the exchange's clock is past the bound.
        (progress((BOUND, False), (None, True)), True),
        (progress((BOUND, False), (None, False)), False),
        (progress((None, True), (None, True), clock=BOUND - 1), False),
        # The end of a recording closes its last hour, whatever its clock says.
        (progress((None, True), (NINE.start_ms, True), clock=NINE.start_ms, ended=True), True),
        (progress((None, True), clock=None), False),
    ],
)
def test_an_hour_is_closed_when_every_partition_is_past_it(facts: Progress, closed: bool) -> None:
    assert (open_reason(NINE, facts, GRACE_S) is None) is closed


def test_the_reason_names_the_partition() -> None:
    reason = open_reason(NINE, progress((BOUND, False), (1, False)), GRACE_S)
    assert reason == "Kafka partition 1 is not past 2026-11-23T10 + 120 s"


def state(table: str, hour: Hour, records: int = 1) -> PartitionState:
    return PartitionState(table, hour, records, 1, 10, datetime(2026, 11, 23, tzinfo=UTC))


def test_the_work_list_takes_changed_closed_hours_oldest_first() -> None:
    hours = [NINE.shifted(n) for n in range(4)]
    states = [state(table, hour) for hour in reversed(hours) for table in ("trade", "ticker")]
    done = {("trade", hours[0]): state("trade", hours[0]).fingerprint}
    work = work_list(states, done, lambda item: item.hour != hours[3], limit=2)
    assert [(item.hour, item.table) for item in work] == [
        (hours[0], "ticker"),
        (hours[1], "ticker"),
        (hours[1], "trade"),
    ]


def test_a_late_row_changes_the_fingerprint() -> None:
    done = {("trade", NINE): state("trade", NINE).fingerprint}
    assert work_list([state("trade", NINE)], done, lambda _: True, 9) == []
    assert work_list([state("trade", NINE, records=2)], done, lambda _: True, 9) != []


def test_a_recording_of_years_ago_expires_by_its_last_write() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    old = Hour("2020-01-01", "00")
    written = PartitionState("trade", old, 1, 1, 1, now - timedelta(days=1))
    assert updated_at(written.fingerprint) == written.updated_at
    assert not is_expired(written.updated_at, 30, now)
    assert is_expired(now - timedelta(days=31), 30, now)
