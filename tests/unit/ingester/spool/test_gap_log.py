"""The record of gaps: what `GET /gaps` reports of it."""

from pathlib import Path

import pytest

from upbit_ingester.clock import Clock
from upbit_ingester.spool.gap_log import Gap, GapOpened, GapOver, Gaps
from upbit_ingester.spool.state import StreamMark


def test_the_report_names_open_and_closed_gaps_and_trades_that_are_fetched_again(tmp_path: Path) -> None:
    gaps = Gaps(tmp_path, Clock().wall_ms)
    assert gaps.report([]) == []
    closed, fetched = Gap("ticker", 3, "down", 10, 20, 11, 21), Gap("trade", 1, "refetch", 150, 0, 0, 0, "KRW-BTC")
    for step in (GapOpened(StreamMark(10, 11), "down"), closed, GapOver()):
        gaps.store("ticker", step)
    gaps.store("orderbook", GapOpened(StreamMark(200, 205), "down"))
    assert gaps.report([fetched]) == [Gap("orderbook", 0, "down", 200, 0, 205, 0), fetched, closed]


def test_the_report_is_the_end_of_a_long_record_and_outlives_a_torn_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaps = Gaps(tmp_path, Clock().wall_ms)
    for number in range(1, 101):
        gaps.record(Gap("ticker", 3, "silence", number, number + 1, 1, 1))
    with (tmp_path / "gaps.jsonl").open("ab") as file:
        file.write(b'{"stream":"tick')
    monkeypatch.setattr("upbit_ingester.spool.gap_log.REPORTED_BYTES", 1000)
    reported = [gap.last_seen_ms for gap in gaps.report([])]
    assert 3 < len(reported) < 20
    assert reported == list(range(100 - len(reported) + 1, 101))


def test_a_gap_says_by_our_clock_when_it_was_opened(tmp_path: Path) -> None:
    gaps = Gaps(tmp_path, Clock(wall_ns=lambda: 7_000_000).wall_ms)
    gaps.store("ticker", GapOpened(StreamMark(10, 11), "down"))
    found = Gaps(tmp_path, Clock().wall_ms).get("ticker")
    assert found is not None
    assert found.opened_ms == 7
