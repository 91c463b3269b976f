"""Candle channels, gathered books and compression on the local exchange's wire."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.local_exchange import (
    Exchange,
    ask,
    awaited,
    everything,
    received,
    silent,
    socket_to,
)
from upbit_exchange.journal import ledger

UNITS_S = {"1s": 1, "1m": 60, "3m": 180, "5m": 300, "10m": 600, "15m": 900, "30m": 1800, "60m": 3600, "240m": 14400}
CANDLE_KEYS = [
    *("type", "code", "candle_date_time_utc", "candle_date_time_kst", "opening_price", "high_price", "low_price"),
    *("trade_price", "candle_acc_trade_volume", "candle_acc_trade_price", "timestamp", "stream_type"),
]


def exact(frame: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(frame, parse_float=Decimal)
    return decoded


def test_candles_of_every_unit_end_as_the_exact_sums_of_the_ledger_s_trades(start: Callable[..., Exchange]) -> None:
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 36_000))
    exchange = start("--codes", "2", "--rate", "30", "--start", began, "--speed", "60")
    codes = exchange.codes()
    with socket_to(exchange) as candles, socket_to(exchange) as audience:
        ask(candles, *({"type": f"candle.{unit}", "codes": codes} for unit in UNITS_S))
        snapshots = [exact(frame) for frame in received(candles, len(UNITS_S) * len(codes))]
        assert [(s["type"], s["code"]) for s in snapshots] == [(f"candle.{u}", c) for u in UNITS_S for c in codes]
        assert {s["stream_type"] for s in snapshots} == {"SNAPSHOT"}
        assert silent(candles), "the clock waits for a full audience"
        ask(audience, *everything(codes))
        frames: list[dict[str, Any]] = []
        begin_ms = exchange.status()["clock_ms"]
        while not frames or frames[-1]["timestamp"] < begin_ms + 200_000:
            frames += [exact(frame) for frame in received(candles, 20)]
    assert all(list(frame) == CANDLE_KEYS for frame in frames)
    assert {frame["stream_type"] for frame in frames} == {"REALTIME"}
    assert {frame["type"] for frame in frames} == {f"candle.{unit}" for unit in UNITS_S}
    trades = [e for e in ledger.read(exchange.directory) if e.stream == "trade"]
    running = {(f["type"], f["code"]): f["candle_date_time_utc"] for f in frames}
    last = {(f["type"], f["code"], f["candle_date_time_utc"]): f for f in frames}
    checked = 0
    for (channel, code, begin), frame in last.items():
        first = int(datetime.fromisoformat(f"{begin}+00:00").timestamp() * 1000)
        end = first + UNITS_S[channel.removeprefix("candle.")] * 1000
        if begin == running[channel, code]:
            continue
        inside = [exact(bytes(e.frame)) for e in trades if e.code == code and first <= e.time < end]
        inside.sort(key=lambda t: (t["trade_timestamp"], t["sequential_id"]))
        prices = [t["trade_price"] for t in inside]
        assert (frame["opening_price"], frame["trade_price"]) == (prices[0], prices[-1])
        assert (frame["high_price"], frame["low_price"]) == (max(prices), min(prices))
        assert frame["candle_acc_trade_volume"] == sum(t["trade_volume"] for t in inside)
        assert frame["candle_acc_trade_price"] == sum(t["trade_price"] * t["trade_volume"] for t in inside)
        checked += 1
    assert checked > 100


@pytest.mark.parametrize("form", ["SIMPLE", "JSON_LIST", "SIMPLE_LIST"])
def test_candles_in_the_other_formats_and_only_as_asked(start: Callable[..., Exchange], form: str) -> None:
    exchange = start("--codes", "2", "--rate", "300", "--speed", "8", "--start", "2026-01-02T03:04:05Z")
    with socket_to(exchange) as client:
        ask(client, {"type": "candle.1s", "codes": ["KRW-BTC"], "is_only_snapshot": True}, form=form)
        (snapshot,) = received(client, 1)
        ask(client, {"type": "candle.1s", "codes": ["KRW-BTC"], "isOnlyRealtime": True}, form=form)
        realtime = received(client, 3)
    for frame, kind in ((snapshot, "SNAPSHOT"), *((frame, "REALTIME") for frame in realtime)):
        value = json.loads(frame)
        if form.endswith("LIST"):
            (value,) = value
        names = ("ty", "cd", "st", "cdttmu", "catp") if form.startswith("SIMPLE") else CANDLE_KEYS
        assert set(names) <= set(value)
        assert value["st" if form.startswith("SIMPLE") else "stream_type"] == kind


def test_books_at_a_level_of_their_market_and_silence_at_another(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "2", "--rate", "200")
    with socket_to(exchange) as client:
        ask(client, {"type": "orderbook", "codes": ["KRW-BTC", "KRW-ETH"], "level": 5000})
        assert silent(client)
        # 100,000,000 is above the price of KRW-ETH: that code is silent, the other one is served.
        ask(client, {"type": "orderbook", "codes": ["KRW-BTC.5", "KRW-ETH"], "level": 100_000_000})
        assert {exact(frame)["code"] for frame in received(client, 5)} == {"KRW-BTC"}
        ask(
            client, {"type": "orderbook", "codes": ["KRW-BTC"], "level": 10000}, {"type": "trade", "codes": ["KRW-BTC"]}
        )
        awaited(lambda: exact(received(client, 1)[0])["type"] == "trade")
        books = [b for b in map(exact, received(client, 120)) if b["type"] == "orderbook"]
        client.send('[{"ticket":"x"},{"method":"LIST_SUBSCRIPTIONS"}]')
        answer = awaited(lambda: next((f for f in map(json.loads, received(client, 1)) if "method" in f), None))
    assert answer["result"][0] == {"type": "orderbook", "codes": ["KRW-BTC"], "level": 10000}
    published = {
        e.time: exact(bytes(e.frame))
        for e in ledger.read(exchange.directory)
        if (e.stream, e.code) == ("orderbook", "KRW-BTC")
    }
    assert len(books) > 50
    for book in books:
        whole = published[book["timestamp"]]
        assert book["level"] == 10000
        assert all(u["ask_price"] % 10000 == u["bid_price"] % 10000 == 0 for u in book["orderbook_units"])
        for side in ("ask", "bid"):
            total = sum(unit[f"{side}_size"] for unit in book["orderbook_units"])
            assert total == book[f"total_{side}_size"] == whole[f"total_{side}_size"]


def test_frames_are_compressed_for_those_who_offer_it(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "3", "--rate", "400")
    with socket_to(exchange) as plain, socket_to(exchange, compression="deflate") as deflating:
        assert plain.response is not None
        assert deflating.response is not None
        assert "Sec-WebSocket-Extensions" not in plain.response.headers
        assert deflating.response.headers["Sec-WebSocket-Extensions"].startswith("permessage-deflate")
        ask(deflating, {"type": "orderbook", "codes": ["KRW-BTC"]})
        frames = received(deflating, 100)
    books = [bytes(e.frame) for e in ledger.read(exchange.directory) if (e.stream, e.code) == ("orderbook", "KRW-BTC")]
    assert frames[1:] == books[1:100]
