"""A fault every minute at 5,000 frames/s: Kafka = ledger by key, but for books and tickers inside recorded gaps."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from random import Random

import msgspec
import psutil
import pytest

from tests.integration.brokers import Brokers
from tests.integration.ingester_setup import STREAMS, Setup, gaps_of
from tests.waiting import until
from upbit_exchange import ledger

pytestmark = [pytest.mark.engines, pytest.mark.nightly]

MINUTES = int(os.environ.get("CHAOS_MINUTES") or 30)
RATE = 5000
SETTLED_S = 300
LIMIT_BYTES = 400_000_000  # PSS under any fault
SOURCE = ("--codes", "250", "--rate", str(RATE))


class Chaos:
    """The faults, each as a call; `ingester` starts it with the settings of this test."""

    def __init__(self, setup: Setup, brokers: Brokers) -> None:
        self._setup, self._brokers = setup, brokers
        self._random = Random(MINUTES)

    def start(self) -> None:
        self._setup.start_ingester(INGESTER_SILENCE_S="10")

    def _kill(self) -> None:
        self._setup.kill_ingester()
        self.start()

    def faults(self) -> dict[str, Callable[[], object]]:
        """By name. Every one of them ends by itself within the minute."""
        wire, stream = self._setup.faults, self._random.choice(STREAMS)
        return {
            "close": partial(wire.set, "close", stream=stream, close_code=1012),
            "drop all": partial(wire.set, "drop", count=len(STREAMS)),
            "reset": partial(wire.set, "reset", stream=stream),
            "half-open": partial(wire.set, "half_open", stream=stream),
            "silence": partial(wire.set, "silence", stream=stream, duration=15),
            "refused": lambda: (
                wire.set("handshake", status=429, wait=5, duration=10),
                wire.set("drop", count=len(STREAMS)),
            ),
            "overtaken": partial(wire.set, "reorder", ms=300, duration=20),
            "repeated": partial(wire.set, "duplicate", stream="trade", count=500),
            "burst": partial(wire.set, "burst", rate=5000, duration=3),
            "wrong frames": partial(wire.set, "truncated", stream=stream, count=20),
            "no REST": lambda: (
                wire.set("rest", status=503, duration=20),
                wire.set("drop", stream="trade"),
            ),
            "ingester killed": self._kill,
            "broker killed": lambda: self._brokers.kill(self._brokers.leader(self._setup.topic("trade"))),
            "controller killed": lambda: self._brokers.kill(self._brokers.controller()),
        }

    def order(self) -> list[str]:
        """A fault for each minute: all of them before one comes a second time."""
        names = list(self.faults())
        return [name for _ in range(-(-MINUTES // len(names))) for name in self._random.sample(names, len(names))][
            :MINUTES
        ]


def pss(setup: Setup) -> int:
    assert setup.ingester is not None
    return int(psutil.Process(setup.ingester.pid).memory_full_info().pss)


class TradeKey(msgspec.Struct):
    code: str
    sequential_id: int


class BookKey(msgspec.Struct):
    code: str
    timestamp: int


class TickerKey(msgspec.Struct):
    code: str
    timestamp: int
    acc_trade_volume: Decimal


KEYS = {"trade": TradeKey, "orderbook": BookKey, "ticker": TickerKey}


def in_kafka(setup: Setup, stream: str) -> set[int]:
    """Hashes of the keys; a topic of millions of frames is too much for what `Setup.kept` remembers."""
    decode = msgspec.json.Decoder(KEYS[stream]).decode
    return {hash(msgspec.structs.astuple(decode(record.value()))) for record in setup.records(stream)}


def published(setup: Setup, stream: str) -> Iterator[tuple[int, int]]:
    """(hash of the key, event time in ms) of each event of the ledger."""
    decode = msgspec.json.Decoder(KEYS[stream]).decode
    for entry in ledger.read(setup.folder / "ledger"):
        if entry.stream == stream and entry.kind == "realtime":
            yield hash(msgspec.structs.astuple(decode(entry.frame))), entry.time


def test_a_fault_every_minute_costs_no_trade(setup: Setup) -> None:
    chaos = Chaos(setup, Brokers(setup.home))
    chaos.start()
    memory: list[int] = []
    began = time.monotonic()
    for minute, name in enumerate(chaos.order()):
        print(f"  {time.monotonic() - began:.0f} s: {name}", flush=True)
        chaos.faults()[name]()
        due = began + 60 * (minute + 1)
        until("the minute is over", lambda due=due: memory.append(pss(setup)) or time.monotonic() > due, 120)  # type: ignore[misc, func-returns-value]
    setup.faults.clear()
    setup.let_pass(10)
    until("nothing is fetched any more", lambda: setup.metric("refetch_pending") == 0, SETTLED_S)
    end_ms = setup.clock_ms()
    setup.let_pass(10)
    print(f"  PSS: first {memory[0] >> 20} MiB, last {memory[-1] >> 20}, most {max(memory) >> 20}")
    assert max(memory) <= LIMIT_BYTES
    assert setup.stop_ingester() == 0
    for stream in STREAMS:
        kept, windows = in_kafka(setup, stream), gaps_of(setup, stream)
        events = [(key, ms) for key, ms in published(setup, stream) if ms <= end_ms]
        missing = [ms for key, ms in events if key not in kept]
        print(f"  {stream}: {len(events)} published, {len(kept)} kept, {len(missing)} missing, {len(windows)} gaps")
        if stream == "trade":
            assert missing == []
        else:
            assert [ms for ms in missing if not any(begin - 500 <= ms <= end + 500 for begin, end in windows)] == []
