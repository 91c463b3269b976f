"""A fault every minute at 5,000 frames/s: Kafka = ledger by key, but for books and tickers inside recorded gaps."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from random import Random

import msgspec
import psutil
import pytest

from tests import chaos
from tests.integration.brokers import Brokers
from tests.integration.ingester_setup import STREAMS, Setup, gaps_of
from tests.waiting import until
from upbit_exchange import ledger

pytestmark = [pytest.mark.engines, pytest.mark.nightly]

RATE = 5000
SETTLED_S = 300
LIMIT_BYTES = 400_000_000  # PSS under any fault
SOURCE = ("--codes", "250", "--rate", str(RATE))


def start(setup: Setup) -> None:
    """The ingester with the settings of this test."""
    setup.start_ingester(INGESTER_SILENCE_S="10")


def kill(setup: Setup) -> None:
    setup.kill_ingester()
    start(setup)


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
    brokers, random = Brokers(setup.home), Random(chaos.MINUTES)
    faults = {
        **chaos.of_the_wire(setup.faults, random),
        "ingester killed": lambda: kill(setup),
        "broker killed": lambda: brokers.kill(brokers.leader(setup.topic("trade"))),
        "controller killed": lambda: brokers.kill(brokers.controller()),
    }
    memory: list[int] = []
    start(setup)
    chaos.endure(faults, random, lambda: memory.append(pss(setup)))
    setup.faults.clear()
    setup.let_pass(10)
    until("nothing is fetched any more", lambda: setup.metric("refetch_pending") == 0, SETTLED_S)
    end_ms = setup.clock_ms()
    setup.let_pass(10)
    print(f"  PSS every minute, MiB: {[size >> 20 for size in memory[::60]]}, most {max(memory) >> 20}")
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
