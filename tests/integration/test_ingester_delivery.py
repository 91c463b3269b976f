"""The ingester between the local exchange and real brokers: what the ledger holds Kafka holds, whatever dies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.home import Home
from tests.harness.waiting import until
from tests.integration.brokers import Brokers
from tests.integration.ingester_invariants import segments
from tests.integration.ingester_setup import (
    REPOSITORY,
    STREAMS,
    Setup,
    assert_bytes_are_the_exchanges,
    assert_missing_only_in_gaps,
    gaps_of,
    wait_for_every_trade,
)
from upbit_exchange.market import listing
from upbit_exchange.market.market import LocalMarket
from upbit_exchange.wire import spelling

pytestmark = pytest.mark.engines
SOURCE = ("--codes", "20", "--rate", "300")


@pytest.mark.parametrize("setup", [pytest.param(("--rate", "1500"), id="1500")], indirect=True)
def test_kill_9_in_a_burst_loses_no_trade(setup: Setup) -> None:
    for _ in range(3):
        setup.start_ingester()
        until("a few hundred trades", lambda: setup.metric("received_total", "trade") > 400, 60, 0.2)
        setup.kill_ingester()
    setup.start_ingester()
    kept = wait_for_every_trade(setup)
    assert kept.sources == {"ws", "rest"}, "no trade was missed: the test proves nothing of the refetch"
    assert kept.null_keys == 0
    assert setup.stop_ingester() == 0
    assert segments(setup) == []
    for stream in ("ticker", "orderbook"):
        assert_missing_only_in_gaps(setup, stream)
        assert_bytes_are_the_exchanges(setup, stream)
    assert list(setup.records("dead-letter")) == []


def record(path: Path) -> int:
    """Write three seconds of a small market in 2021; how many frames."""
    began = 1_618_678_272_000
    market = LocalMarket(listing.markets(3), 100, 1, began, spelling.dotted)
    frames = [event.frame for event in market.take(began + 3000, 10**6)]
    path.write_bytes(b"\n".join(frames))
    return len(frames)


def test_a_recording_that_has_ended_stays_quiet(kafka: Home, tmp_path: Path) -> None:
    """Hours close when no record has come for a while: SNAPSHOTs of ever new connections must not be records."""
    count = record(tmp_path / "recorded.jsonl")
    setup = Setup(kafka, tmp_path, "--replay", str(tmp_path / "recorded.jsonl"), "--speed", "10")
    try:
        setup.start_ingester(INGESTER_SILENCE_S="1")
        until("the recording has ended", setup.ended, 30)
        until("a silence of each stream", lambda: setup.silences() >= 1, 30, every_s=0.5)
        until("all is delivered", lambda: setup.metric("spool_records") == 0, 30, every_s=0.2)
        frames = {stream: len(list(setup.records(stream))) for stream in STREAMS}
        assert sum(frames.values()) >= count
        silences = setup.silences()
        until("three silences later", lambda: setup.silences() >= silences + 3, 60, every_s=0.5)
        assert setup.stop_ingester() == 0
        assert {stream: len(list(setup.records(stream))) for stream in STREAMS} == frames
        assert [gaps_of(setup, stream) for stream in STREAMS] == [[], [], []]
    finally:
        setup.close()


@pytest.mark.nightly
def test_sigterm_without_brokers_keeps_what_is_undelivered(setup: Setup) -> None:
    setup.start_ingester()
    until("frames are acknowledged", lambda: setup.metric("acknowledged_total", "trade") > 50, 60, 0.5)
    brokers = Brokers(setup.home)
    brokers.stop()
    until("records wait", lambda: setup.metric("spool_records") > 500, 60, 0.5)
    assert setup.stop_ingester() == 1
    assert segments(setup) != []
    setup.start_ingester()
    brokers.start()
    wait_for_every_trade(setup)
    assert setup.stop_ingester() == 0
    assert_missing_only_in_gaps(setup, "ticker")


@pytest.mark.nightly
def test_a_deleted_topic_stops_its_own_stream_only(setup: Setup) -> None:
    setup.start_ingester()
    until("trades are acknowledged", lambda: setup.metric("acknowledged_total", "trade") > 50, 60, 0.5)
    admin = setup.home.kafka_admin
    for deleted in admin.delete_topics([setup.topic("trade")]).values():
        deleted.result()
    waiting = setup.metric("acknowledged_total", "ticker")
    until("trades wait in the spool", lambda: setup.metric("spool_records") > 300, 120)
    until("tickers go on", lambda: setup.metric("acknowledged_total", "ticker") > waiting + 100, 60)
    assert setup.get("/livez")[0] == 200
    setup.create_topics("trade")
    wait_for_every_trade(setup)
    assert setup.stop_ingester() == 0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("UPBIT_STREAMS", "candle", "upbit_ingester: UPBIT_STREAMS: unknown stream 'candle'"),
        ("UPBIT_CODE", "KRW-BTC", "upbit_ingester: UPBIT_CODE: unknown setting; did you mean UPBIT_CODES?"),
    ],
)
def test_nonsense_ends_with_one_line_and_exit_code_2(tmp_path: Path, name: str, value: str, message: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "ingester"), name: value}
    environment |= {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "INGESTER_SPOOL_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "upbit_ingester"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
