"""Formats: keys, number texts and depth, from real frames of the wire."""

import json
from decimal import Decimal

from upbit_exchange.wire import frames

BOOK = (
    b'{"type":"orderbook","code":"KRW-BTC","timestamp":1790134773006,"total_ask_size":0.06338509,'
    b'"total_bid_size":0.01703594,"orderbook_units":[{"ask_price":1.16606E8,"bid_price":1.16534E8,'
    b'"ask_size":0.06288509,"bid_size":0.00079276},{"ask_price":1.16609E8,"bid_price":1.16521E8,'
    b'"ask_size":0.00050000,"bid_size":0.01624318}],"stream_type":"REALTIME","level":0}'
)
TRADE = (
    b'{"type":"trade","code":"KRW-LAMB","timestamp":1618678275178,"trade_price":127.0,'
    b'"prev_closing_price":123.00000000,"sequential_id":1618678275000000,"stream_type":"REALTIME"}'
)


def test_simple_book_has_short_keys_plain_prices_and_sizes_like_doubles() -> None:
    assert frames.simple("orderbook", BOOK) == (
        b'{"ty":"orderbook","cd":"KRW-BTC","tms":1790134773006,"tas":0.06338509,"tbs":0.01703594,'
        b'"obu":[{"ap":116606000,"bp":116534000,"as":0.06288509,"bs":7.9276E-4},'
        b'{"ap":116609000,"bp":116521000,"as":5.0E-4,"bs":0.01624318}],"st":"REALTIME","lv":0}'
    )


def test_simple_keeps_the_text_of_other_numbers() -> None:
    assert frames.simple("trade", TRADE) == (
        b'{"ty":"trade","cd":"KRW-LAMB","tms":1618678275178,"tp":127.0,"pcp":123.00000000,'
        b'"sid":1618678275000000,"st":"REALTIME"}'
    )
    assert b'"ap":1.16606E8' in frames.simple("orderbook", BOOK, respell=False)


def test_list_formats_are_arrays_of_one() -> None:
    assert frames.in_format("trade", TRADE, "JSON_LIST") == b"[" + TRADE + b"]"
    assert frames.in_format("trade", TRADE, "SIMPLE_LIST") == b"[" + frames.simple("trade", TRADE) + b"]"
    assert frames.in_format("trade", TRADE, "DEFAULT") is TRADE


def test_a_snapshot_differs_in_its_stream_type_only() -> None:
    assert frames.snapshot(TRADE) == TRADE.replace(b"REALTIME", b"SNAPSHOT")
    assert frames.snapshot(frames.snapshot(TRADE)) == frames.snapshot(TRADE)


def test_a_shallow_book_keeps_its_best_levels_and_their_sum() -> None:
    book = json.loads(frames.shallow(BOOK, 1), parse_float=Decimal)
    assert len(book["orderbook_units"]) == 1
    assert book["total_ask_size"] == book["orderbook_units"][0]["ask_size"] == Decimal("0.06288509")
    assert book["total_bid_size"] == Decimal("0.00079276")
    assert frames.shallow(BOOK, 5) is BOOK
