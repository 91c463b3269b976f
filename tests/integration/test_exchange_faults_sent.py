"""Frames of the local exchange that are kept back, altered or wrong, as a client sees them."""

import json

import pytest

from tests.integration import fault_scene
from tests.integration.fault_scene import collect, ended, published, subscribed, until
from tests.integration.local_exchange import (
    STREAMS,
    Exchange,
    ask,
    awaited,
    everything,
    received,
    silent,
    socket_to,
)
from upbit_exchange.faults.catalogue import KINDS
from upbit_exchange.journal import ledger

OPTIONS = fault_scene.OPTIONS

# --- delivery ---------------------------------------------------------------------------------------------------------


def test_silence_of_a_code_of_a_stream_of_all_and_pings_are_answered(exchange: Exchange) -> None:
    btc = exchange.codes()[0].encode()
    with subscribed(exchange) as client:
        exchange.faults.set("silence", code=btc.decode(), duration=3600)
        exchange.faults.acted("silence")
        exchange.faults.set("silence", stream="orderbook")
        exchange.faults.acted("silence", exchange.faults.counts()["silence"] + 5)
        mark = len(published(exchange))
        received(client, 60)  # of before
        quiet = received(client, 60)
        assert not [frame for frame in quiet if b'"orderbook"' in frame or b'"code":"%s"' % btc in frame]
        exchange.faults.set("silence")
        awaited(lambda: silent(client))
        assert client.ping().wait(5)
        awaited(lambda: len(published(exchange)) > mark + 300)
        exchange.faults.clear("silence")
        received(client, 50)


def test_a_gap_is_in_the_ledger_and_in_rest_and_the_log_says_what_was_not_sent(exchange: Exchange) -> None:
    code = exchange.codes()[0]
    with socket_to(exchange) as client:
        ask(client, {"type": "trade", "codes": [code], "is_only_realtime": True})
        received(client, 5)
        exchange.faults.set("gap", stream="trade", code=code, count=7)
        exchange.faults.acted("gap", 7)
        missing = {act["what"].split()[-1] for act in exchange.faults.log() if act["what"].startswith("trade ")}
        newest = max(missing)
        frames = until(client, lambda frame: str(json.loads(frame)["sequential_id"]) > newest)
    seen = {str(json.loads(frame)["sequential_id"]) for frame in frames}
    assert len(missing) == 7
    assert not missing & seen
    written = {e.key["sequential_id"] for e in ledger.read(exchange.directory) if e.stream == "trade"}
    served = {str(trade["sequential_id"]) for trade in exchange.json(f"/v1/trades/ticks?market={code}&count=500")}
    assert missing <= written
    assert missing <= served


def test_duplicates_and_overtaken_trades_all_arrive_and_the_ledger_has_each_once(exchange: Exchange) -> None:
    codes = exchange.codes()
    with socket_to(exchange) as client:
        ask(client, {"type": "trade", "codes": codes, "is_only_realtime": True})
        received(client, 1)
        exchange.faults.set("duplicate", stream="trade")
        exchange.faults.set("reorder", ms=300)
        exchange.faults.acted("duplicate", 40)
        exchange.faults.acted("reorder", 20)
        exchange.faults.clear("all")
        exchange.faults.set("hold", stream="trade", ms=1500)
        exchange.faults.acted("hold")
        held = exchange.faults.log()[-1]["what"].split()[-1]
        arrived = [json.loads(frame) for frame in until(client, lambda frame: held.encode() in frame)]
    ids = [(trade["code"], trade["sequential_id"]) for trade in arrived]
    assert ids != sorted(ids)
    assert len(set(ids)) < len(ids)
    entries = [
        entry for entry in ledger.read(exchange.directory) if (entry.stream, entry.kind) == ("trade", "realtime")
    ]
    keys = [(entry.code, int(entry.key["sequential_id"])) for entry in entries]
    assert len(set(keys)) == len(keys)
    # All that was published up to the held trade has arrived: it was overtaken by 1.5 s.
    assert set(keys[1 : keys.index((arrived[-1]["code"], int(held)))]) <= set(ids)
    overtaken = arrived[-1]
    assert any(t["code"] == overtaken["code"] and t["sequential_id"] > int(held) for t in arrived[:-1])


def test_fragments_arrive_whole(exchange: Exchange) -> None:
    with subscribed(exchange) as client:
        exchange.faults.set("fragments", pieces=7)
        exchange.faults.acted("fragments", 200)
        frames = received(client, 150)
        assert set(frames) <= set(published(exchange))


# --- altered events ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.acts == "true"])
def test_what_is_altered_is_sent_as_the_ledger_has_it(exchange: Exchange, name: str) -> None:
    with subscribed(exchange) as client:
        exchange.faults.set(name, count=3)
        exchange.faults.acted(name, 3)
        mark = len(published(exchange))
        frames = collect(client, lambda frames: len(frames) > mark)
    written = published(exchange)
    begin = written.index(frames[0])
    assert frames == written[begin : begin + len(frames)]
    for stream in STREAMS:
        assert (
            exchange.http(f"/v1/{'trades/ticks?market' if stream == 'trade' else stream + '?markets'}=KRW-BTC")[0]
            == 200
        )


@pytest.mark.parametrize("form", ["SIMPLE", "JSON_LIST", "SIMPLE_LIST"])
def test_altered_events_in_the_other_formats(exchange: Exchange, form: str) -> None:
    for name in (name for name, kind in KINDS.items() if kind.acts in ("true", "field")):
        exchange.faults.set(name, count=0)
    with socket_to(exchange) as client:
        ask(client, *everything(exchange.codes()), form=form)
        assert len(received(client, 400)) == 400
    assert exchange.process.poll() is None


def test_a_trade_that_comes_hours_late_is_in_rest_where_it_was_matched(exchange: Exchange) -> None:
    code = exchange.codes()[0]
    with socket_to(exchange) as client:
        ask(client, {"type": "trade", "codes": [code], "is_only_realtime": True})
        received(client, 3)
        exchange.faults.set("late", code=code, ms=600_000)
        exchange.faults.acted("late")
        late = json.loads(until(client, lambda frame: json.loads(frame)["sequential_id"] % 10_000 >= 5000)[-1])
    assert 600_000 <= late["timestamp"] - late["trade_timestamp"] < 601_000
    page = exchange.json(f"/v1/trades/ticks?market={code}&count=1&cursor={late['sequential_id'] + 1}")
    page += exchange.json(f"/v1/trades/ticks?market={code}&count=1&cursor={late['sequential_id'] + 1}&days_ago=1")
    assert late["sequential_id"] in [trade["sequential_id"] for trade in page]


# --- wrong frames -----------------------------------------------------------------------------------------------------


HARMLESS = [name for name, kind in KINDS.items() if kind.acts == "extra" and name not in ("bad_deflate",)]


@pytest.mark.parametrize("name", HARMLESS)
def test_a_wrong_frame_comes_beside_the_true_ones(exchange: Exchange, name: str) -> None:
    with subscribed(exchange, max_size=None) as client:
        exchange.faults.set(name, count=2)
        exchange.faults.acted(name, 2)
        frames = [client.recv(timeout=10) for _ in range(200)]
    written = published(exchange)
    wrong = [frame for frame in frames if frame not in written]
    true = [frame for frame in frames if frame in written]
    assert len(wrong) == 2
    assert [isinstance(frame, str) for frame in wrong] == [name == "text"] * 2
    begin = written.index(true[0])
    assert true == written[begin : begin + len(true)]


def test_a_frame_of_16_mib(exchange: Exchange) -> None:
    with subscribed(exchange, max_size=None) as client:
        exchange.faults.set("big", bytes=16 << 20)
        big = until(client, lambda frame: len(frame) > 1 << 20)[-1]
        assert len(big) == 16 << 20
        received(client, 20)
    with subscribed(exchange, max_size=8 << 20) as client:
        exchange.faults.set("big", bytes=16 << 20)
        closed = ended(client)
        assert closed.sent is not None
        assert closed.sent.code == 1009


@pytest.mark.parametrize("compression", ["deflate", None])
def test_compressed_bytes_that_are_not_end_the_connection_from_the_client_s_side(
    exchange: Exchange, compression: str | None
) -> None:
    with subscribed(exchange, compression=compression) as client:
        exchange.faults.set("bad_deflate")
        closed = ended(client)
        assert closed.sent is not None
        assert closed.sent.code in (1002, 1007, 1011)
