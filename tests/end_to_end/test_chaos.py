"""A fault every minute at 1,000 frames/s: lake = ledger, but for books and tickers inside recorded gaps."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
import requests

from local.contract import read_streams
from local.home.setting import Setting
from local.parts.exchange import exchange_status
from tests.end_to_end.conftest import (
    WHOLE_LEDGER,
    assert_missing_only_in_gaps,
    assert_no_trade_is_missing,
    wait_until_fresh,
)
from tests.harness import chaos, ingester_metrics, truth
from tests.harness.home import Home
from tests.harness.waiting import until
from tests.integration.brokers import Brokers
from tests.integration.fault_switch import FaultSwitch

pytestmark = [pytest.mark.engines, pytest.mark.nightly]

MARKET = {"EXCHANGE_CODES": "250", "EXCHANGE_RATE": "1000", "EXCHANGE_SEED": "13", **WHOLE_LEDGER}
SETTLED_S = 300


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("chaos"), port_offset=4000, settings=MARKET)
    with home.running("--source", "exchange"):
        yield home


def pending(setting: Setting) -> float:
    """Fetches of trades that the ingester still has before it."""
    text = requests.get(f"{setting.ports.url('ingester')}/metrics", timeout=10).text
    found = ingester_metrics.value(text, "refetch_pending")
    assert found is not None, "the ingester has lost a metric"
    return found


def test_a_fault_every_minute_costs_no_trade(pipeline: Home) -> None:
    setting = pipeline.setting
    wire = FaultSwitch(setting.ports["exchange_admin"], setting.places.data / "ledger")
    topic = next(stream.topic for stream in read_streams(setting.contract) if stream.name == "trade")
    brokers, random = Brokers(pipeline), Random(chaos.MINUTES)
    faults = {
        **chaos.of_the_wire(wire, random),
        "ingester killed": lambda: pipeline.kill_and_wait("ingester"),
        "broker killed": lambda: brokers.kill(brokers.leader(topic)),
        "controller killed": lambda: brokers.kill(brokers.controller()),
        "TaskManager killed": lambda: pipeline.kill_and_wait(random.choice(("taskmanager-1", "taskmanager-2"))),
        "JobManager killed": lambda: pipeline.kill_and_wait("jobmanager"),
    }
    chaos.endure(faults, random, lambda: None)
    wire.clear()
    until("nothing is fetched any more", lambda: pending(setting) == 0, SETTLED_S)
    wait_until_fresh(setting)
    assert_no_trade_is_missing(setting)
    assert_trades_are_exact(setting)
    for stream in ("ticker", "orderbook"):
        assert_missing_only_in_gaps(setting, stream)


def assert_trades_are_exact(setting: Setting) -> None:
    """Each trade in the lake is the ledger's, with price, volume and time to the digit."""
    end_ms = int(exchange_status(setting)["clock_ms"])
    ledger = truth.published(setting.places.data / "ledger")
    lake = truth.lake_of(setting)
    for hour, trades in ledger.trades.items():
        published = {(t.code, t.sequential_id): t for t in trades}
        found = {(t.code, t.sequential_id): t for t in truth.lake_trades(lake, hour) if t.time_ms <= end_ms}
        print(f"  trades of {hour}: {len(published)} published, {len(found)} in the lake")
        other = [t for key, t in found.items() if t != published.get(key) and key not in ledger.initial["trade"]]
        assert not other, other[:5]
