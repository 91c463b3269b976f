"""A stream that is silent on an open socket: a gap at once, and at its end the trades of every code are fetched."""

from pathlib import Path

import pytest

from tests.unit.ingester.stream_setting import DAY_MS, Setting
from upbit_ingester.clock import Clock
from upbit_ingester.continuity.continuity import PROMPT_S, SILENT_LOOKS
from upbit_ingester.continuity.refetch import Target
from upbit_ingester.spool.gap_log import Gaps

CODES = ("KRW-BTC", "KRW-ETH", "KRW-NEW")


@pytest.fixture(params=["trade", "ticker", "orderbook"])
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Setting:
    return connected(Setting(request.param, tmp_path))


@pytest.fixture
def trades(tmp_path: Path) -> Setting:
    """KRW-NEW has had no trade."""
    trades = connected(Setting("trade", tmp_path, codes=CODES))
    trades.frame(3, code="KRW-ETH")
    trades.look(1.0)
    return trades


def connected(setting: Setting) -> Setting:
    setting.sink.connected(setting.codes)
    setting.snapshot(1)
    setting.frame(2)
    setting.look(1.0)
    return setting


def everything(since: int, until: int) -> list[Target]:
    return [Target(code, DAY_MS + since, 0, DAY_MS + until) for code in CODES]


def test_a_silence_that_ends_by_itself_is_a_gap_from_when_it_is_noticed(setting: Setting) -> None:
    setting.quiet(SILENT_LOOKS - 1)
    assert setting.metrics.open_gaps[setting.stream] == 0
    setting.quiet(1)
    assert setting.metrics.open_gaps[setting.stream] == 1
    setting.frame(9)
    assert setting.gaps() == ["silence"]


def test_a_pause_is_none(setting: Setting) -> None:
    for number in range(3, 9):
        setting.quiet(SILENT_LOOKS - 1)
        setting.frame(number)
        setting.look(1.0)
    assert setting.gaps() == []
    assert "gap" not in setting.marks()


def test_frames_that_are_refused_are_no_silence(setting: Setting) -> None:
    for number in range(2 * SILENT_LOOKS):
        setting.raw(b'{"type":"something else %d"}' % number)
        setting.look(1.0)
    setting.frame(9)
    assert setting.gaps() == []


def test_our_own_pause_is_no_silence(setting: Setting) -> None:
    setting.pump.full = True
    setting.quiet(2 * SILENT_LOOKS)
    setting.pump.full = False
    setting.frame(9)
    assert setting.gaps() == []


def test_a_lost_socket_is_no_silent_one(setting: Setting) -> None:
    setting.sink.lost("close_1006")
    setting.quiet(2 * SILENT_LOOKS)
    setting.sink.connected(setting.codes)
    setting.snapshot(2)
    setting.frame(9)
    assert setting.gaps() == []


def test_the_trades_of_every_code_are_fetched_behind_it(trades: Setting) -> None:
    trades.quiet(SILENT_LOOKS)
    trades.frame(9)
    assert trades.targets == everything(3, 9)
    assert trades.marks()[-5:] == ["gap", "gap", "baseline", "gap", "seen"]


def test_so_they_are_when_it_goes_on_behind_a_reconnect_that_has_missed_nothing(trades: Setting) -> None:
    trades.quiet(SILENT_LOOKS)
    trades.reconnect("silence")
    trades.snapshot(2)
    trades.snapshot(3, code="KRW-ETH")
    trades.targets.clear()
    trades.look(PROMPT_S)
    trades.frame(9)
    assert trades.targets == everything(3, 9)
    assert trades.gaps() == ["silence"]


def test_so_they_are_when_another_loss_came_first(trades: Setting) -> None:
    trades.reconnect("close_1006")
    trades.quiet(SILENT_LOOKS)
    trades.frame(9)
    assert trades.targets[-3:] == [Target("KRW-BTC", DAY_MS + 2, 0, DAY_MS + 9), *everything(3, 9)[1:]]
    assert trades.gaps() == ["silence"]


def test_so_they_are_when_the_process_is_killed_meanwhile(trades: Setting, tmp_path: Path) -> None:
    trades.quiet(SILENT_LOOKS)
    second = Setting("trade", tmp_path, trades.state, CODES)
    second.sink.connected(CODES)
    second.frame(9)
    assert second.targets[-3:] == [Target("KRW-BTC", DAY_MS + 2, 0, DAY_MS + 9), *everything(3, 9)[1:]]


def test_what_an_earlier_search_has_not_brought_yet_is_fetched_too(trades: Setting) -> None:
    trades.reconnect("close_1006")
    trades.snapshot(5)
    trades.frame(6)
    trades.quiet(SILENT_LOOKS + 1)
    trades.frame(9)
    assert trades.targets[-3:] == [Target("KRW-BTC", DAY_MS + 2, 0, DAY_MS + 9), *everything(6, 9)[1:]]


def test_a_silence_before_the_first_frame_ever_is_no_gap(tmp_path: Path) -> None:
    setting = Setting("trade", tmp_path)
    setting.sink.connected(setting.codes)
    setting.quiet(2 * SILENT_LOOKS)
    assert Gaps(tmp_path, Clock().wall_ms).get("trade") is None
