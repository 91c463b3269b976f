"""Whatever a client sends or a recording holds, the pure parts answer; they never fail in another way."""

import contextlib
import json
from typing import Any, get_args

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from upbit_exchange.journal import ledger, replay
from upbit_exchange.journal.board import Board
from upbit_exchange.market import candles, levels, listing
from upbit_exchange.market.candle_feed import CandleFeed
from upbit_exchange.market.listing import Market
from upbit_exchange.market.market import LocalMarket
from upbit_exchange.rest.handlers import Rest
from upbit_exchange.wire import frames, requests, spelling
from upbit_exchange.wire.names import CANDLES, Event, Format

START = 1_795_392_000_000
KINDS = [f"candles/{kind}" for kind in candles.WINDOWS]
names = st.sampled_from(["ticket", "type", "codes", "format", "level", "method", "is_only_snapshot", "isOnlyRealtime"])
words = st.sampled_from(
    ["ticker", "trade", "orderbook", "candle.1m", "KRW-BTC", "SIMPLE", "LIST_SUBSCRIPTIONS", "KRW-BTC.5", ""]
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(), inner, max_size=4),
)


@given(st.one_of(st.text(), st.binary(), st.lists(json_values, max_size=4).map(json.dumps)))
@example("[" * 3_000)
@example('[{"ticket":"t"},{"type":"trade","codes":["\\ud800"]}]')
def test_any_message_is_a_request_or_an_error_frame(message: str | bytes) -> None:
    answer = answered(message)
    assert answer is None or json.loads(answer)


def answered(message: str | bytes) -> bytes | None:
    try:
        request = requests.parse(message)
    except requests.RequestError as error:
        return error.frame
    if not isinstance(request, requests.Subscription):
        return None
    return requests.listing(requests.ListRequest("x"), request, request.format)


recorded_names = st.sampled_from(
    ["type", "code", "timestamp", "sequential_id", "trade_timestamp", "ty", "cd", "tms", "sid", "ttms", "obu", "tp"]
)


recorded = st.dictionaries(recorded_names, json_values)


@given(st.one_of(st.binary(), (recorded | st.lists(recorded, max_size=3)).map(lambda v: json.dumps(v).encode())))
@example(b'{"ty":"orderbook","cd":"A","tms":1,"obu":7}')
@example(b'{"ty":"ticker","cd":{"a":1},"tms":1,"atv":1}')
@example(b'{"ty":"ticker","cd":"A\\"B","tms":1,"atv":1}')
@example(b'{"type":7,"code":"A"}')
@example(b'{"ty":"orderbook","cd":"KRW-A","tms":1}')
@example(b'{"ty":"orderbook","cd":"KRW-A","tms":1,"obu":[{"ap":"x"},{"as":"x","bs":null}]}')
@example(b'{"ty":"trade","cd":"KRW-A","ttms":1,"sid":99999999999999999999,"tp":1,"tv":1,"ab":"BID"}')
@example(b'{"ty":"trade","cd":"KRW-A","ttms":1,"sid":1.5,"tp":"x","tv":null,"ab":"BID"}')
@example(b'{"ty":"ticker","cd":"KRW-A","tms":1,"atv":1e400,"tp":"x","cr":{}}')
@example(b'{"ty":"ticker","cd":"KRW-A","tms":1,"atv":"NaN"}')
def test_any_recorded_line_is_an_event_or_a_reason(line: bytes) -> None:
    with contextlib.suppress(ValueError):
        for event, _ in replay.translate(line):
            assert json.loads(event.frame)["code"] == event.code
            serve(event)


def serve(event: Event) -> None:
    """Everything the exchange does with a published event."""
    board = Board()
    board.apply(event)
    entry = msgspec.json.decode(ledger.line(1, "realtime", event), type=ledger.Entry)
    assert entry.event == event
    for form in get_args(Format):
        json.loads(frames.in_format(event.stream, event.frame, form, respell=False))
    if event.stream == "orderbook":
        json.loads(frames.shallow(event.frame, 1))
        json.loads(levels.book(event.frame, 10**8))
    for channel in CANDLES:
        shown = CandleFeed(board.history).latest(channel, event.code, START)
        assert shown is None or json.loads(shown.frame)["code"] == event.code
    rest = Rest(board, [Market(event.code, "", "")])
    for path in ("ticker", "orderbook", "orderbook/instruments", "trades/ticks", *KINDS):
        assert rest.answer(f"/v1/{path}", {"markets": event.code, "market": event.code}, START).status == 200


def small_rest() -> Rest:
    source = LocalMarket(listing.markets(2), 10, 1, START, spelling.dotted)
    board = Board()
    for event in source.initial() + source.take(START + 20_000, 10**9):
        board.apply(event)
    return Rest(board, source.markets)


SERVED = small_rest()
paths = st.sampled_from(
    [
        *("market/all", "ticker", "ticker/all", "orderbook", "orderbook/instruments", "trades/ticks"),
        *("candles/minutes/7", "", *KINDS),
    ]
)
values = st.one_of(
    st.sampled_from(
        [
            "KRW-BTC",
            "KRW-BTC,KRW-ETH",
            "KRW",
            "1",
            "10000",
            "0",
            "7",
            "03:00:00",
            "2026-11-23T00:00:00",
            "0001-01-01",
            ",",
        ]
    ),
    st.integers().map(str),
    st.text(),
)
parameters = st.sampled_from(
    [
        "market",
        "markets",
        "count",
        "to",
        "cursor",
        "days_ago",
        "level",
        "quote_currencies",
        "is_details",
        "converting_price_unit",
    ]
)


@settings(max_examples=300)
@given(paths, st.dictionaries(parameters, values))
@example("candles/minutes/1", {"market": ","})
@example("candles/minutes/1", {"market": "KRW-BTC", "to": "9999-12-31T23:59:59-23:00"})
@example("candles/years", {"market": "KRW-BTC", "to": "9999-12-31T23:59:59-23:00"})
@example("candles/months", {"market": "KRW-BTC", "to": "0001-01-01"})
@example("orderbook", {"markets": "KRW-BTC", "level": "1e999999"})
@example("trades/ticks", {"market": "KRW-BTC", "cursor": "9" * 30})
def test_any_query_is_answered(path: str, query: dict[str, str]) -> None:
    reply = SERVED.answer(f"/v1/{path}", query, START + 20_000)
    assert reply.status in (200, 400, 404)
    assert json.loads(reply.body) is not None
