"""Two sockets of one stream: each event once, and a gap only where neither of them carried it."""

import re
from pathlib import Path

import pytest

from tests.unit.ingester.stream_setting import DAY_MS, SAMPLES, Setting, frame
from upbit_ingester.continuity.pending import PATIENCE_S
from upbit_ingester.continuity.refetch import Target
from upbit_ingester.spool.state import Change
from upbit_ingester.streams.repeats import RecentFrames

A, B = 0, 1


def both(stream: str, folder: Path, *codes: str) -> Setting:
    """Both sockets are open and have brought their SNAPSHOTs just now."""
    setting = Setting(stream, folder, codes=codes or ("KRW-BTC",), sockets=2)
    for socket in (A, B):
        setting.sinks[socket].connected(setting.codes)
        for code in setting.codes:
            setting.snapshot(1, code, setting.wall_s(), socket)
    return setting


@pytest.fixture(params=SAMPLES)
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Setting:
    return both(request.param, tmp_path)


@pytest.fixture
def trades(tmp_path: Path) -> Setting:
    return both("trade", tmp_path)


def twice(setting: Setting, number: int) -> None:
    for socket in (A, B):
        setting.frame(number, at_s=setting.wall_s(), socket=socket)


# -- each event once -------------------------------------------------------------------------------------------------


def test_what_both_sockets_bring_goes_on_once(setting: Setting) -> None:
    before = len(setting.records())
    for number in (2, 3, 4):
        twice(setting, number)
    assert setting.records()[before:] == [frame(setting.stream, number) for number in (2, 3, 4)]
    assert setting.metrics.duplicates[setting.stream] == 3
    assert setting.metrics.received[setting.stream] == len(setting.records())


def test_a_socket_that_lags_brings_nothing_twice(setting: Setting) -> None:
    before = len(setting.records())
    for number in range(2, 50):
        setting.frame(number, socket=A)
    for number in reversed(range(2, 50)):
        setting.frame(number, socket=B)
    assert setting.records()[before:] == [frame(setting.stream, number) for number in range(2, 50)]


def test_what_only_the_second_socket_has_goes_on_however_late(setting: Setting) -> None:
    setting.frame(4, socket=A)
    setting.frame(3, socket=B)
    assert setting.records()[-2:] == [frame(setting.stream, 4), frame(setting.stream, 3)]


def test_two_different_frames_of_one_key_both_go_on(setting: Setting) -> None:
    first = frame(setting.stream, 2)
    other = re.sub(rb'"(prev_closing_price|total_ask_size)":[0-9.]+', rb'"\1":7', first, count=1)
    assert other != first
    setting.raw(first, socket=A)
    setting.raw(other, socket=B)
    assert setting.records()[-2:] == [first, other]
    assert setting.metrics.duplicates[setting.stream] == 0


def test_a_refused_frame_of_both_sockets_is_one_dead_letter(setting: Setting) -> None:
    for socket in (A, B):
        setting.raw(b'{"type":"something else"}', socket=socket)
    assert setting.metrics.dead_lettered[setting.stream] == 1


def test_one_socket_alone_drops_nothing(tmp_path: Path) -> None:
    setting = Setting("trade", tmp_path)
    setting.sink.connected(setting.codes)
    setting.frame(2)
    setting.frame(2)
    assert len(setting.records()) == 2


def test_the_window_forgets_and_is_bounded() -> None:
    recent = RecentFrames(100)
    frames = [b"%d" % number for number in range(1000)]
    for number, data in enumerate(frames):
        assert data not in recent
        recent.add(data)
        assert all(known in recent for known in frames[max(0, number - 99) : number + 1])
    assert sum(data in recent for data in frames) <= 200


# -- a reconnect of one socket ---------------------------------------------------------------------------------------


def test_a_reconnect_of_one_socket_costs_nothing(setting: Setting) -> None:
    twice(setting, 2)
    for number in range(3, 23):
        lost, other = number % 2, 1 - number % 2
        setting.sinks[lost].lost("close_1006")
        assert setting.metrics.connected[setting.stream] == 1
        setting.frame(number, at_s=setting.wall_s(), socket=other)
        setting.sinks[lost].connected(setting.codes)
        setting.snapshot(number, at_s=setting.wall_s(), socket=lost)
    setting.look(PATIENCE_S)
    assert setting.metrics.connected[setting.stream] == 2
    assert (setting.gaps(), setting.targets, setting.metrics.open_gaps[setting.stream]) == ([], [], 0)
    live = [record for record in setting.records() if b"REALTIME" in record]
    assert live == [frame(setting.stream, number) for number in range(2, 23)]


def test_a_snapshot_may_come_before_the_other_socket_brings_its_event(setting: Setting) -> None:
    twice(setting, 2)
    setting.reconnect("close_1006", A)
    setting.snapshot(3, socket=A)
    setting.frame(4, socket=A)
    setting.frame(3, socket=B)
    setting.frame(4, socket=B)
    setting.look(PATIENCE_S)
    assert (setting.gaps(), setting.targets) == ([], [])


def test_a_live_trade_may_come_first_too(trades: Setting) -> None:
    twice(trades, 2)
    trades.reconnect("close_1006", A)
    trades.frame(3, socket=A)
    trades.frame(3, socket=B)
    trades.look(PATIENCE_S)
    assert (trades.gaps(), trades.targets) == ([], [])
    assert trades.state.trades["KRW-BTC"].gap_from_ms is None


def test_a_pending_trade_is_a_gap_to_a_process_that_is_killed_meanwhile(trades: Setting) -> None:
    twice(trades, 2)
    trades.reconnect("close_1006", A)
    trades.snapshot(3, socket=A)
    marks = [item.change for item in trades.pump.items if item.change is not None]
    assert marks[-1] == Change("gap", "trade", "KRW-BTC", DAY_MS + 3)
    trades.frame(3, socket=B)
    assert trades.marks()[-2:] == ["healed", "seen"]


def test_a_survivor_that_was_dead_without_knowing_is_found_out(setting: Setting) -> None:
    twice(setting, 2)
    setting.reconnect("close_1006", A)
    setting.snapshot(5, socket=A)
    setting.frame(6, socket=A)
    setting.look(PATIENCE_S - 0.1)
    assert setting.gaps() == []
    setting.look(0.1)
    assert setting.gaps() == ["stale"]
    if setting.stream == "trade":
        assert setting.targets == [Target("KRW-BTC", DAY_MS + 2, 5, DAY_MS + 5)]
        assert setting.state.trades["KRW-BTC"].gap_from_ms == DAY_MS + 2


def test_a_survivor_that_dies_before_it_brings_the_event_is_found_out_at_once(setting: Setting) -> None:
    twice(setting, 2)
    setting.reconnect("close_1006", A)
    setting.snapshot(5, at_s=setting.wall_s(), socket=A)
    setting.sinks[B].lost("close_1011")
    assert setting.gaps() == ["stale"]


def test_a_quiet_survivor_does_not_carry_the_stream(tmp_path: Path) -> None:
    tickers = Setting("ticker", tmp_path, sockets=2)
    for socket in (A, B):
        tickers.sinks[socket].connected(tickers.codes)
        tickers.snapshot(1, at_s=tickers.wall_s() - 60, socket=socket)
    tickers.frame(2, at_s=tickers.wall_s() - 60, socket=A)
    tickers.sinks[A].lost("close_1006")
    tickers.look()
    assert tickers.metrics.open_gaps["ticker"] == 1
    tickers.frame(3, at_s=tickers.wall_s(), socket=B)
    tickers.look()
    assert (tickers.gaps(), tickers.metrics.open_gaps["ticker"]) == ([], 0), "the survivor was quiet, not dead"


def test_when_both_are_down_it_is_a_gap_like_any_other(setting: Setting) -> None:
    twice(setting, 2)
    setting.sinks[A].lost("close_1006")
    setting.frame(3, at_s=setting.wall_s(), socket=B)
    setting.sinks[B].lost("connect")
    setting.reconnect("connect", A)
    setting.snapshot(9, at_s=setting.wall_s(), socket=A)
    setting.sinks[B].connected(setting.codes)
    setting.snapshot(9, at_s=setting.wall_s(), socket=B)
    twice(setting, 10)
    assert setting.gaps() == ["connect"]
    wanted = [Target("KRW-BTC", DAY_MS + 3, 9, DAY_MS + 9)] if setting.stream == "trade" else []
    assert setting.targets == wanted


def test_a_socket_that_has_not_subscribed_to_everything_carries_nothing(tmp_path: Path) -> None:
    tickers = both("ticker", tmp_path, "KRW-BTC", "KRW-ETH")
    twice(tickers, 2)
    tickers.reconnect("close_1006", B)
    tickers.snapshot(2, at_s=tickers.wall_s(), socket=B)
    tickers.sinks[A].lost("close_1006")
    tickers.look()
    assert tickers.metrics.open_gaps["ticker"] == 1


def test_an_older_snapshot_that_comes_again_is_not_kept_again(setting: Setting) -> None:
    twice(setting, 5)
    kept = setting.records()
    for _ in range(3):
        setting.reconnect("close_1006", A)
        setting.snapshot(3, socket=A)
    assert setting.records() == [*kept, frame(setting.stream, 3, "SNAPSHOT")]


def test_an_older_snapshot_does_not_take_the_place_of_what_is_kept(setting: Setting) -> None:
    twice(setting, 5)
    setting.reconnect("close_1006", A)
    setting.snapshot(1, socket=A)
    setting.reconnect("close_1006", A)
    setting.snapshot(5, socket=A)
    setting.look(PATIENCE_S)
    assert (setting.gaps(), setting.targets) == ([], [])
