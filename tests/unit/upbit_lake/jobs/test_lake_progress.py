"""How far the lake is: said by its own reader on real tables, and by Flink only when the reader fails or is slow."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.twins.flink import SessionTwin
from upbit_lake.contract.model import Contract
from upbit_lake.engines.flink.gateway import GatewaySession, Result
from upbit_lake.engines.lake.reader import ProcessReader
from upbit_lake.hours.stored import newest_event_ms, newest_file_event_ms, read_last_written
from upbit_lake.jobs.lake_progress import LakeProgress

NINE_MS = 1_795_424_400_000


def trade(number: int, partition: int, offset: int, event_ms: int, hh: str = "09") -> tuple[Any, ...]:
    return ("2026-11-23", hh, "KRW-BTC", number, event_ms, "1.0", "1.0", partition, offset)


class Flink:
    """Answers the two queries of sql/restart and keeps what it was asked."""

    def __init__(self, *answers: tuple[tuple[Any, ...], ...]) -> None:
        self.asked = list[str]()
        self._answers = list(answers)

    @contextmanager
    def __call__(self, name: str) -> Iterator[GatewaySession]:
        self.asked.append(name)
        yield SessionTwin(lambda _: Result((), self._answers.pop(0), None), {}, self.asked)


def must_not_be_asked(name: str) -> AbstractContextManager[GatewaySession]:
    raise AssertionError(f"Flink was asked: {name}")


def test_the_reader_says_the_highest_offset_of_each_partition(lake: Any, contract: Contract) -> None:
    lake.trades([trade(1, 0, 10, NINE_MS), trade(2, 1, 7, NINE_MS)])
    # Rows of one key replace each other, so only what is stored counts; an older hour holds a newer offset.
    lake.trades([trade(3, 0, 12, NINE_MS - 3_600_000, hh="08"), trade(1, 0, 11, NINE_MS)])
    progress = LakeProgress(contract, lake.reader, must_not_be_asked)
    stream = contract.streams["trade"]
    # Up to offset 11 everything is stored: that is what the newest events say, at little cost.
    assert progress.highest_offsets(stream, [0, 1]) == {0: 11, 1: 7}


def test_a_quiet_partition_is_found_among_older_events(lake: Any, contract: Contract) -> None:
    lake.trades([trade(1, 1, 7, NINE_MS - 3_600_000, hh="08"), trade(2, 0, 10, NINE_MS)])
    progress = LakeProgress(contract, lake.reader, must_not_be_asked)
    stream = contract.streams["trade"]
    assert progress.highest_offsets(stream, [0]) == {0: 10}
    assert progress.highest_offsets(stream, [0, 1]) == {0: 10, 1: 7}
    # One that was never stored is left out.
    assert progress.highest_offsets(stream, [0, 1, 2]) == {0: 10, 1: 7}


def test_an_event_from_the_future_hides_no_offset(lake: Any, contract: Contract) -> None:
    lake.trades([trade(1, 0, 10, NINE_MS), trade(2, 1, 7, NINE_MS)])
    lake.trades([("2127-01-01", "00", "KRW-BTC", 3, NINE_MS + 10**13, "1.0", "1.0", 0, 11)])
    progress = LakeProgress(contract, lake.reader, must_not_be_asked)
    assert progress.highest_offsets(contract.streams["trade"], [0, 1]) == {0: 11, 1: 7}


def test_only_the_partitions_written_last_are_read(lake: Any, contract: Contract) -> None:
    for hour in range(6):
        lake.trades([trade(hour, hour, 100 + hour, NINE_MS, hh=f"{hour:02d}")])
    progress = LakeProgress(contract, lake.reader, must_not_be_asked)
    assert progress.highest_offsets(contract.streams["trade"], [5]) == {2: 102, 3: 103, 4: 104, 5: 105}


def test_the_files_know_the_newest_event(lake: Any, contract: Contract) -> None:
    stream = contract.streams["trade"]
    assert newest_file_event_ms(lake.reader, contract, stream) is None
    lake.trades([trade(1, 0, 10, NINE_MS + 5)])
    lake.trades([trade(2, 1, 7, NINE_MS + 9)])
    assert newest_file_event_ms(lake.reader, contract, stream) == NINE_MS + 9
    hours = read_last_written(lake.reader, contract, "trade")
    assert newest_event_ms(lake.reader, contract, stream, hours) == NINE_MS + 9


def test_an_empty_lake_holds_nothing(lake: Any, contract: Contract) -> None:
    progress = LakeProgress(contract, lake.reader, must_not_be_asked)
    assert progress.highest_offsets(contract.streams["trade"], [0]) == {}
    assert progress.newest_event_ms(contract.streams["trade"]) is None


def test_the_reader_says_the_newest_event(lake: Any, contract: Contract) -> None:
    lake.trades([trade(1, 0, 10, NINE_MS + 5), trade(2, 1, 7, NINE_MS + 9)])
    progress = LakeProgress(contract, lake.reader, must_not_be_asked)
    assert progress.newest_event_ms(contract.streams["trade"]) == NINE_MS + 9


def test_flink_is_asked_when_the_reader_fails(
    tmp_path: Path, contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    reader = ProcessReader({"warehouse": str(tmp_path / "none")}, "lake", "upbit")
    flink = Flink((("dt=2026-11-23/hh=09",), ("dt=2026-11-23/hh=08",)), ((0, 41), (1, 7)))
    with caplog.at_level(logging.WARNING):
        assert LakeProgress(contract, reader, flink).highest_offsets(contract.streams["trade"], [0, 1]) == {0: 41, 1: 7}
    session, _, query = flink.asked
    assert session == "replay point"
    assert "(dt = '2026-11-23' AND hh = '09') OR (dt = '2026-11-23' AND hh = '08')" in query
    [line] = caplog.messages
    assert line.startswith("replay point of trade: the lake's reader cannot say it (")
    assert line.endswith("), Flink is asked")
    assert "\n" not in line


def test_flink_is_asked_when_the_reader_takes_too_long(
    lake: Any, contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    lake.trades([trade(1, 0, 10, NINE_MS)])
    flink = Flink((("dt=2026-11-23/hh=09",),), ((NINE_MS,),))
    progress = LakeProgress(contract, lake.reader, flink, reader_s=0.01)
    with caplog.at_level(logging.WARNING):
        assert progress.newest_event_ms(contract.streams["trade"]) == NINE_MS
    assert flink.asked[0] == "lost hours"
    assert "did not answer within" in caplog.messages[0]


def test_flink_says_that_the_lake_is_empty(tmp_path: Path, contract: Contract) -> None:
    reader = ProcessReader({"warehouse": str(tmp_path / "none")}, "lake", "upbit")
    assert LakeProgress(contract, reader, Flink(())).highest_offsets(contract.streams["trade"], [0]) == {}
    assert LakeProgress(contract, reader, Flink(())).newest_event_ms(contract.streams["trade"]) is None
