"""The pump's cycle: what the disk refuses waits and is produced once, a gap is written before what would hide it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from upbit_ingester.backoff import Backoff
from upbit_ingester.delivery import pump as pumps
from upbit_ingester.delivery.producer import Delivery, Lane
from upbit_ingester.delivery.pump import DEAD_LETTER, Item, Pump, PumpSettings
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool import state as states
from upbit_ingester.spool.log import Spool
from upbit_ingester.spool.record import Record
from upbit_ingester.spool.state import Change, State


class Sender(Delivery):
    """Notes what would be produced in place of a producer."""

    def __init__(self, lanes: list[Lane], refuse: Callable[[Record, str], bool]) -> None:
        self.lanes, self.refuse = lanes, refuse
        self.produced: list[bytes] = []

    @property
    def in_flight(self) -> int:
        return 0

    def step(self) -> None:
        for lane in self.lanes:
            for entry in lane.spool.unsent():
                lane.spool.sent(entry)
                self.produced.append(entry.record.value)


class Setting:
    """A pump over spools in a folder, its clock and what it sends."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 1000.0
        self.state_path = folder / "state.json"
        self.lanes = {
            name: Lane(name, name, Spool(folder / name, lambda: self.now_s), Backoff(lambda: 0.0))
            for name in ("trade", "ticker", DEAD_LETTER)
        }
        self.metrics = Metrics()
        self.pump = Pump(
            PumpSettings(2**30, 0.02, self.state_path),
            self.lanes,
            self._sender,
            State(),
            self.metrics,
            lambda: self.now_s,
        )

    def _sender(self, refuse: Callable[[Record, str], bool]) -> Sender:
        self.sender = Sender(list(self.lanes.values()), refuse)
        return self.sender

    def offer(self, lane: str, value: bytes, change: Change | None = None) -> None:
        self.pump.offer(Item(lane, Record(b"KRW-BTC", (), value), change))

    def cycle(self) -> None:
        self.now_s += 1.1  # beyond the wait after a refusal
        self.pump.cycle()


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def refuse(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def seen(sequential_id: int) -> Change:
    return Change("seen", "trade", "KRW-BTC", sequential_id * 100, 0, sequential_id)


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_what_the_disk_refuses_is_not_produced_and_later_produced_once(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(os, call, refuse)
    for value in (b"1", b"2"):
        setting.offer("trade", value)
        setting.cycle()
    assert (setting.sender.produced, setting.pump.undelivered()) == ([], 2)
    monkeypatch.undo()
    setting.cycle()
    assert setting.sender.produced == [b"1", b"2"]
    assert setting.metrics.spooled["trade"] == 2


def test_a_lane_that_is_kept_is_not_appended_again_when_another_is_refused(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setting.lanes["ticker"].spool, "append", refuse)
    setting.offer("trade", b"t")
    setting.offer("ticker", b"k")
    for _ in range(3):
        setting.cycle()
    assert setting.sender.produced == [b"t"]
    monkeypatch.undo()
    setting.cycle()
    assert setting.sender.produced == [b"t", b"k"]


def test_a_disk_that_refuses_stops_the_reading(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", refuse)
    for _ in range(4):
        setting.offer("trade", bytes(pumps.INBOX_MAX_BYTES // 3))
        setting.cycle()
    assert setting.pump.is_full()
    monkeypatch.undo()
    setting.cycle()
    assert not setting.pump.is_full()


def test_a_gap_stands_on_the_disk_before_the_record_behind_it(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting.pump.offer(Item("trade", None, Change("baseline", "trade", "KRW-BTC", 100, 0, 1)))
    setting.offer("trade", b"5", seen(5))
    setting.cycle()
    setting.pump.offer(Item("trade", None, Change("gap", "trade", "KRW-BTC", 900)))
    setting.offer("trade", b"10", seen(10))
    on_disk: list[states.KnownTrades] = []

    def killed(_records: list[Record]) -> None:
        on_disk.append(states.load(setting.state_path).trades["KRW-BTC"])
        refuse()

    monkeypatch.setattr(setting.lanes["trade"].spool, "append", killed)
    setting.cycle()
    assert (on_disk[0].gap_from_ms, on_disk[0].ids) == (500, [1, 5])


def test_no_record_is_kept_while_its_gap_cannot_be_written(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "save", refuse)
    setting.pump.offer(Item("trade", None, Change("baseline", "trade", "KRW-BTC", 100, 0, 1)))
    setting.offer("trade", b"5", seen(5))
    setting.cycle()
    assert setting.sender.produced == []
    monkeypatch.undo()
    setting.cycle()
    assert setting.sender.produced == [b"5"]


def test_a_disk_that_refuses_the_housekeeping_does_not_end_the_pump(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setting.lanes["trade"].spool, "roll", refuse)
    setting.cycle()
    assert setting.metrics.spool_write_errors == 1


def test_a_refused_record_becomes_a_dead_letter_once(setting: Setting) -> None:
    assert setting.sender.refuse(Record(b"KRW-BTC", (), b"large"), "too large")
    (letter,) = setting.lanes[DEAD_LETTER].spool.left_over()
    assert (letter.value, dict(letter.headers)) == (b"large", {"reason": b"too large"})
    assert not setting.sender.refuse(letter, "too large")
