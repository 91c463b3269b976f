"""What a market can be made to do while it runs: further trades, twins, quiet codes, listings."""

from decimal import Decimal

import msgspec
import pytest

from upbit_exchange.journal.board import Board
from upbit_exchange.market import listing
from upbit_exchange.market.history import History
from upbit_exchange.market.market import LocalMarket
from upbit_exchange.wire import spelling
from upbit_exchange.wire.names import STREAMS, Event

START = 1_795_392_000_000


def market(codes: int = 3) -> LocalMarket:
    return LocalMarket(listing.markets(codes), 100, 1, START, spelling.dotted)


def ids(events: list[Event]) -> list[int]:
    return [int(event.key["sequential_id"]) for event in events]


def test_a_burst_of_one_code_in_one_millisecond_counts_up_from_its_first_trade() -> None:
    source = market()
    source.take(START + 5000, 10**6)
    burst = source.further(START + 5000, 600, "KRW-ETH", same_ms=True)
    assert {(event.stream, event.code, event.time) for event in burst} == {("trade", "KRW-ETH", burst[0].time)}
    assert ids(burst) == list(range(ids(burst)[0], ids(burst)[0] + 600))
    assert ids(burst)[-1] // 10_000 == burst[0].time
    ticker = next(e for e in source.take(START + 90_000, 10**6) if e.stream == "ticker" and e.code == "KRW-ETH")
    assert ticker.time > burst[0].time


def test_further_trades_of_all_codes_have_keys_of_their_own() -> None:
    source = market()
    trades = [*source.take(START + 5000, 10**6), *source.further(START + 5000, 3000), *source.take(START + 9000, 10**6)]
    keys = [(event.code, *event.key.values()) for event in trades if event.stream == "trade"]
    assert len(set(keys)) == len(keys) > 3000
    assert len({code for code, *_ in keys}) == 3


def test_twins_share_an_id() -> None:
    source = market()
    source.take(START + 5000, 10**6)
    first, second = source.twins(START + 5000, "KRW-BTC")
    assert first.code == "KRW-BTC" != second.code
    assert (ids([first]), first.time) == (ids([second]), second.time)
    after = [e for e in source.take(START + 30_000, 10**6) if e.stream == "trade" and e.code == second.code]
    assert min(ids(after)) > ids([second])[0]
    assert market(1).twins(START) == []


def test_a_quiet_code_does_not_trade_its_book_and_ticker_go_on() -> None:
    source = market()
    source.quiet = ["KRW-BTC"]
    events = source.take(START + 30_000, 10**6)
    assert {event.stream for event in events if event.code == "KRW-BTC"} == {"ticker", "orderbook"}
    assert {event.stream for event in events if event.code == "KRW-ETH"} == set(STREAMS)


def test_a_listed_code_trades_from_then_on_a_delisted_one_no_more() -> None:
    source, board = market(), Board()
    source.take(START + 5000, 10**6)
    shown = source.list_market(listing.further("KRW-NEW"), START + 5000, board.last, board.history)
    assert [(event.stream, event.code) for event in shown] == [
        ("trade", "KRW-NEW"),
        ("ticker", "KRW-NEW"),
        ("orderbook", "KRW-NEW"),
    ]
    assert all(b'"SNAPSHOT"' in event.frame for event in shown)
    assert [m.code for m in source.markets][-1] == "KRW-NEW"
    source.delist_market("KRW-ETH")
    events = source.take(START + 30_000, 10**6)
    assert {event.code for event in events} == {"KRW-BTC", "KRW-XRP", "KRW-NEW"}
    assert sum(event.code == "KRW-NEW" for event in events) > len(events) / 10
    for code in ("KRW-BTC", "KRW-XRP", "KRW-NEW"):
        source.delist_market(code)
    assert source.take(START + 60_000, 10**6) == []


def test_a_code_that_is_listed_again_goes_on_where_it_was() -> None:
    source, board = market(), Board()
    for event in source.initial():
        board.apply(event, realtime=False)
    for event in source.take(START + 20_000, 10**6):
        board.apply(event)
    newest = int(board.last["trade", "KRW-ETH"].key["sequential_id"])
    source.delist_market("KRW-ETH")
    assert source.list_market(listing.further("KRW-ETH"), START + 20_000, board.last, board.history) == []
    trades = [e for e in source.take(START + 60_000, 10**6) if e.stream == "trade" and e.code == "KRW-ETH"]
    assert min(ids(trades)) > newest


@pytest.mark.parametrize("side", ["ask", "bid"])
def test_a_market_goes_on_after_its_last_book_was_shown_empty(side: str) -> None:
    source, board = market(1), Board()
    for event in [*source.initial(), *source.take(START + 20_000, 10**6)]:
        board.apply(event)
    book = board.last["orderbook", "KRW-BTC"]
    values = msgspec.json.decode(book.frame)
    for level in values["orderbook_units"]:
        level |= {f"{side}_price": 0, f"{side}_size": 0}
    board.last["orderbook", "KRW-BTC"] = msgspec.structs.replace(book, frame=msgspec.json.encode(values))
    again = market(1)
    again.restore(board.last, board.history, board.entries)
    again.begin(START + 20_000)
    trades = [event for event in again.take(START + 60_000, 10**6) if event.stream == "trade"]
    assert trades
    assert all(msgspec.json.decode(event.frame, type=dict)["trade_price"] > 1000 for event in trades)


def test_history_knows_which_ids_are_taken() -> None:
    history = History()
    trades = [event for event in market().take(START + 20_000, 10**6) if event.stream == "trade"]
    for event in trades:
        history.add(event)
    assert all(history.has(event.code, int(event.key["sequential_id"])) for event in trades)
    assert not history.has(trades[0].code, int(trades[0].key["sequential_id"]) + 5000)
    assert not history.has("KRW-NEW", 1)


def test_a_trade_whose_previous_close_is_null_is_in_rest_all_the_same() -> None:
    event = next(event for event in market().take(START + 20_000, 10**6) if event.stream == "trade")
    values = msgspec.json.decode(event.frame, type=dict) | {"prev_closing_price": None}
    history = History()
    history.add(msgspec.structs.replace(event, frame=msgspec.json.encode(values)))
    (trade,) = history.trades(event.code)
    assert Decimal(trade.price) == Decimal(str(values["trade_price"])) * spelling.UNIT
