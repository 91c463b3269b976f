"""A verdict names what of its hour the ingester missed."""

import pytest

from upbit_lake.hours.hour import Hour
from upbit_lake.state.ingester_gaps import IngesterGap
from upbit_lake.state.verdicts import HourVerdict, Level, Status
from upbit_lake.verify.gaps_named import with_gaps

HOUR = Hour("2026-11-23", "09")
START, END = HOUR.start_ms, HOUR.end_ms
VERDICT = HourVerdict(Level.STRUCTURAL, "ticker", HOUR, Status.GREEN, "ticker 2026-11-23T09: 7 rows", {"rows": 7})


@pytest.mark.parametrize(
    ("last_ms", "first_ms", "inside"),
    [
        (START - 9, START, False),
        (START - 9, START + 1, True),
        (START - 9, END + 9, True),
        (END - 1, END + 9, True),
        (END, END + 9, False),
        (START - 9, None, True),
        (END, None, False),
    ],
)
def test_only_a_gap_in_the_hour_is_named(last_ms: int, first_ms: int | None, inside: bool) -> None:
    gap = IngesterGap("", last_ms, first_ms, "silence")
    found = with_gaps(VERDICT, [gap])
    assert (found != VERDICT) is inside
    assert found.status is Status.GREEN
    if inside:
        assert found.reason.endswith("7 rows; the ingester missed a part of it: 1 gaps (silence)")
        assert found.details == {"rows": 7, "ingester_gaps": [["", last_ms, first_ms, "silence"]]}


def test_every_cause_is_named_once() -> None:
    gaps = [IngesterGap("", START + at, START + at + 1, cause) for at, cause in enumerate(("shed", "down", "shed"))]
    assert "3 gaps (down, shed)" in with_gaps(VERDICT, gaps).reason
