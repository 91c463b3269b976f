"""Gathered books: the levels of a market, and what a book looks like at one of them."""

import json
from decimal import Decimal

import pytest

from upbit_exchange.market import levels
from upbit_exchange.wire import frames
from upbit_exchange.wire.spelling import UNIT

BOOK = (
    b'{"type":"orderbook","code":"KRW-BTC","timestamp":1790134773006,"total_ask_size":0.07000000,'
    b'"total_bid_size":0.03000000,"orderbook_units":['
    b'{"ask_price":1.16601E8,"bid_price":1.16599E8,"ask_size":0.01000000,"bid_size":0.00500000},'
    b'{"ask_price":1.1661E8,"bid_price":1.16592E8,"ask_size":0.02000000,"bid_size":0.00500000},'
    b'{"ask_price":1.16612E8,"bid_price":1.1659E8,"ask_size":0.04000000,"bid_size":0.02000000}],'
    b'"stream_type":"REALTIME","level":0}'
)


@pytest.mark.parametrize(
    ("code", "price", "tick", "supported"),
    [
        ("KRW-BTC", "103460000", "1000", ["0", "10000", "100000", "1000000", "10000000", "100000000"]),
        ("KRW-ETH", "3427000", "1000", ["0", "10000", "100000", "1000000"]),
        ("KRW-SC", "3.52", "0.01", ["0", "0.1", "1"]),
        ("KRW-PEPE", "0.0101", "0.0001", ["0", "0.001", "0.01"]),
        ("USDT-BTC", "79000", "0.01", ["0"]),
        ("USDT-XRP", "1.93", "0.001", ["0"]),
        ("USDT-PEPE", "0.00000712", "0.00000001", ["0"]),
        ("BTC-ETH", "0.02931000", "0.00000001", ["0"]),
    ],
)
def test_ticks_and_levels_of_a_market(code: str, price: str, tick: str, supported: list[str]) -> None:
    units = int(Decimal(price) * UNIT)
    assert levels.tick_size(code, units) == int(Decimal(tick) * UNIT)
    assert levels.supported(code, units) == [int(Decimal(level) * UNIT) for level in supported]


def test_asks_are_gathered_upwards_and_bids_downwards_and_nothing_is_lost() -> None:
    assert levels.book(BOOK, 10_000 * UNIT) == (
        b'{"type":"orderbook","code":"KRW-BTC","timestamp":1790134773006,"total_ask_size":0.07000000,'
        b'"total_bid_size":0.03000000,"orderbook_units":['
        b'{"ask_price":1.1661E8,"bid_price":1.1659E8,"ask_size":0.03000000,"bid_size":0.03000000},'
        b'{"ask_price":1.1662E8,"bid_price":0,"ask_size":0.04000000,"bid_size":0}],'
        b'"stream_type":"REALTIME","level":10000}'
    )
    assert levels.book(BOOK, 0) is BOOK


def test_a_gathered_book_can_be_shallow_and_simple() -> None:
    shallow = frames.shallow(levels.book(BOOK, 10_000 * UNIT), 1)
    book = json.loads(frames.simple("orderbook", shallow), parse_float=Decimal)
    assert book["obu"] == [{"ap": 116610000, "bp": 116590000, "as": Decimal("0.03"), "bs": Decimal("0.03")}]
    assert (book["tas"], book["tbs"], book["lv"]) == (Decimal("0.03"), Decimal("0.03"), 10000)


@pytest.mark.parametrize("level", [float("nan"), float("inf"), -1, 1e-12, True])
def test_what_cannot_be_a_level_is_none_of_a_market_s(level: float) -> None:
    assert levels.units(level) not in levels.supported("KRW-BTC", 116_500_000 * UNIT)
    assert levels.units(10000) == levels.units(10000.0) == 10_000 * UNIT
    assert levels.units(0.001) == UNIT // 1000


@pytest.mark.parametrize(
    "book", [b'{"type":"orderbook","code":"KRW-A"}', b'{"orderbook_units":[{"ask_price":"x","ask_size":1}]}']
)
def test_a_recorded_book_without_numbers_stays_as_it_is(book: bytes) -> None:
    assert levels.book(book, UNIT) == book
