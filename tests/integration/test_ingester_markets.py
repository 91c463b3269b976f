"""Listings and delistings while the ingester runs: followed on the sockets that are open, and nothing is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests

from tests.harness.truth import Key
from tests.harness.waiting import until
from tests.integration.ingester_setup import STREAMS, Setup, gaps_of

pytestmark = pytest.mark.engines


class MarketList:
    """REST of the exchange, but for the market list, which is the test's."""

    def __init__(self, exchange_port: int) -> None:
        url = f"http://127.0.0.1:{exchange_port}"
        self.all: list[str] = [market["market"] for market in requests.get(f"{url}/v1/market/all", timeout=5).json()]
        self.listed = self.all
        markets = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/v1/market/all"):
                    status, body = 200, json.dumps([{"market": code} for code in markets.listed]).encode()
                else:
                    answer = requests.get(f"{url}{self.path}", timeout=10)
                    status, body = answer.status_code, answer.content
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


SOURCE = ("--codes", "12", "--rate", "600")


@pytest.fixture
def markets(setup: Setup) -> Iterator[MarketList]:
    markets = MarketList(setup.exchange_port)
    try:
        yield markets
    finally:
        markets.close()


def subscriptions(setup: Setup) -> int:
    """How often the running sockets have replaced their codes."""
    return (setup.folder / "ingester.log").read_text().count("codes instead")


def keys_of(setup: Setup, stream: str, codes: list[str]) -> set[Key]:
    return {key for key in setup.kept(stream).values if key[0] in codes}


@pytest.mark.parametrize("redundancy", ["1", pytest.param("2", marks=pytest.mark.nightly)])
def test_listings_and_delistings_are_followed_without_a_loss(
    setup: Setup, markets: MarketList, redundancy: str
) -> None:
    always, new, gone = markets.all[:8], markets.all[8:10], markets.all[10]
    markets.listed = [*always, gone]
    setup.start_ingester(UPBIT_REST_URL=markets.url, UPBIT_MARKETS_REFRESH_S="1", UPBIT_REDUNDANCY=redundancy)
    until("some trades", lambda: setup.metric("received_total", "trade") > 200, 60, 0.2)
    markets.listed, listed_ms = [*always, gone, *new], int(time.time() * 1000)
    sockets = 3 * int(redundancy)
    until("every socket has the new codes", lambda: subscriptions(setup) == sockets, 60, 0.5)
    markets.listed = [*always, *new]
    until("every socket has lost the old one", lambda: subscriptions(setup) == 2 * sockets, 60, 0.5)
    until("nothing is fetched any more", lambda: setup.metric("refetch_pending") == 0, 60, 0.5)
    received = setup.metric("received_total", "trade")
    until("it goes on", lambda: setup.metric("received_total", "trade") > received + 200, 60, 0.5)
    assert setup.metric("markets") == 10
    metrics = setup.get("/metrics")[1]
    assert "reconnects_total{" not in metrics, "a socket was lost"
    assert 'market_changes_total{kind="listed"} 2.0' in metrics
    assert 'market_changes_total{kind="delisted"} 1.0' in metrics
    assert setup.stop_ingester() == 0
    for stream in STREAMS:
        kept = setup.kept(stream)
        published = list(setup.published(stream))
        old = {key for key in kept.values if key[0] in always}
        first, last = (edge(published.index(key) for key in old) for edge in (min, max))
        assert {key for key in published[first : last + 1] if key[0] in always} == old, stream
        assert gaps_of(setup, stream) == []
    trades = list(setup.published("trade"))
    kept_trades = setup.kept("trade").values.keys()
    last = max(trades.index(key) for key in kept_trades)
    of_new = {key for key in trades[: last + 1] if key[0] in new and key[1] >= listed_ms * 10_000}
    assert len(of_new) > 20
    assert of_new - kept_trades == set()
    of_gone = [key for key in trades if key[0] == gone]
    assert 0 < len([key for key in of_gone if key in kept_trades]) < len(of_gone)
