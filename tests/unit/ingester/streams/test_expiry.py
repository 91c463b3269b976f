"""The spool's bound of age: what has waited for too long is dropped and said, trades never."""

import logging
import os
from pathlib import Path

import msgspec
import pytest

from tests.unit.ingester.spool.spool_records import Clock as SpoolClock
from tests.unit.ingester.spool.spool_records import files, record, send_all
from tests.unit.ingester.stream_setting import DAY_MS, SAMPLES, STREAMS, frame
from upbit_ingester.backoff import Backoff
from upbit_ingester.clock import Clock
from upbit_ingester.delivery.producer import Lane
from upbit_ingester.delivery.pump import DEAD_LETTER
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.gap_log import Gap, Gaps
from upbit_ingester.spool.log import Spool
from upbit_ingester.spool.record import Record
from upbit_ingester.streams.expiry import Expiry

HOUR_S = 3600.0
LANES = (*SAMPLES, DEAD_LETTER)


class Spools:
    """One spool a lane, bounded to an hour."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.metrics, self.gaps = SpoolClock(), Metrics(), folder / "gaps.jsonl"
        self.lanes = {name: Lane(name, name, Spool(folder / name, self.clock), Backoff(lambda: 0.0)) for name in LANES}
        expiring = [lane for name, lane in self.lanes.items() if name in STREAMS and STREAMS[name].expires]
        self.expiry = Expiry(expiring, HOUR_S, Gaps(folder, Clock().wall_ms), self.metrics)

    def append(self, *numbers: int) -> None:
        for name, lane in self.lanes.items():
            frames = [frame("trade" if name == DEAD_LETTER else name, number) for number in numbers]
            headers = [(("recv_ns", b"%d" % ((DAY_MS + 7 + number) * 10**6)),) for number in numbers]
            lane.spool.append([Record(b"KRW-BTC", *pair) for pair in zip(headers, frames, strict=True)])

    def later(self, seconds: float) -> None:
        self.clock.now_s += seconds
        for lane in self.lanes.values():
            lane.spool.roll()

    def waiting(self) -> dict[str, int]:
        return {name: lane.spool.unacknowledged for name, lane in self.lanes.items()}

    def recorded(self) -> list[Gap]:
        lines = self.gaps.read_bytes().splitlines() if self.gaps.exists() else []
        return [msgspec.json.decode(line, type=Gap) for line in lines]


def test_tickers_and_books_are_dropped_and_trades_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spools = Spools(tmp_path)
    spools.append(1, 2, 3)
    spools.later(HOUR_S)
    spools.append(4)
    spools.expiry.look()
    assert spools.waiting() == dict.fromkeys(LANES, 4), "not older than the bound"
    spools.later(1)
    with caplog.at_level(logging.ERROR):
        spools.expiry.look()
    assert spools.waiting() == {"trade": 4, DEAD_LETTER: 4, "ticker": 1, "orderbook": 1}
    assert dict(spools.metrics.expired) == {"ticker": 3, "orderbook": 3}
    times = (DAY_MS, DAY_MS + 4, DAY_MS + 8, DAY_MS + 10)
    assert spools.recorded() == [Gap(name, 1, "expired", *times) for name in ("ticker", "orderbook")]
    assert "ticker: 3 records have waited in the spool for more than 1 h and are dropped" in caplog.messages


def test_what_is_left_is_sent_and_a_late_acknowledgement_changes_nothing(tmp_path: Path) -> None:
    spools = Spools(tmp_path)
    books = spools.lanes["orderbook"].spool
    spools.append(1, 2)
    in_flight = send_all(books)
    spools.later(HOUR_S + 1)
    spools.append(3)
    spools.expiry.look()
    for entry in in_flight:
        books.acknowledge(entry.segment, entry.number)
    assert (books.unacknowledged, len(files(tmp_path / "orderbook"))) == (1, 1)
    assert [entry.record.value for entry in send_all(books)] == [frame("orderbook", 3)]
    books.rewind()
    assert [entry.record.value for entry in send_all(books)] == [frame("orderbook", 3)]


def test_the_age_of_what_an_earlier_run_left_is_that_of_its_file(tmp_path: Path) -> None:
    Spool(tmp_path, SpoolClock()).append([record(1)])
    (path,) = tmp_path.glob("*.seg")
    os.utime(path, (50.0, 50.0))
    assert Spool(tmp_path, SpoolClock(), wall_clock=lambda: 75.0).oldest_s() == 25.0
    assert Spool(tmp_path, SpoolClock(), wall_clock=lambda: 25.0).oldest_s() == 0.0, "a clock that was put back"
