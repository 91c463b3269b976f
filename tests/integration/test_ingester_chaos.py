"""Half an hour at 5,000 frames/s: Kafka = ledger by key, with a fault every minute but for what lies inside gaps."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from random import Random
from statistics import median

import msgspec
import psutil
import pytest

from tests.harness import chaos, recorded_gaps
from tests.harness.waiting import until
from tests.integration.brokers import Brokers
from tests.integration.ingester_setup import STREAMS, Setup, gaps_of
from upbit_exchange.journal import ledger

pytestmark = [pytest.mark.engines, pytest.mark.nightly]

RATE = 5000
SETTLED_S = 300
LIMIT_BYTES = 400_000_000  # PSS under any fault
CALM_BYTES = 150_000_000  # and without one
FLAT = 1.05  # the last third of the time to the one before
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


def settled_ms(setup: Setup) -> int:
    """The exchange's time when nothing is fetched by REST any more; ten seconds later the ingester has ended."""
    setup.let_pass(10)
    until("nothing is fetched any more", lambda: setup.metric("refetch_pending") == 0, SETTLED_S)
    end_ms = setup.clock_ms()
    setup.let_pass(10)
    assert setup.stop_ingester() == 0
    return end_ms


def missing(setup: Setup, stream: str, end_ms: int) -> list[int]:
    """The times (ms) of what was published until `end_ms` and is not in Kafka."""
    kept = in_kafka(setup, stream)
    events = [(key, ms) for key, ms in published(setup, stream) if ms <= end_ms]
    absent = [ms for key, ms in events if key not in kept]
    print(f"  {stream}: {len(events)} published, {len(kept)} kept, {len(absent)} missing")
    return absent


def report_memory(samples: list[int]) -> None:
    print(f"  PSS every minute, MiB: {[size >> 20 for size in samples[::60]]}, most {max(samples) >> 20}")


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
    end_ms = settled_ms(setup)
    report_memory(memory)
    assert max(memory) <= LIMIT_BYTES
    assert missing(setup, "trade", end_ms) == []
    for stream in ("ticker", "orderbook"):
        gaps = gaps_of(setup, stream)
        assert [ms for ms in missing(setup, stream, end_ms) if not recorded_gaps.cover(gaps, ms)] == [], gaps


def test_without_a_fault_memory_is_flat_and_nothing_is_missed(setup: Setup) -> None:
    memory: list[int] = []
    start(setup)
    began_ms = setup.clock_ms()
    chaos.endure({"nothing": lambda: None}, Random(0), lambda: memory.append(pss(setup)))
    end_ms = settled_ms(setup)
    report_memory(memory)
    assert max(memory) <= CALM_BYTES
    settled = memory[len(memory) // 3 :]
    half = len(settled) // 2
    assert median(settled[half:]) <= FLAT * median(settled[:half])
    for stream in STREAMS:
        assert [ms for ms in missing(setup, stream, end_ms) if ms >= began_ms] == []
        assert gaps_of(setup, stream) == []
