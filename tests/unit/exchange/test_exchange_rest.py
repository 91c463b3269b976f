"""REST: what it serves equals what was published, spelled as REST spells it."""

import json
from decimal import Decimal
from typing import Any

import pytest

from upbit_exchange import listing, spelling
from upbit_exchange.board import Board
from upbit_exchange.market import LocalMarket
from upbit_exchange.rest import Rest
from upbit_exchange.wire import Event

MINUTE = 60_000
START = 1_795_392_000_000 + 3 * 3_600_000
NOW = START + 10 * MINUTE
CODE = "KRW-BTC"


class Served:
    """Ten minutes of a small market behind REST."""

    def __init__(self) -> None:
        source = LocalMarket(listing.markets(4), 20, 3, START, spelling.dotted)
        self.board = Board()
        self.events: list[Event] = []
        for event in source.initial() + source.take(NOW, 10**9):
            self.events.append(event)
            self.board.apply(event)
        self.rest = Rest(self.board, source.markets)
        self.trades = [
            json.loads(event.frame, parse_float=Decimal)
            for event in self.events
            if event.stream == "trade" and event.code == CODE
        ]

    def get(self, path: str, now: int = NOW, **query: str) -> Any:
        reply = self.rest.answer(path, query, now)
        assert reply.status == 200, reply.body
        return json.loads(reply.body, parse_float=Decimal)


@pytest.fixture(scope="module")
def served() -> Served:
    return Served()


def test_market_all(served: Served) -> None:
    markets = served.get("/v1/market/all")
    assert markets[0] == {"market": "KRW-BTC", "korean_name": "비트코인", "english_name": "Bitcoin"}
    assert len(markets) == 4
    assert served.get("/v1/market/all", is_details="true")[0]["market_event"]["warning"] is False


def test_all_trades_by_cursor_newest_first_with_the_ids_and_values_of_the_stream(served: Served) -> None:
    found: list[dict[str, Any]] = []
    query = {"market": CODE, "count": "37"}
    while page := served.get("/v1/trades/ticks", NOW, **query):
        found += page
        query["cursor"] = str(page[-1]["sequential_id"])
    expected = [
        (t["sequential_id"], t["trade_timestamp"], t["trade_price"], t["trade_volume"], t["ask_bid"])
        for t in reversed(served.trades)
    ]
    names = ("sequential_id", "timestamp", "trade_price", "trade_volume", "ask_bid")
    assert [tuple(t[name] for name in names) for t in found] == expected
    assert all(t["change_price"] == t["trade_price"] - t["prev_closing_price"] for t in found)


def test_ticks_are_spelled_with_fixed_8_decimals_in_wire_order(served: Served) -> None:
    body = served.rest.answer("/v1/trades/ticks", {"market": CODE}, NOW).body.decode()
    trade = served.trades[-1]
    assert f'"trade_price":{trade["trade_price"]:.8f},"trade_volume":{trade["trade_volume"]:.8f},' in body
    assert list(json.loads(body)[0]) == [
        "market",
        "trade_date_utc",
        "trade_time_utc",
        "timestamp",
        "trade_price",
        "trade_volume",
        "prev_closing_price",
        "change_price",
        "ask_bid",
        "sequential_id",
    ]


def test_ticks_by_to_and_day(served: Served) -> None:
    page = served.get("/v1/trades/ticks", market=CODE, count="500", to="03:05:00")
    assert [t["sequential_id"] for t in page] == [
        t["sequential_id"] for t in reversed(served.trades) if t["trade_timestamp"] < START + 5 * MINUTE
    ][:500]
    assert served.get("/v1/trades/ticks", market=CODE, to="030500") == page[:1]
    tomorrow = NOW + 86_400_000
    assert served.get("/v1/trades/ticks", now=tomorrow, market=CODE) == []
    assert served.get("/v1/trades/ticks", now=tomorrow, market=CODE, days_ago="1", count="500", to="03:05:00") == page


def test_minute_candles_are_the_exact_sums_of_the_trades(served: Served) -> None:
    candles = served.get("/v1/candles/minutes/1", market=CODE, count="200")
    by_minute: dict[int, list[dict[str, Any]]] = {}
    for trade in sorted(served.trades, key=lambda t: (t["trade_timestamp"], t["sequential_id"])):
        by_minute.setdefault(trade["trade_timestamp"] // MINUTE, []).append(trade)
    assert len(candles) == len(by_minute) >= 10
    for candle, (_, trades) in zip(candles, sorted(by_minute.items(), reverse=True), strict=True):
        prices = [t["trade_price"] for t in trades]
        assert (candle["opening_price"], candle["trade_price"]) == (prices[0], prices[-1])
        assert (candle["high_price"], candle["low_price"]) == (max(prices), min(prices))
        assert candle["candle_acc_trade_volume"] == sum(t["trade_volume"] for t in trades)
        assert candle["candle_acc_trade_price"] == sum(t["trade_price"] * t["trade_volume"] for t in trades)
        assert candle["candle_date_time_utc"] == f"{trades[0]['trade_date']}T{trades[0]['trade_time'][:5]}:00"
        assert candle["unit"] == 1


def test_candles_to_is_exclusive_and_windows_without_trades_are_not_there(served: Served) -> None:
    newest = served.get("/v1/candles/minutes/1", market=CODE, to="2026-11-23T03:05:00Z")[0]
    assert newest["candle_date_time_utc"] == "2026-11-23T03:04:00"
    same = served.get("/v1/candles/minutes/1", market=CODE, to="2026-11-23T12:05:00 09:00")[0]
    assert same == served.get("/v1/candles/minutes/1", market=CODE, to="2026-11-23 03:05:00")[0] == newest
    assert newest["candle_date_time_kst"] == "2026-11-23T12:04:00"
    starts = [c["candle_date_time_utc"] for c in served.get("/v1/candles/minutes/5", market=CODE, count="200")]
    assert starts[:2] == ["2026-11-23T03:05:00", "2026-11-23T03:00:00"]
    assert len(starts) == len({t["trade_timestamp"] // (5 * MINUTE) for t in served.trades})


def test_ticker_and_orderbook_are_the_last_frames(served: Served) -> None:
    ticker = served.get("/v1/ticker", markets=f"{CODE},KRW-ETH")
    last = {(e.stream, e.code): json.loads(e.frame, parse_float=Decimal) for e in served.events}
    assert [t["market"] for t in ticker] == [CODE, "KRW-ETH"]
    for name in ("trade_price", "acc_trade_volume", "acc_trade_price", "signed_change_price", "timestamp"):
        assert ticker[0][name] == last["ticker", CODE][name]
    assert len(served.get("/v1/ticker/all", quote_currencies="KRW")) == 4
    book = served.get("/v1/orderbook", markets=CODE.lower(), count="50")[0]
    assert book["orderbook_units"] == last["orderbook", CODE]["orderbook_units"]
    assert list(book["orderbook_units"][0]) == ["bid_price", "bid_size", "ask_price", "ask_size"]
    assert len(served.get("/v1/orderbook", markets=CODE, count="3")[0]["orderbook_units"]) == 3


@pytest.mark.parametrize(
    ("path", "query", "status", "body"),
    [
        ("/v1/trades/ticks", {}, 400, '{"error":{"name":400,"message":"Missing request parameter error.'),
        ("/v1/trades/ticks", {"market": "KRW-NOPE"}, 404, '{"error":{"name":404,"message":"Code not found"}}'),
        ("/v1/trades/ticks", {"market": CODE, "count": "abc"}, 400, "Type mismatch error."),
        ("/v1/trades/ticks", {"market": CODE, "count": "501"}, 400, "Invalid parameter."),
        ("/v1/trades/ticks", {"market": CODE, "days_ago": "8"}, 400, "Invalid parameter."),
        ("/v1/trades/ticks", {"market": CODE, "to": "25:00:00"}, 400, "Invalid parameter."),
        ("/v1/candles/minutes/1", {"market": CODE, "to": "noon"}, 400, "Invalid parameter."),
        ("/v1/orderbook", {"markets": f"{CODE},KRW-NOPE"}, 404, "Code not found"),
        ("/v1/nope", {}, 404, '{"error":{"name":"not_found","message":"no Route matched with those values"}}'),
    ],
)
def test_errors(served: Served, path: str, query: dict[str, str], status: int, body: str) -> None:
    reply = served.rest.answer(path, query, NOW)
    assert reply.status == status
    assert body in reply.body.decode()


def test_a_minute_without_trades_has_no_candle() -> None:
    source = LocalMarket(listing.markets(2), 20, 3, START, spelling.dotted)
    board = Board()
    for event in source.take(NOW, 10**9):
        if not START + 3 * MINUTE <= event.time < START + 6 * MINUTE:
            board.apply(event)
    reply = Rest(board, source.markets).answer("/v1/candles/minutes/1", {"market": CODE, "count": "200"}, NOW)
    minutes = [candle["candle_date_time_utc"][-8:-3] for candle in json.loads(reply.body)]
    assert minutes == ["03:09", "03:08", "03:07", "03:06", "03:02", "03:01", "03:00"]


def test_a_window_that_starts_before_to_is_there_even_if_its_trades_come_after() -> None:
    source = LocalMarket(listing.markets(1), 20, 3, START, spelling.dotted)
    board = Board()
    for event in source.take(START + 2 * MINUTE, 10**9):
        if event.time >= START + 40_000:
            board.apply(event)
    query = {"market": CODE, "count": "9", "to": "2026-11-23T03:00:20"}
    reply = Rest(board, source.markets).answer("/v1/candles/minutes/1", query, NOW)
    assert [candle["candle_date_time_utc"] for candle in json.loads(reply.body)] == ["2026-11-23T03:00:00"]
