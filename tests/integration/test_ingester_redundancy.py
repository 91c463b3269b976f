"""Two sockets a stream: reconnects that lose nothing, and no request of REST in their stead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import pytest

from tests.harness.truth import Key
from tests.harness.waiting import until
from tests.integration.ingester_setup import (
    STREAMS,
    Setup,
    assert_bytes_are_the_exchanges,
    gaps_of,
    wait_for_every_trade,
)
from tests.integration.tcp_proxy import Proxy

pytestmark = pytest.mark.engines

CODES = 20
RECONNECTS = 20
SOURCE = ("--codes", str(CODES), "--rate", "1500")


@pytest.fixture
def proxy(setup: Setup) -> Iterator[Proxy]:
    proxy = Proxy(setup.exchange_port)
    try:
        yield proxy
    finally:
        proxy.close()


def snapshots(setup: Setup) -> int:
    return int(sum(setup.metric("snapshots_total", stream) for stream in STREAMS))


def both_carry(setup: Setup, subscriptions: int) -> bool:
    """Six sockets are open and each code's SNAPSHOT has come once for each of `subscriptions`."""
    connected = [setup.metric("connected", stream) for stream in STREAMS]
    return connected == [2, 2, 2] and snapshots(setup) == subscriptions * CODES


def requests_of_rest(setup: Setup) -> int:
    """Answers of REST of whatever status."""
    return int(sum(map(float, re.findall(r"_rest_requests_total\{.*\} (\S+)", setup.get("/metrics")[1]))))


def between(keys: set[Key], published: dict[Key, bytes]) -> set[Key]:
    """What was published while `keys` were received: behind the first of each code, not behind the last."""
    places = {key: place for place, key in enumerate(published)}
    first = max(min(places[key] for key in keys if key[0] == code) for code in {key[0] for key in keys})
    last = max(places[key] for key in keys)
    return {key for key, place in places.items() if first < place <= last}


def test_twenty_reconnects_under_load_lose_nothing_and_ask_rest_for_nothing(setup: Setup, proxy: Proxy) -> None:
    url = f"ws://127.0.0.1:{proxy.port}/websocket/v1"
    setup.start_ingester(UPBIT_WEBSOCKET_URL=url, UPBIT_REDUNDANCY="2")
    until("both sockets of each stream carry it", lambda: both_carry(setup, 6), 60, 0.2)
    listed = requests_of_rest(setup)
    for cut in range(1, RECONNECTS + 1):
        proxy.cut_oldest()
        until(f"reconnect {cut}", partial(both_carry, setup, 6 + cut), 60, 0.1)
    until("both bring the same", lambda: min(setup.metric("duplicates_total", stream) for stream in STREAMS) > 500, 60)
    wait_for_every_trade(setup)
    until("nothing is pending", lambda: sum(setup.metric("open_gaps", stream) for stream in STREAMS) == 0, 20)
    assert (requests_of_rest(setup), setup.metric("refetched_trades_total")) == (listed, 0)
    assert setup.stop_ingester() == 0
    for stream in STREAMS:
        kept = setup.kept(stream)
        assert kept.sources == {"ws"}
        assert between(set(kept.values), setup.published(stream)) - kept.values.keys() == set(), stream
        assert_bytes_are_the_exchanges(setup, stream)
        assert gaps_of(setup, stream) == []
    assert list(setup.records("dead-letter")) == []
