"""An hour's bounds, its neighbours, and times that the exchange sends in microseconds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from upbit_lake.hours.hour import MICROSECONDS_FROM, Hour, HourError, event_ms, neighbours

SQL = Path(__file__).resolve().parents[4] / "sql"
NINE = Hour.parse("2026-11-23T09")


def test_hours_are_utc_and_cross_midnight() -> None:
    assert Hour.of_ms(NINE.end_ms - 1) == NINE
    assert Hour.of_ms(NINE.end_ms) == NINE.shifted(1)
    assert str(Hour("2026-12-31", "23").shifted(1)) == "2027-01-01T00"


def test_a_text_that_is_not_an_hour_is_refused() -> None:
    with pytest.raises(HourError, match=r"is not an hour; use UTC, e\.g\. 2026-11-23T09$"):
        Hour.parse("2026-11-23 09:00")


def test_neighbours_are_the_hours_that_exist() -> None:
    present = [NINE.shifted(n) for n in (-30, -5, 0, 7, 50, 99)]
    assert neighbours(NINE, present) == ([NINE.shifted(-5)], [NINE.shifted(7), NINE.shifted(50)])


@pytest.mark.parametrize(
    ("sent", "ms"),
    [
        (NINE.start_ms, NINE.start_ms),
        (NINE.start_ms * 1000 + 999, NINE.start_ms),
        (MICROSECONDS_FROM, MICROSECONDS_FROM),
        (MICROSECONDS_FROM + 1, MICROSECONDS_FROM // 1000),
    ],
)
def test_a_time_in_microseconds_is_recognised_by_its_size(sent: int, ms: int) -> None:
    assert event_ms(sent) == ms


def test_the_jobs_recognise_microseconds_by_the_same_size() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted((SQL / "jobs").glob("*.sql"))}
    found = {name: re.findall(r"`(\w+)` > (\d{15,}) THEN `\1` / 1000", text) for name, text in texts.items()}
    assert found["orderbook.sql"] == [("timestamp", str(MICROSECONDS_FROM))]
    assert {bound for bounds in found.values() for _, bound in bounds} == {str(MICROSECONDS_FROM)}
