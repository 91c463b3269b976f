"""Brokers are killed, frozen and away while the ingester carries the exchange (K1-K4, K7, I4): nothing is missed.

The socket never stands still, so not one frame may be missing, no gap be open and no trade be fetched again.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.home import Home
from tests.harness.waiting import until
from tests.integration.brokers import Brokers
from tests.integration.ingester_invariants import assert_nothing_was_missed
from tests.integration.ingester_setup import Setup

pytestmark = pytest.mark.engines

FROZEN_S = 30
NOTICED_S = 3  # what was on its way to the brokers has been answered by then
SOURCE = ("--codes", "20", "--rate", "300")


@pytest.fixture
def brokers(kafka: Home) -> Iterator[Brokers]:
    brokers = Brokers(kafka)
    yield brokers
    brokers.start()


def acknowledged(setup: Setup) -> float:
    return sum(setup.metric("acknowledged_total", stream) for stream in ("ticker", "trade", "orderbook"))


def wait_until_all_is_acknowledged(setup: Setup) -> None:
    before = acknowledged(setup)
    until("frames are acknowledged", lambda: acknowledged(setup) > before + 300, 120, 0.5)


def follower(leader: str) -> str:
    return next(name for name in ("kafka-1", "kafka-2", "kafka-3") if name != leader)


@pytest.mark.nightly
@pytest.mark.parametrize("victim", ["K1-leader", "K3-controller"])
def test_a_killed_broker_costs_nothing(setup: Setup, brokers: Brokers, victim: str) -> None:
    setup.start_ingester()
    wait_until_all_is_acknowledged(setup)
    name = brokers.leader(setup.topic("trade")) if victim == "K1-leader" else brokers.controller()
    brokers.kill(name)
    wait_until_all_is_acknowledged(setup)
    until("every replica is in sync again", lambda: brokers.in_sync(setup.topic("trade")), 120)
    assert_nothing_was_missed(setup)


@pytest.mark.parametrize("seconds", [pytest.param(10, id="K2"), pytest.param(400, id="I4", marks=pytest.mark.nightly)])
def test_an_outage_of_all_brokers_is_spooled_and_delivered(setup: Setup, brokers: Brokers, seconds: int) -> None:
    setup.start_ingester()
    wait_until_all_is_acknowledged(setup)
    brokers.stop()
    setup.let_pass(seconds)
    assert setup.get("/livez")[0] == 200
    assert setup.metric("spool_records") > 200 * seconds
    brokers.start()
    assert_nothing_was_missed(setup)


@pytest.mark.nightly
def test_a_frozen_leader_costs_nothing_and_no_order(setup: Setup, brokers: Brokers) -> None:
    setup.start_ingester()
    wait_until_all_is_acknowledged(setup)
    with brokers.frozen(brokers.leader(setup.topic("trade"))):
        setup.let_pass(FROZEN_S)
    wait_until_all_is_acknowledged(setup)
    assert_nothing_was_missed(setup)


@pytest.mark.nightly
def test_one_broker_alone_acknowledges_nothing(setup: Setup, brokers: Brokers) -> None:
    setup.start_ingester()
    wait_until_all_is_acknowledged(setup)
    alone = brokers.leader(setup.topic("trade"))
    away = [name for name in ("kafka-1", "kafka-2", "kafka-3") if name != alone]
    brokers.stop(*away)
    setup.let_pass(NOTICED_S)
    before = acknowledged(setup)
    setup.let_pass(FROZEN_S)
    assert acknowledged(setup) == before, "one replica was enough"
    assert setup.metric("spool_records") > 200 * FROZEN_S
    brokers.start(*away)
    assert_nothing_was_missed(setup)
