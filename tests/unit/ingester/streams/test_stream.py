"""A stream's frames before the pump: what is compared, repeated, counted, shed and recorded as a gap."""

import json
from pathlib import Path

import pytest

from tests.unit.ingester.stream_setting import DAY_MS, SAMPLES, Inbox, Setting, frame
from upbit_ingester.clock import Clock
from upbit_ingester.continuity.refetch import MARGIN_MS, Target
from upbit_ingester.delivery.pump import DEAD_LETTER
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.gap_log import Gaps
from upbit_ingester.spool.state import Change, State
from upbit_ingester.streams.rest_sink import RestSink
from upbit_ingester.streams.stream import changes_of
from upbit_ingester.upbit.rest_trades import RestTrade, decode


@pytest.fixture(params=SAMPLES)
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Setting:
    return Setting(request.param, tmp_path)


@pytest.fixture
def trades(tmp_path: Path) -> Setting:
    return Setting("trade", tmp_path)


# -- SNAPSHOTs that repeat -------------------------------------------------------------------------------------------


def test_a_snapshot_that_repeats_what_is_kept_is_not_kept_again(setting: Setting) -> None:
    setting.sink.connected(setting.codes)
    setting.snapshot(1)
    setting.frame(2)
    kept = setting.records()
    assert len(kept) == 2
    for _ in range(3):
        setting.reconnect()
        setting.snapshot(2)
    assert setting.records() == kept
    assert setting.metrics.received[setting.stream] == 2, "received and kept must not drift apart"
    setting.reconnect()
    setting.snapshot(3)
    assert len(setting.records()) == 3


def test_a_new_process_keeps_one_snapshot_of_each_code(tmp_path: Path) -> None:
    state = State()
    first = Setting("trade", tmp_path, state)
    first.sink.connected(first.codes)
    first.snapshot(1)
    second = Setting("trade", tmp_path, state)
    second.sink.connected(second.codes)
    second.snapshot(1)
    assert len(second.records()) == 1


def test_snapshots_do_not_hide_the_silence_of_an_exchange(setting: Setting) -> None:
    setting.sink.connected(setting.codes)
    setting.frame(1, at_s=100)
    setting.reconnect()
    setting.snapshot(1, at_s=200)
    setting.snapshot(2, at_s=201)
    assert setting.metrics.last_received_s[setting.stream] == 100


def test_a_changed_format_is_no_silence(setting: Setting) -> None:
    setting.sink.connected(setting.codes)
    setting.raw(b'{"type":"something else"}', at_s=300)
    assert setting.metrics.last_received_s[setting.stream] == 300
    assert [item.lane for item in setting.pump.items] == [DEAD_LETTER]


def test_a_refused_snapshot_that_repeats_is_one_dead_letter(setting: Setting) -> None:
    refused = frame(setting.stream, 5, "SNAPSHOT").replace(b'"timestamp":1', b'"timestamp":-1')
    for second in range(3):
        setting.reconnect()
        setting.raw(refused, at_s=second)
    assert [item.lane for item in setting.pump.items] == [DEAD_LETTER]
    assert (setting.metrics.received[setting.stream], setting.metrics.last_received_s[setting.stream]) == (1, 0)


# -- gaps ------------------------------------------------------------------------------------------------------------


def test_a_loss_in_which_nothing_was_published_is_no_gap(setting: Setting) -> None:
    setting.sink.connected(setting.codes)
    setting.snapshot(1)
    setting.frame(2)
    setting.reconnect()
    setting.snapshot(2)
    setting.frame(3)
    assert setting.gaps() == []
    assert "gap" not in setting.marks()


def test_a_loss_in_which_something_was_published_is_one(setting: Setting) -> None:
    setting.sink.connected(setting.codes)
    setting.frame(2)
    setting.reconnect("close_1012")
    setting.snapshot(5)
    setting.frame(6)
    assert setting.gaps() == ["close_1012"]


def test_what_one_of_several_connections_shows_as_missed_stays_missed(setting: Setting) -> None:
    setting.sink.connected(setting.codes)
    setting.frame(2)
    setting.reconnect("close_1006")
    setting.snapshot(5)
    setting.reconnect("timeout")
    setting.snapshot(5)
    setting.frame(6)
    assert setting.gaps() == ["close_1006"]


def test_a_code_without_its_snapshot_leaves_the_gap_as_one(tmp_path: Path) -> None:
    setting = Setting("ticker", tmp_path, codes=("KRW-BTC", "KRW-ETH"))
    setting.sink.connected(setting.codes)
    setting.frame(1)
    setting.reconnect("close_1006")
    setting.snapshot(1)
    setting.frame(2)
    assert setting.gaps() == ["close_1006"]


# -- trades that were missed -----------------------------------------------------------------------------------------


def test_an_unknown_snapshot_opens_a_gap_from_the_last_known_trade(trades: Setting) -> None:
    trades.sink.connected(trades.codes)
    trades.snapshot(1)
    trades.frame(5)
    trades.reconnect()
    trades.snapshot(9)
    trades.frame(10)
    assert trades.marks() == ["baseline", "seen", "gap", "seen"]
    assert trades.targets == [Target("KRW-BTC", DAY_MS + 5, 9, DAY_MS + 9)]


def test_a_live_trade_before_its_codes_snapshot_does_not_hide_the_gap(trades: Setting) -> None:
    trades.sink.connected(trades.codes)
    trades.snapshot(1)
    trades.frame(5)
    trades.reconnect()
    trades.frame(10)
    trades.snapshot(10)
    assert trades.marks() == ["baseline", "seen", "gap", "seen"]
    assert trades.targets == [Target("KRW-BTC", DAY_MS + 5, 10, DAY_MS + 10)]


def test_only_the_first_trade_of_a_connection_is_compared(trades: Setting) -> None:
    trades.sink.connected(trades.codes)
    for number in range(1, 6):
        trades.frame(number)
    assert trades.marks() == ["baseline", *["seen"] * 5]
    assert trades.targets == []


# -- shedding --------------------------------------------------------------------------------------------------------


def test_order_books_make_room_and_the_gap_is_recorded(tmp_path: Path) -> None:
    books = Setting("orderbook", tmp_path)
    books.sink.connected(books.codes)
    books.snapshot(1)
    books.reconnect()
    books.snapshot(1)
    books.frame(2)
    books.pump.shedding = True
    books.frame(3, at_s=50)
    books.frame(4, at_s=51)
    assert (books.metrics.shed["orderbook"], books.metrics.last_received_s["orderbook"]) == (2, 51)
    books.pump.shedding = False
    books.frame(5)
    assert books.gaps() == ["shed"]
    assert len(books.records()) == 3


def test_trades_are_never_shed(trades: Setting) -> None:
    trades.sink.connected(trades.codes)
    trades.pump.shedding = True
    trades.frame(1)
    assert len(trades.records()) == 1


# -- REST, and what a start finds ------------------------------------------------------------------------------------


def rest_trade() -> RestTrade:
    numbers = '"trade_price":1,"trade_volume":2,"prev_closing_price":1,"change_price":0'
    return decode(
        b'[{"market":"KRW-BTC","trade_date_utc":"2026-07-30","trade_time_utc":"00:00:00","ask_bid":"ASK",'
        b'"timestamp":%d,"sequential_id":7,%s}]' % (DAY_MS + 7, numbers.encode())
    )[0]


def test_a_trade_of_rest_is_kept_as_one_of_rest(tmp_path: Path) -> None:
    pump, state = Inbox(), State()
    RestSink("trade", pump, state, Metrics(), Gaps(tmp_path, Clock().wall_ms), Clock()).keep(rest_trade())
    (item,) = pump.items
    assert item.record is not None
    assert dict(item.record.headers)["source"] == b"rest"
    assert state.trades["KRW-BTC"].ids == [7]


def test_what_rest_does_not_reach_is_recorded_and_not_asked_for_again(tmp_path: Path) -> None:
    pump, state = Inbox(), State()
    for change in (Change("seen", "trade", "KRW-BTC", 100, 0, 1), Change("gap", "trade", "KRW-BTC", 0)):
        state.apply(change)
    sink = RestSink("trade", pump, state, Metrics(), Gaps(tmp_path, Clock().wall_ms), Clock())
    sink.unreachable(Target("KRW-BTC", 100, 9, 900), 500)
    line = json.loads((tmp_path / "gaps.jsonl").read_text())
    assert (line["cause"], line["code"], line["last_seen_ms"], line["first_seen_ms"]) == (
        "unreachable",
        "KRW-BTC",
        100,
        500,
    )
    assert state.trades["KRW-BTC"].gap_from_ms is None


def test_spooled_records_count_as_seen_but_snapshots_do_not(trades: Setting) -> None:
    trades.sink.connected(trades.codes)
    trades.snapshot(1)
    trades.frame(2, at_s=9)
    records = [item.record for item in trades.pump.items if item.record is not None]
    assert list(changes_of("trade", records)) == [Change("seen", "trade", "KRW-BTC", DAY_MS + 2, 9000, 2)]


def test_what_a_known_trade_may_have_overtaken_is_asked_for(tmp_path: Path) -> None:
    trades = Setting("trade", tmp_path, codes=("KRW-BTC", "KRW-ETH"))
    trades.sink.connected(trades.codes)
    trades.frame(1, code="KRW-ETH")
    trades.frame(1 + MARGIN_MS, code="KRW-ETH")
    trades.frame(2 + 2 * MARGIN_MS)
    trades.reconnect("close_1006")
    trades.snapshot(1 + MARGIN_MS, code="KRW-ETH")
    assert trades.targets == [], "it was long over when the socket was lost"
    trades.snapshot(2 + 2 * MARGIN_MS)
    last_ms = DAY_MS + 2 + 2 * MARGIN_MS
    assert trades.targets == [Target("KRW-BTC", last_ms, 2 + 2 * MARGIN_MS, last_ms)]
    assert "gap" not in trades.marks()
