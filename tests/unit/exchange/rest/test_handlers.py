"""REST: what it serves equals what was published, spelled as REST spells it."""

import json
from decimal import Decimal
from typing import Any

import pytest

from upbit_exchange.journal.board import Board
from upbit_exchange.market import listing
from upbit_exchange.market.market import LocalMarket
from upbit_exchange.rest.handlers import Rest
from upbit_exchange.rest.lag import RestLag
from upbit_exchange.wire import spelling
from upbit_exchange.wire.names import Event

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
    details = served.get("/v1/market/all", is_details="true")
    assert list(details[0]["market_event"]["caution"]) == list(listing.CAUTIONS)
    assert details == served.get("/v1/market/all", is_details="true")
    every = [listing.market_event(market.code) for market in listing.markets(250)]
    for flags in ([e["warning"] for e in every], *([e["caution"][c] for e in every] for c in listing.CAUTIONS)):
        assert set(flags) == {True, False}


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


def test_second_candles_have_no_unit_and_sum_up_to_the_minute(served: Served) -> None:
    minute = served.get("/v1/candles/minutes/1", market=CODE, to="2026-11-23T03:05:00Z")[0]
    seconds = served.get("/v1/candles/seconds", market=CODE, to="2026-11-23T03:05:00Z", count="200")
    inside = [c for c in seconds if c["candle_date_time_utc"].startswith("2026-11-23T03:04:")]
    assert "unit" not in inside[0]
    assert sum(c["candle_acc_trade_volume"] for c in inside) == minute["candle_acc_trade_volume"]
    assert sum(c["candle_acc_trade_price"] for c in inside) == minute["candle_acc_trade_price"]
    assert (inside[-1]["opening_price"], inside[0]["trade_price"]) == (minute["opening_price"], minute["trade_price"])
    assert inside[0]["timestamp"] == minute["timestamp"]


def test_days_weeks_months_and_years_carry_what_they_add(served: Served) -> None:
    body = served.rest.answer("/v1/candles/days", {"market": CODE, "converting_price_unit": "KRW"}, NOW).body.decode()
    (day,) = served.get("/v1/candles/days", market=CODE, converting_price_unit="KRW", count="9")
    assert list(day)[-5:] == [
        *("candle_acc_trade_volume", "prev_closing_price", "change_price", "change_rate", "converted_trade_price")
    ]
    last = served.trades[-1]
    assert day["prev_closing_price"] == last["prev_closing_price"]
    assert day["change_price"] == last["trade_price"] - last["prev_closing_price"]
    rate = day["change_price"] / day["prev_closing_price"]
    assert abs(day["change_rate"] - rate) <= Decimal("0.00000000005")
    assert f'"change_rate":{day["change_rate"]:.10f}' in body
    assert day["converted_trade_price"] == day["trade_price"] == last["trade_price"]
    assert day["candle_acc_trade_volume"] == sum(t["trade_volume"] for t in served.trades)
    assert "converted_trade_price" not in served.get("/v1/candles/days", market=CODE)[0]
    for kind, first in (("weeks", "2026-11-23"), ("months", "2026-11-01"), ("years", "2026-01-01")):
        (period,) = served.get(f"/v1/candles/{kind}", market=CODE, count="9")
        assert period["first_day_of_period"] == first
        assert period["candle_date_time_utc"] == f"{first}T00:00:00"
        assert period["candle_acc_trade_price"] == day["candle_acc_trade_price"]


def test_rest_trails_by_batches_of_each_market_and_never_goes_back(served: Served) -> None:
    lag = RestLag(3_000, seed=1, since_ms=START)
    rest = Rest(served.board, listing.markets(4), lag)
    times = [t["trade_timestamp"] for t in served.trades]
    shown_before, lags, frontiers = 0, set(), set()
    for now in range(START, START + 60_000, 50):
        page = json.loads(rest.answer("/v1/trades/ticks", {"market": CODE, "count": "500"}, now).body)
        candle = json.loads(rest.answer("/v1/candles/days", {"market": CODE}, now).body, parse_float=Decimal)
        frontier = lag.visible_ms(CODE, now)
        shown = [t["timestamp"] for t in reversed(page)]
        assert shown == [ms for ms in times if ms < frontier]
        assert len(shown) >= shown_before
        exact = sum(t["trade_volume"] for t in served.trades if t["trade_timestamp"] < frontier)
        assert candle[0]["candle_acc_trade_volume"] == exact
        shown_before = len(shown)
        lags.add(now - frontier)
        frontiers.add(frontier)
    assert min(lags) >= 0
    assert 2_900 <= max(lags) < 3_000
    assert 20 <= len(frontiers) <= 22
    phases = {RestLag(3_000, 1).visible_ms(market.code, NOW) for market in listing.markets(50)}
    assert len(phases) > 40


def test_what_was_there_at_the_start_does_not_trail(served: Served) -> None:
    rest = Rest(served.board, listing.markets(4), RestLag(60_000, since_ms=NOW + 1))
    (newest,) = json.loads(rest.answer("/v1/trades/ticks", {"market": CODE}, NOW).body)
    assert newest["sequential_id"] == served.trades[-1]["sequential_id"]


def test_instruments_and_books_at_their_levels(served: Served) -> None:
    bitcoin, *others = served.get("/v1/orderbook/instruments")
    assert bitcoin == {
        "market": CODE,
        "quote_currency": "KRW",
        "tick_size": "1000",
        "supported_levels": ["0", "10000", "100000", "1000000", "10000000", "100000000"],
    }
    assert [other["market"] for other in others] == ["KRW-ETH", "KRW-XRP", "KRW-SOL"]
    assert served.get("/v1/orderbook/instruments", markets="KRW-XRP") == [others[1]]
    whole = served.get("/v1/orderbook", markets=CODE)[0]
    (book,) = served.get("/v1/orderbook", markets=CODE, level="10000.0")
    assert book["level"] == 10000
    asks = {unit["ask_price"]: unit["ask_size"] for unit in book["orderbook_units"] if unit["ask_size"]}
    bids = {unit["bid_price"]: unit["bid_size"] for unit in book["orderbook_units"] if unit["bid_size"]}
    assert list(asks) == sorted(asks)
    assert list(bids) == sorted(bids, reverse=True)
    assert all(price % 10_000 == 0 for price in (*asks, *bids))
    for price, size in asks.items():
        covered = (u for u in whole["orderbook_units"] if price - 10_000 < u["ask_price"] <= price)
        assert size == sum(unit["ask_size"] for unit in covered)
    assert sum(bids.values()) == book["total_bid_size"] == whole["total_bid_size"]
    assert served.get("/v1/orderbook", markets=CODE, level="5000") == []
    assert [b["market"] for b in served.get("/v1/orderbook", markets=f"{CODE},KRW-XRP", level="100")] == ["KRW-XRP"]


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
        ("/v1/orderbook", {"markets": CODE, "level": "abc"}, 400, "Type mismatch error."),
        ("/v1/orderbook", {"markets": CODE, "count": "abc"}, 400, "Type mismatch error."),
        ("/v1/orderbook/instruments", {"markets": "KRW-NOPE"}, 404, "Code not found"),
        ("/v1/candles/days", {"market": CODE, "converting_price_unit": "EUR"}, 400, "Invalid parameter."),
        ("/v1/candles/seconds", {"market": CODE, "count": "201"}, 400, "Invalid parameter."),
        ("/v1/candles/seconds", {}, 400, "Missing request parameter error."),
        ("/v1/candles/minutes/7", {"market": CODE}, 404, "no Route matched"),
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
