"""What the faults that are on decide."""

from random import Random
from typing import Any

import pytest

from upbit_exchange.faults.active import MOVED_FROM, Faults
from upbit_exchange.faults.catalogue import FaultError, Order, order
from upbit_exchange.market import listing
from upbit_exchange.market.market import LocalMarket
from upbit_exchange.wire import spelling
from upbit_exchange.wire.limits import WEBSOCKET
from upbit_exchange.wire.names import Event, Update

START = 1_795_392_000_000
CODES = ("KRW-BTC", "KRW-ETH", "KRW-XRP")


class Noted:
    """Faults with a log that can be read."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        self.faults = Faults(Random(1), lambda fault, what: self.log.append((fault, what)))

    def on(self, name: str, now: float = 0.0, **options: Any) -> int:
        return self.faults.switch_on(ordered(name, **options), now)


@pytest.fixture
def noted() -> Noted:
    return Noted()


def ordered(name: str, **options: Any) -> Order:
    return order({"set": name, **{option: str(value) for option, value in options.items()}}, CODES)


def events(count: int = 400) -> list[Event]:
    return LocalMarket(listing.markets(3), 100, 1, START, spelling.dotted).take(START + 60_000, count)


def never(_code: str, _sequential_id: int) -> bool:
    return False


# --- switching ---------------------------------------------------------------------------------------------------


def test_nothing_on_changes_nothing(noted: Noted) -> None:
    published = events(50)
    assert noted.faults.alter(published, never, 0) is published
    sent = noted.faults.deliver([*published], 0)
    assert (sent.events, sent.extras) == (published, [])
    assert noted.faults.socket_acts([{("trade", "KRW-BTC")}], 0) == []
    assert noted.faults.refused(WEBSOCKET, 0) is None
    assert noted.faults.snapshot_delay("trade", "KRW-BTC", 0) == 0
    assert noted.faults.pieces(0, 1) == 1
    assert noted.log == []


def test_a_fault_ends_by_count_by_time_by_name_and_by_number(noted: Noted) -> None:
    counted, timed, named, numbered = (
        noted.on("gap", count=2),
        noted.on("silence", duration=5),
        noted.on("bad_json"),
        noted.on("empty"),
    )

    def on(now: float) -> set[int]:
        return {fault["id"] for fault in noted.faults.listed(now)}

    assert on(0) == {counted, timed, named, numbered}
    noted.faults.deliver([*events(2)], 0)
    assert on(4.9) == {timed, named, numbered}
    assert on(5) == {named, numbered}
    assert noted.faults.switch_off("bad_json") == 1
    assert noted.faults.switch_off(str(numbered)) == 1
    assert on(5) == set()
    assert noted.faults.switch_off("all") == 0
    with pytest.raises(FaultError, match="no fault 'gap' is on"):
        noted.faults.switch_off("gap")


def test_what_is_done_is_counted_and_noted(noted: Noted) -> None:
    trade = next(event for event in events() if event.stream == "trade")
    noted.on("gap", count=1)
    noted.faults.deliver([trade], 0)
    assert noted.faults.counts == {"gap": 1}
    assert noted.log == [
        ("gap", "switched on as 1"),
        ("gap", f"trade {trade.code} {trade.key['sequential_id']}"),
    ]


# --- delivery ----------------------------------------------------------------------------------------------------


def test_silence_concerns_what_it_names(noted: Noted) -> None:
    published = events()
    noted.on("silence", stream="trade", code="KRW-BTC")
    kept = [event for event in published if (event.stream, event.code) != ("trade", "KRW-BTC")]
    assert noted.faults.deliver([*published], 0).events == kept
    assert len(kept) < len(published)
    candle = Update("candle.1m", "KRW-BTC", b"{}")
    assert noted.faults.deliver([candle], 0).events == [candle]
    noted.on("silence")
    assert noted.faults.deliver([*published, candle], 0).events == []


def test_a_gap_keeps_back_the_next_frames_only(noted: Noted) -> None:
    books = [event for event in events() if event.stream == "orderbook"]
    noted.on("gap", stream="orderbook", count=3)
    assert noted.faults.deliver([*books], 0).events == books[3:]


def test_duplicates_follow_at_once(noted: Noted) -> None:
    first, second = [event for event in events() if event.stream == "trade"][:2]
    noted.on("duplicate", copies=2, count=1)
    assert noted.faults.deliver([first, second], 0).events == [first, first, first, second]


def test_what_is_held_comes_later_and_after_what_overtook_it(noted: Noted) -> None:
    first, second, third = [event for event in events() if event.stream == "trade"][:3]
    noted.on("hold", ms=5000, stream="trade")
    assert noted.faults.deliver([first, second], 0).events == [second]
    noted.faults.switch_off("all")
    assert noted.faults.deliver([], 4.9).events == []
    assert noted.faults.deliver([third], 5).events == [first, third]


def test_reordered_trades_all_arrive_some_overtaken(noted: Noted) -> None:
    trades = [event for event in events(2000) if event.stream == "trade"]
    noted.on("reorder", ms=300)
    arrived: list[Any] = []
    for index, trade in enumerate(trades):
        arrived += noted.faults.deliver([trade], index / 100).events
    noted.faults.switch_off("all")
    arrived += noted.faults.deliver([], len(trades) / 100 + 0.3).events
    assert arrived != trades
    assert sorted(arrived, key=trades.index) == trades
    # 300 ms are 30 trades here: none is overtaken by more.
    assert max(arrived.index(trade) - index for index, trade in enumerate(trades)) <= 31
    assert noted.faults.counts["reorder"] == pytest.approx(len(trades) / 2, rel=0.3)


def test_a_wrong_frame_is_sent_beside_the_true_one(noted: Noted) -> None:
    trade = next(event for event in events() if event.stream == "trade")
    noted.on("bad_json", stream="trade")
    sent = noted.faults.deliver([trade, trade], 0)
    assert sent.events == [trade, trade]
    assert [extra.event for extra in sent.extras] == [trade]
    assert noted.faults.deliver([trade], 0).extras == []


def test_one_wrong_frame_every_so_often(noted: Noted) -> None:
    trade = next(event for event in events() if event.stream == "trade")
    noted.on("empty", every=1, count=0)
    counts = [len(noted.faults.deliver([trade, trade], now).extras) for now in (0, 0.5, 1, 1.5, 2.1)]
    assert counts == [1, 0, 1, 0, 1]


# --- published events --------------------------------------------------------------------------------------------


def test_altered_events_are_as_many_as_the_order_says(noted: Noted) -> None:
    published = events()
    noted.on("microseconds", count=2)
    altered = noted.faults.alter(published, never, 0)
    changed = [event for event, before in zip(altered, published, strict=True) if event != before]
    assert [event.stream for event in changed] == ["orderbook", "orderbook"]
    assert noted.faults.counts == {"microseconds": 2}


def test_a_field_that_is_needed_is_taken_from_a_further_frame_an_optional_one_from_the_true_one(noted: Noted) -> None:
    trade = next(event for event in events() if event.stream == "trade")
    noted.on("removed", field="trade_price")
    noted.on("null", field="best_bid_size")
    (altered,) = noted.faults.alter([trade], never, 0)
    assert b'"best_bid_size":null' in altered.frame
    assert b'"trade_price":' in altered.frame
    sent = noted.faults.deliver([altered], 0)
    assert sent.events == [altered]
    assert [b'"trade_price":' in extra.payload for extra in sent.extras] == [False]


def test_moved_trades_get_ids_that_are_free(noted: Noted) -> None:
    trades = [event for event in events(2000) if event.stream == "trade" and event.code == "KRW-BTC"][:2]
    late = [event.time - 600_000 for event in trades]
    taken = {("KRW-BTC", late[0] * 10_000 + MOVED_FROM)}
    noted.on("late", count=0)
    same = [trades[0], trades[0], trades[1]]
    altered = noted.faults.alter(same, lambda code, number: (code, number) in taken, 0)
    assert [event.key["sequential_id"] for event in altered] == [
        str(late[0] * 10_000 + MOVED_FROM + 1),
        str(late[0] * 10_000 + MOVED_FROM + 2),
        str(late[1] * 10_000 + MOVED_FROM),
    ]
    assert [event.time for event in altered] == [late[0], late[0], late[1]]


# --- sockets -----------------------------------------------------------------------------------------------------

TRADES, BOOKS = {("trade", "KRW-BTC"): 1}, {("orderbook", "KRW-BTC"): 1}


def struck(noted: Noted, now: float, *sockets: Any) -> list[tuple[int, str]]:
    return [(index, order.name) for index, order in noted.faults.socket_acts(sockets, now)]


def test_a_socket_fault_meets_the_oldest_socket_concerned_once(noted: Noted) -> None:
    noted.on("drop", stream="trade")
    assert struck(noted, 0, BOOKS, {}) == []
    assert struck(noted, 1, BOOKS, TRADES, TRADES) == [(1, "drop")]
    assert struck(noted, 2, BOOKS, TRADES) == []


def test_a_socket_fault_that_names_nothing_meets_any_socket(noted: Noted) -> None:
    noted.on("reset", count=2)
    assert struck(noted, 0, {}, BOOKS, TRADES) == [(0, "reset"), (1, "reset")]


def test_every_so_many_seconds_all_sockets_concerned(noted: Noted) -> None:
    noted.on("drop", every=2, count=0, stream="trade")
    assert struck(noted, 0, TRADES, TRADES, BOOKS) == [(0, "drop"), (1, "drop")]
    assert struck(noted, 1.9, TRADES) == []
    assert struck(noted, 2, TRADES) == [(0, "drop")]
    assert noted.faults.counts == {"drop": 3}


def test_a_socket_meets_one_fault_at_a_time(noted: Noted) -> None:
    noted.on("close")
    noted.on("drop")
    assert struck(noted, 0, TRADES) == [(0, "close")]
    assert struck(noted, 1, TRADES) == [(0, "drop")]


# --- answers -----------------------------------------------------------------------------------------------------


def test_refusals_state_how_long(noted: Noted) -> None:
    noted.on("handshake", status=418, wait=7, count=1)
    noted.on("rest", status=429, wait=3, stated="body", group="candles")
    handshake, rest = noted.faults.refused(WEBSOCKET, 0), noted.faults.refused("candles", 0)
    assert handshake is not None
    assert rest is not None
    assert (handshake.status, handshake.retry_after) == (418, 7)
    assert (rest.status, rest.retry_after) == (429, None)
    assert b"3 seconds" in rest.body
    assert noted.faults.refused(WEBSOCKET, 0) is None
    assert noted.faults.refused("ticker", 0) is None


def test_snapshots_late_and_missing(noted: Noted) -> None:
    noted.on("snapshot_missing", stream="trade", code="KRW-ETH")
    noted.on("snapshot_slow", ms=1500)
    assert noted.faults.snapshot_delay("trade", "KRW-ETH", 0) is None
    assert noted.faults.snapshot_delay("candle.1m", "KRW-ETH", 0) == 1.5


def test_settings_change_while_the_fault_is_on(noted: Noted) -> None:
    noted.on("idle_timeout", seconds=120, duration=10)
    noted.on("fragments", pieces=4)
    assert noted.faults.setting("idle_timeout", "seconds", 9) == 120
    assert noted.faults.setting("idle_timeout", "seconds", 10) is None
    assert noted.faults.pieces(10, 3) == 4


# --- market ------------------------------------------------------------------------------------------------------


def test_a_burst_makes_its_rate_whatever_the_ticks(noted: Noted) -> None:
    noted.on("burst", rate=5000, duration=2)
    due = [sum(count for _, count in noted.faults.further_trades(tick * 0.0203)) for tick in range(200)]
    assert sum(due) == pytest.approx(10_000, rel=0.02)
    assert noted.faults.counts["burst"] == sum(due)


def test_codes_without_trades(noted: Noted) -> None:
    assert list(noted.faults.without_trades(CODES, 0)) == []
    noted.on("no_trades", code="KRW-ETH", duration=1)
    assert list(noted.faults.without_trades(CODES, 0)) == ["KRW-ETH"]
    noted.on("no_trades")
    assert list(noted.faults.without_trades(CODES, 2)) == list(CODES)
