"""Trades and markets that faults of the local exchange make happen or not happen."""

import json
from collections.abc import Callable

from tests.integration.fault_scene import OPTIONS, collect, published, subscribed, until
from tests.integration.local_exchange import (
    Exchange,
    ask,
    everything,
    received,
)
from upbit_exchange.journal import ledger


def test_a_burst_inside_one_millisecond_is_paged_whole_by_cursor(exchange: Exchange) -> None:
    code = exchange.codes()[1]
    with subscribed(exchange):
        exchange.faults.set("same_ms", code=code, trades=600)
        exchange.faults.acted("same_ms")
        exchange.faults.set("no_trades")
    entries = [e for e in ledger.read(exchange.directory) if (e.stream, e.code, e.kind) == ("trade", code, "realtime")]
    by_time: dict[int, list[str]] = {}
    for entry in entries:
        by_time.setdefault(entry.time, []).append(entry.key["sequential_id"])
    (burst,) = (ids for ids in by_time.values() if len(ids) >= 600)
    found: list[int] = []
    page = exchange.json(f"/v1/trades/ticks?market={code}&count=500")
    while page:
        found += [trade["sequential_id"] for trade in page]
        page = exchange.json(f"/v1/trades/ticks?market={code}&count=500&cursor={found[-1]}")
    assert {int(number) for number in burst} <= set(found)
    assert len(set(found)) == len(found)


def test_twins_share_their_id(exchange: Exchange) -> None:
    with subscribed(exchange):
        exchange.faults.set("twin", count=3, every=0.05)
        exchange.faults.acted("twin", 3)
    codes: dict[str, set[str]] = {}
    for entry in ledger.read(exchange.directory):
        if (entry.stream, entry.kind) == ("trade", "realtime"):
            codes.setdefault(entry.key["sequential_id"], set()).add(entry.code)
    assert len([shared for shared in codes.values() if len(shared) == 2]) == 3


def test_a_burst_arrives_whole(exchange: Exchange) -> None:
    with subscribed(exchange) as client:
        exchange.faults.set("burst", rate=2000, duration=1)
        frames = collect(client, lambda _: not exchange.faults.listed())
        made = exchange.faults.counts()["burst"]
        mark = len(published(exchange))
        frames += collect(client, lambda more: len(frames) + len(more) > mark)
    assert 0 < made <= 2000  # the rate itself is a unit test's: a busy machine may miss the end of the second
    written = published(exchange)
    begin = written.index(frames[0])
    assert frames == written[begin : begin + len(frames)]


def test_listing_and_delisting_while_it_runs_and_after_a_restart(
    exchange: Exchange, start: Callable[..., Exchange]
) -> None:
    gone = exchange.codes()[1]
    with subscribed(exchange) as client:
        exchange.faults.set("list", code="KRW-NEW")
        exchange.faults.set("delist", code=gone)
        assert exchange.codes() == [*[code for code in Exchange.codes(exchange) if code != "KRW-NEW"], "KRW-NEW"]
        assert gone not in exchange.codes()
        assert exchange.http(f"/v1/trades/ticks?market={gone}")[0] == 404
        ask(client, *everything([*exchange.codes(), gone]))
        until(client, lambda frame: b'"KRW-NEW"' in frame and b"SNAPSHOT" in frame)
        frames = until(
            client, lambda frame: b'"KRW-NEW"' in frame and b'"type":"trade"' in frame and b"REALTIME" in frame
        )
        assert not [frame for frame in frames if gone.encode() in frame]
        assert exchange.json("/v1/trades/ticks?market=KRW-NEW")
        assert exchange.http("/_local/faults?set=list&code=KRW-NEW")[0] == 400
    exchange.end()
    again = start(*OPTIONS)
    assert "KRW-NEW" in again.codes()
    assert again.status()["entries"] == len(list(ledger.read(again.directory)))


def test_nothing_is_traded_and_books_go_on(exchange: Exchange) -> None:
    with subscribed(exchange) as client:
        exchange.faults.set("no_trades")
        exchange.faults.acted("no_trades")
        until(client, lambda frame: json.loads(frame)["timestamp"] > exchange.status()["clock_ms"] - 50)
        assert {json.loads(frame)["type"] for frame in received(client, 150)} == {"ticker", "orderbook"}
