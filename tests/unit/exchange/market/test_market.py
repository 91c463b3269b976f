"""The market: deterministic by seed, exact in its sums, consistent between book, trades and tickers."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from upbit_exchange.journal.board import Board
from upbit_exchange.market import listing
from upbit_exchange.market.book import Book, Side, down, on_grid, tick, up
from upbit_exchange.market.market import LocalMarket
from upbit_exchange.wire import spelling
from upbit_exchange.wire.names import STREAMS, Event
from upbit_exchange.wire.spelling import UNIT
from upbit_ingester.gate.gate import Accepted, Gate

START = 1_795_392_000_000 - 90_000  # 90 s before a UTC midnight
CODES = 8


def market(seed: int = 1, rate: float = 60, start: int = START) -> LocalMarket:
    return LocalMarket(listing.markets(CODES), rate, seed, start, spelling.dotted)


def exact(event: Event) -> dict[str, Any]:
    return Decoded.decode(event.frame)


Decoded = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """Three minutes over a midnight, the initial state first."""
    source = market()
    return source.initial() + source.take(START + 180_000, 10**9)


def of(events: list[Event], stream: str) -> list[Event]:
    return [event for event in events if event.stream == stream]


def test_same_seed_same_events_however_often_they_are_taken() -> None:
    whole, parts, other = market(), market(), market(seed=2)
    taken: list[Event] = []
    for until in range(START, START + 20_001, 7):
        taken += parts.take(until, 3)
    taken += parts.take(START + 20_000, 10**9)
    assert whole.take(START + 20_000, 10**9) == taken
    assert len(taken) > 1000
    assert other.take(START + 20_000, 10**9) != taken


def test_every_listed_market_passes_the_ingesters_gate() -> None:
    """Coins of a thousandth of a won trade in sizes near what the lake's columns hold."""
    gates = {stream: Gate(stream) for stream in STREAMS}
    source = LocalMarket(listing.markets(250), 1000, 1, START, spelling.dotted)
    published = source.initial() + source.take(START + 5_000, 10**9)
    refused = [event.frame for event in published if not isinstance(gates[event.stream].check(event.frame), Accepted)]
    assert len({event.code for event in published}) == 250
    assert refused == []


@pytest.mark.parametrize("price", [1, 79_400])
def test_the_cheapest_price_draws_sizes_that_every_column_takes(price: int) -> None:
    source = market()
    assert max(source._size(price) for _ in range(2000)) < 10**20


def test_rate_and_shares(events: list[Event]) -> None:
    realtime = events[CODES * 3 :]
    assert len(realtime) == pytest.approx(60 * 180, rel=0.05)
    share = {stream: len(of(realtime, stream)) / len(realtime) for stream in STREAMS}
    assert share == pytest.approx({"trade": 0.15, "ticker": 0.25, "orderbook": 0.60}, abs=0.02)


def test_hot_codes_trade_more_than_quiet_ones(events: list[Event]) -> None:
    counts: dict[str, int] = defaultdict(int)
    for event in of(events, "trade"):
        counts[event.code] += 1
    assert counts["KRW-BTC"] > 3 * counts[listing.markets(CODES)[-1].code] > 0


def test_keys_are_unique(events: list[Event]) -> None:
    keys = [(event.stream, tuple(event.key.values())) for event in events]
    assert len(set(keys)) == len(keys)


def test_frames_hold_the_event_they_are_filed_under(events: list[Event]) -> None:
    for event in events:
        fields = msgspec.json.decode(event.frame, type=dict[str, msgspec.Raw])
        assert {name: bytes(fields[name]).decode().strip('"') for name in event.key} == event.key
        assert bytes(fields["code"]).decode() == f'"{event.code}"'


def test_books_are_whole_ordered_and_totals_are_the_sums_of_their_levels(events: list[Event]) -> None:
    stamps: dict[str, int] = {}
    for event in of(events, "orderbook"):
        book = exact(event)
        units = book["orderbook_units"]
        asks, bids = [u["ask_price"] for u in units], [u["bid_price"] for u in units]
        assert len(units) == 30
        assert asks == sorted(set(asks))
        assert bids == sorted(set(bids), reverse=True)
        assert asks[0] > bids[0] > 0
        for side in ("ask", "bid"):
            assert book[f"total_{side}_size"] == sum(u[f"{side}_size"] for u in units)
            assert all(u[f"{side}_size"] > 0 for u in units)
        assert stamps.get(event.code, 0) < book["timestamp"] == event.time
        stamps[event.code] = book["timestamp"]


def test_prices_stay_on_the_tick_grid(events: list[Event]) -> None:
    for event in of(events, "trade"):
        price = spelling.units(str(exact(event)["trade_price"]))
        assert price % tick(price) == 0


def test_trades_match_at_the_book(events: list[Event]) -> None:
    """A trade takes the best price: afterwards that side stands at it or behind it, the other one before it."""
    for event in of(events, "trade"):
        trade = exact(event)
        if trade["ask_bid"] == "BID":
            assert trade["best_bid_price"] < trade["trade_price"] <= trade["best_ask_price"]
        else:
            assert trade["best_bid_price"] <= trade["trade_price"] < trade["best_ask_price"]
        assert trade["trade_volume"] > 0


def test_trade_times_and_ids(events: list[Event]) -> None:
    ids: dict[str, int] = {}
    for event in of(events, "trade")[CODES:]:
        trade = exact(event)
        assert 36 <= trade["timestamp"] - trade["trade_timestamp"] <= 58
        assert trade["sequential_id"] // 10_000 == trade["trade_timestamp"] == event.time >= START
        assert trade["sequential_id"] > ids.get(event.code, 0)
        ids[event.code] = trade["sequential_id"]


def test_first_events_come_after_the_start_and_initial_ones_before() -> None:
    source = market()
    initial = source.initial()
    assert [e.stream for e in initial] == ["trade", "ticker", "orderbook"] * CODES
    assert all(event.time < START and b'"SNAPSHOT"' in event.frame for event in initial)
    assert all(event.time >= START - 100 for event in source.take(START + 2_000, 10**9) if event.stream == "orderbook")


def test_tickers_are_the_exact_sums_of_the_day_and_of_24_hours(events: list[Event]) -> None:
    midnight = START + 90_000
    trades: dict[str, list[dict[str, Any]]] = defaultdict(list)
    days = set()
    for event in events:
        if event.stream == "trade":
            trades[event.code].append(exact(event))
        if event.stream != "ticker":
            continue
        ticker = exact(event)
        known = trades[event.code]
        volume = sum((t["trade_volume"] for t in known), Decimal(0))
        assert ticker["acc_trade_volume_24h"] == volume
        assert ticker["acc_trade_price_24h"] == sum(t["trade_price"] * t["trade_volume"] for t in known)
        # The day of a ticker turns when no trade of the old day can still be published.
        begin = midnight if event.time - 58 >= midnight else midnight - 86_400_000
        today = [t for t in known if t["trade_timestamp"] >= begin]
        days.add(begin)
        assert ticker["acc_trade_volume"] == sum((t["trade_volume"] for t in today), Decimal(0))
        assert ticker["acc_trade_price"] == sum(t["trade_price"] * t["trade_volume"] for t in today)
        asks = sum((t["trade_volume"] for t in today if t["ask_bid"] == "ASK"), Decimal(0))
        assert (ticker["acc_ask_volume"], ticker["acc_bid_volume"]) == (asks, ticker["acc_trade_volume"] - asks)
        assert ticker["trade_price"] == known[-1]["trade_price"]
        if today:
            assert ticker["opening_price"] == today[0]["trade_price"]
            assert ticker["high_price"] == max(t["trade_price"] for t in today)
            assert ticker["low_price"] == min(t["trade_price"] for t in today)
        if begin == midnight:
            before = [t for t in known if t["trade_timestamp"] < midnight]
            assert ticker["prev_closing_price"] == before[-1]["trade_price"]
        assert ticker["signed_change_price"] == ticker["trade_price"] - ticker["prev_closing_price"]
        assert ticker["change_price"] == abs(ticker["signed_change_price"])
    assert len(days) == 2


@pytest.mark.parametrize("pause_ms", [0, 320_000])
def test_a_restarted_market_goes_on_from_what_was_published(events: list[Event], pause_ms: int) -> None:
    board = Board()
    for event in events:
        board.apply(event)
    again = board.newest_ms + pause_ms
    resumed = market(start=again)
    resumed.restore(board.last, board.history, board.entries)
    resumed.begin(again)
    later = resumed.take(again + 10_000, 10**9)
    assert {event.stream for event in later} == set(STREAMS)
    test_tickers_are_the_exact_sums_of_the_day_and_of_24_hours(events + later)
    test_keys_are_unique(events + later)
    test_trades_match_at_the_book(later)
    last = exact(of(events, "orderbook")[-1])["orderbook_units"]
    book = Book()
    book.load([{name: str(value) for name, value in level.items()} for level in last])
    assert book.asks.prices == [int(level["ask_price"] * UNIT) for level in last]


@pytest.mark.parametrize(
    ("price", "step"),
    [(116_539_000, 1000), (999_500, 500), (2850, 1), (5000, 5), (26, Decimal("0.1")), (Decimal("0.0142"), "0.0001")],
)
def test_krw_ticks(price: Decimal, step: str) -> None:
    assert tick(spelling.units(str(price))) == spelling.units(str(step))


@pytest.mark.parametrize("edge", [10, 100, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000])
def test_the_grid_is_continuous_over_the_edges_of_tick_sizes(edge: int) -> None:
    below = down(edge * UNIT)
    assert below < edge * UNIT == up(below)
    assert on_grid(edge * UNIT + 1) == edge * UNIT


def test_a_side_never_grows_beyond_its_depth() -> None:
    side = Side(up)
    for price in range(40, 0, -1):
        side.insert(0, price * UNIT, price)
    assert len(side.prices) == 30
    assert side.total == sum(side.sizes) == sum(range(1, 31))


def test_listing_has_unique_codes_at_every_size() -> None:
    for count in (1, 250, 855):
        codes = [listed.code for listed in listing.markets(count)]
        assert len(codes) == len(set(codes)) == count
    assert codes[:3] == ["KRW-BTC", "KRW-ETH", "KRW-XRP"]


@pytest.mark.parametrize("seed", range(8))
def test_books_go_forward_over_a_restart(seed: int) -> None:
    """A dense market, stopped and resumed at once: no stamp may fall back onto the grid before the last one."""
    source = LocalMarket(listing.markets(1), 1000, seed, START, spelling.dotted)
    board = Board()
    for event in source.initial() + source.take(START + 1_000, 10**9):
        board.apply(event)
    before = board.last["orderbook", "KRW-BTC"].time
    source.restore(board.last, board.history, board.entries)
    source.begin(board.newest_ms)
    assert min(event.time for event in of(source.take(START + 1_300, 10**9), "orderbook")) > before


def test_the_24_hour_sums_let_go_of_what_is_older() -> None:
    source = LocalMarket(listing.markets(1), 0.02, 1, START, spelling.dotted)
    trades, moved = [], False
    for event in source.initial() + source.take(START + 3 * 86_400_000, 10**9):
        if event.stream == "trade":
            trades.append(exact(event))
        if event.stream == "ticker":
            begin = (event.time // 60_000 - 1439) * 60_000
            recent = [t for t in trades if t["trade_timestamp"] >= begin]
            moved = moved or 0 < len(recent) < len(trades)
            ticker = exact(event)
            assert ticker["acc_trade_volume_24h"] == sum((t["trade_volume"] for t in recent), Decimal(0))
            assert ticker["acc_trade_price_24h"] == sum(t["trade_price"] * t["trade_volume"] for t in recent)
    assert moved
