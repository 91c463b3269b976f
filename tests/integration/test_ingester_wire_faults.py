"""What the wire does to the ingester (W1-W10): no trade is lost, the rest lies in Kafka or inside a recorded gap."""

from __future__ import annotations

import itertools
import time
from functools import partial

import pytest

from tests.harness.waiting import until
from tests.integration.ingester_setup import (
    STREAMS,
    Setup,
    assert_bytes_are_the_exchanges,
    assert_missing_only_in_gaps,
    gaps_of,
    wait_for_every_trade,
)
from upbit_exchange.faults import catalogue
from upbit_exchange.faults.mangle import mangled
from upbit_exchange.journal import ledger
from upbit_exchange.wire.names import Event

pytestmark = pytest.mark.engines

SOURCE = ("--codes", "20", "--rate", "600")


def received(setup: Setup) -> list[float]:
    return [setup.metric("received_total", stream) for stream in STREAMS]


def wait_for_data(setup: Setup) -> None:
    """Every stream brings frames from now on."""
    before = received(setup)
    until("every stream brings data", lambda: all(map(float.__lt__, before, received(setup))), 90, 0.1)


def assert_nothing_is_lost(setup: Setup) -> None:
    """Every trade is in Kafka, the rest too or inside a gap; all of it as it was sent (the ingester is stopped)."""
    received = setup.metric("received_total", "trade")
    until("enough trades to prove something", lambda: setup.metric("received_total", "trade") > received + 200, 60, 0.2)
    kept = wait_for_every_trade(setup)
    assert kept.null_keys == 0
    assert setup.get("/livez")[0] == 200
    assert setup.stop_ingester() == 0
    for stream in ("ticker", "orderbook"):
        assert_missing_only_in_gaps(setup, stream)
        assert_bytes_are_the_exchanges(setup, stream)
    if kept.sources == {"ws"}:  # REST spells numbers in its own way
        assert_bytes_are_the_exchanges(setup, "trade")


LOSSES: dict[str, tuple[str, dict[str, int]]] = {
    "close_1000": ("error_close", {}),
    "close_1001": ("close", {"close_code": 1001}),
    "close_1011": ("close", {"close_code": 1011}),
    "close_1012": ("close", {"close_code": 1012}),
    "close_1006": ("drop", {}),
    "connect": ("reset", {}),
    "silence": ("half_open", {}),
}


def test_w1_every_way_to_lose_a_socket_heals_and_what_it_cost_is_recorded(setup: Setup) -> None:
    setup.start_ingester(INGESTER_SILENCE_S="3")
    for cause, (fault, options) in LOSSES.items():
        wait_for_data(setup)
        began = time.monotonic()
        lost = "close_1006" if cause == "connect" else cause  # the library reports a reset as a loss without a close
        before = setup.losses(lost)
        for stream in STREAMS:
            setup.faults.set(fault, stream=stream, **options)
        until(f"{cause}: the sockets are lost", partial(lambda a, b: setup.losses(a) > b, lost, before), 30, 0.05)
        wait_for_data(setup)
        print(f"  {cause}: {time.monotonic() - began:.1f} s until every stream brought data again")
    assert [sum(1 for _ in gaps_of(setup, stream)) > 0 for stream in STREAMS] == [True] * 3
    assert_nothing_is_lost(setup)


@pytest.mark.parametrize("url", ["wss://127.0.0.1:{port}/websocket/v1", "wss://no-such-host.invalid/websocket/v1"])
def test_w1_an_exchange_that_cannot_be_reached_is_tried_for_ever(setup: Setup, url: str) -> None:
    """TLS that fails, a name that does not resolve."""
    setup.launch_ingester(UPBIT_WEBSOCKET_URL=url.format(port=setup.exchange_port))
    until("three tries of each stream", lambda: setup.losses("connect") >= 3, 90, 0.5)
    assert setup.get("/livez")[0] == 200
    assert setup.get("/readyz")[0] == 503
    assert setup.stop_ingester() == 0


@pytest.mark.parametrize("seconds", [20, pytest.param(600, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("setup", [("--rate-limit", "true")], indirect=True)
def test_w2_a_server_that_drops_every_two_seconds_is_not_stormed(setup: Setup, seconds: int) -> None:
    setup.start_ingester()
    setup.faults.set("drop", count=0, every=2, duration=seconds)
    until("the dropping is over", lambda: setup.fault_acts("drop") and not setup.faults.listed(), seconds + 30, 0.5)
    assert len(setup.fault_acts("drop")) >= seconds // 4
    assert 'cause="handshake_4' not in setup.get("/metrics")[1], "the exchange had to refuse connects"
    assert_nothing_is_lost(setup)


@pytest.mark.parametrize(("status", "stated"), [pytest.param(429, "header", marks=pytest.mark.nightly), (418, "body")])
def test_w3_a_refusal_is_obeyed_for_the_time_that_it_states(setup: Setup, status: int, stated: str) -> None:
    wait_s = 6
    setup.start_ingester()
    setup.faults.set("handshake", status=status, wait=wait_s, stated=stated)
    setup.faults.set("drop", count=3)
    until("handshakes are refused", lambda: len(setup.fault_acts("handshake")) >= 4, 60, 0.2)
    refused = setup.fault_acts("handshake")
    # Handshakes that were under way when the first refusal came belong to it.
    tries = [list(group) for _, group in itertools.groupby(refused, lambda ms: (ms - refused[0]) // (wait_s * 500))]
    assert all(later[0] - earlier[0] >= wait_s * 1000 - 50 for earlier, later in itertools.pairwise(tries)), refused
    assert all(len(group) <= len(STREAMS) for group in tries), refused
    setup.faults.clear("handshake")
    wait_for_data(setup)
    assert_nothing_is_lost(setup)


def test_w4_a_stream_that_falls_silent_is_connected_to_again(setup: Setup) -> None:
    setup.start_ingester(INGESTER_SILENCE_S="3")
    for stream in STREAMS:
        setup.faults.set("silence", stream=stream)
    until("each stream was given up twice", lambda: setup.silences() >= 2, 60, 0.5)
    setup.faults.clear()
    kept = wait_for_every_trade(setup)
    assert kept.sources == {"ws", "rest"}
    assert_nothing_is_lost(setup)


def test_w4_a_silence_that_ends_by_itself_costs_no_trade_and_no_socket(setup: Setup) -> None:
    setup.start_ingester()
    for stream in STREAMS:
        setup.faults.set("silence", stream=stream, duration=8)
    until("it is over", lambda: setup.fault_acts("silence") and not setup.faults.listed(), 30, 0.2)
    kept = wait_for_every_trade(setup)
    assert kept.sources == {"ws", "rest"}
    assert [len(gaps_of(setup, stream)) for stream in STREAMS] == [1, 1, 1]
    assert "reconnects_total{" not in setup.get("/metrics")[1]
    assert_nothing_is_lost(setup)


QUARANTINED = (
    "bad_json",
    "bad_utf8",
    "truncated",
    "empty",
    "nan",
    "huge_number",
    "duplicate_keys",
    "deep",
    "unknown_type",
    "big",
    "string_number",
)
# Times each fault acts on each stream. A refused frame that repeats its neighbour is one dead letter.
EACH = {name: 1 if name == "empty" else 3 for name in (*QUARANTINED, "removed", "null")}

# What no frame of a stream can be without.
FIELDS = {"trade": "sequential_id", "ticker": "timestamp", "orderbook": "orderbook_units"}


def test_w5_w7_wrong_frames_are_quarantined_with_their_bytes_and_nothing_else_is(setup: Setup) -> None:
    setup.start_ingester()
    for name, stream in itertools.product(QUARANTINED, STREAMS):
        setup.faults.set(name, stream=stream, count=EACH[name])
    for stream, field in FIELDS.items():
        for name in ("removed", "null"):
            setup.faults.set(name, stream=stream, field=field, count=EACH[name])
    until("all of them have acted", lambda: not setup.faults.listed(), 60, 0.2)
    wanted = sum(EACH.values()) * len(STREAMS)
    until("all are quarantined", lambda: total(setup, "dead_lettered_total") >= wanted, 60, 0.5)
    assert "reconnects_total{" not in setup.get("/metrics")[1], "a bad frame cost a socket"
    assert_nothing_is_lost(setup)
    letters = list(setup.records("dead-letter"))
    assert len(letters) == wanted
    assert all(dict(letter.headers())["reason"] for letter in letters)
    bodies = {bytes(letter.value() or b"") for letter in letters}
    assert bodies == made_of_the_ledger(setup, bodies)


def total(setup: Setup, name: str) -> float:
    return sum(setup.metric(name, stream) for stream in STREAMS)


def made_of_the_ledger(setup: Setup, bodies: set[bytes]) -> set[bytes]:
    """Those of `bodies` that one of the faults makes of an event of the ledger."""
    found = set()
    for entry in ledger.read(setup.folder / "ledger"):
        event = Event(entry.stream, entry.code, entry.key, entry.time, bytes(entry.frame))
        for name in EACH:
            field = {"field": FIELDS[entry.stream]} if name in ("removed", "null") else {}
            extra = mangled(event, catalogue.order({"set": name, **field}, [entry.code]))
            if extra is not None and extra.payload in bodies:
                found.add(extra.payload)
    return found


def test_w6_w7_odd_frames_are_kept_as_they_are_and_error_frames_are_no_data(setup: Setup) -> None:
    setup.start_ingester()
    for name in ("extra_field", "korean", "exponents", "zeros", "microseconds", "padded", "empty_side", "text"):
        setup.faults.set(name, count=20)
    for name in ("delisting_string", "delisting_object", "removed", "null"):
        setup.faults.set(name, count=5)
    for stream in STREAMS:
        setup.faults.set("error_frame", stream=stream, count=2)
    until("all of them have acted", lambda: not setup.faults.listed(), 60, 0.2)
    until("error frames are counted", lambda: total(setup, "error_frames_total") == 6, 30, 0.2)
    metrics = setup.get("/metrics")[1]
    assert 'unknown_fields_total{field="new_field"' in metrics
    assert "reconnects_total{" not in metrics
    assert_nothing_is_lost(setup)
    assert list(setup.records("dead-letter")) == []


def test_w8_a_frame_that_is_too_large_or_broken_costs_its_socket_only(setup: Setup) -> None:
    setup.start_ingester()
    setup.faults.set("fragments", pieces=3)
    wait_for_data(setup)
    assert "reconnects_total{" not in setup.get("/metrics")[1]
    setup.faults.clear("fragments")
    setup.faults.set("big", bytes=16 << 20, stream="trade", count=1)
    until("the guard closed it", lambda: 'cause="close_1009",stream="trade"' in setup.get("/metrics")[1], 30, 0.2)
    wait_for_data(setup)
    setup.faults.set("bad_deflate", stream="trade", count=1)
    until("so did this", lambda: 'cause="close_1002",stream="trade"' in setup.get("/metrics")[1], 30, 0.2)
    wait_for_data(setup)
    assert_nothing_is_lost(setup)


HOUR_MS = 3_600_000


def test_w9_w10_repeated_late_and_overtaken_trades_all_arrive(setup: Setup) -> None:
    setup.start_ingester()
    setup.faults.set("duplicate", stream="trade", copies=2, count=50)
    setup.faults.set("reorder", ms=1000, duration=10)
    for late_ms in (600_000, 2 * HOUR_MS):
        setup.faults.set("late", ms=late_ms, count=10)
    setup.faults.set("hold", stream="trade", ms=5000, count=10)
    setup.faults.set("skew", ms=HOUR_MS, stream="trade", count=3)
    setup.faults.set("burst", rate=5000, duration=2)
    until("all of them are over", lambda: not setup.faults.listed(), 60, 0.5)
    setup.faults.set("drop", count=3)
    wait_for_data(setup)
    assert_nothing_is_lost(setup)
