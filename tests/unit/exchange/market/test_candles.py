"""Candles: windows of every unit, and the channels of the WebSocket."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from upbit_exchange.journal.board import Board
from upbit_exchange.market import candles, listing
from upbit_exchange.market.candle_feed import CandleFeed
from upbit_exchange.market.market import LocalMarket
from upbit_exchange.wire import frames, spelling
from upbit_exchange.wire.names import CANDLES, Channel, Event, Update

CODE = "KRW-BTC"
START = int(datetime(2026, 11, 23, 3, 0, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("kind", "moment", "begin", "end"),
    [
        ("seconds", "2026-11-23T03:04:05.999", "2026-11-23T03:04:05", "2026-11-23T03:04:06"),
        ("minutes/240", "2026-11-23T03:59:59", "2026-11-23T00:00:00", "2026-11-23T04:00:00"),
        ("days", "2026-11-23T23:59:59", "2026-11-23T00:00:00", "2026-11-24T00:00:00"),
        ("weeks", "2026-11-29T23:59:59", "2026-11-23T00:00:00", "2026-11-30T00:00:00"),
        ("weeks", "2026-11-23T00:00:00", "2026-11-23T00:00:00", "2026-11-30T00:00:00"),
        ("months", "2028-02-29T12:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
        ("months", "2026-12-31T23:59:59", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("years", "2026-11-23T00:00:00", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_windows_begin_where_upbit_s_do(kind: str, moment: str, begin: str, end: str) -> None:
    ms, first, last = (int(datetime.fromisoformat(f"{t}+00:00").timestamp() * 1000) for t in (moment, begin, end))
    assert candles.WINDOWS[kind](ms) == (first, last)
    assert candles.WINDOWS[kind](first) == (first, last)
    assert candles.WINDOWS[kind](last - 1) == (first, last)


def trade(ms: int, price: str, volume: str, n: int = 0, code: str = CODE) -> Event:
    sid = ms * 10_000 + n
    frame = (
        f'{{"type":"trade","code":"{code}","trade_timestamp":{ms},"trade_price":{price},"trade_volume":{volume},'
        f'"ask_bid":"BID","prev_closing_price":100.00000000,"sequential_id":{sid}}}'
    )
    return Event("trade", code, {"code": code, "sequential_id": str(sid)}, ms, frame.encode())


class Watched:
    """A feed behind a board. Each trade is published at its time here."""

    def __init__(self, *wanted: tuple[Channel, str]) -> None:
        self.board = Board()
        self.feed = CandleFeed(self.board.history)
        self.feed.want(wanted)

    def publish(self, *events: Event) -> None:
        for event in events:
            self.board.apply(event)
        self.feed.published(events)

    def due(self, ms: int) -> list[dict[str, Any]]:
        return [json.loads(update.frame, parse_float=Decimal) for update in self.feed.due(ms)]


def test_a_frame_as_the_wire_writes_it() -> None:
    watched = Watched(("candle.1m", CODE))
    watched.publish(trade(START + 1_000, "91180000", "0.07477688"), trade(START + 1_500, "91180000", "0.00711874"))
    (update,) = watched.feed.due(START + 2_060)
    assert update == Update(
        "candle.1m",
        CODE,
        b'{"type":"candle.1m","code":"KRW-BTC","candle_date_time_utc":"2026-11-23T03:00:00",'
        b'"candle_date_time_kst":"2026-11-23T12:00:00","opening_price":91180000.00000000,'
        b'"high_price":91180000.00000000,"low_price":91180000.00000000,"trade_price":91180000.00000000,'
        b'"candle_acc_trade_volume":0.08189562,"candle_acc_trade_price":7467242.63160000,"timestamp":%d,'
        b'"stream_type":"REALTIME"}' % (START + 1_537),
    )
    short = json.loads(frames.simple("candle.1m", update.frame))
    assert list(short) == ["ty", "cd", "cdttmu", "cdttmk", "op", "hp", "lp", "tp", "catv", "catp", "tms", "st"]
    tiny = trade(START + 3_000, "0.00000113", "0.00000001", code="BTC-ITAM")
    watched.feed.want([("candle.1s", "BTC-ITAM")])
    watched.publish(tiny)
    text = watched.feed.due(START + 4_060)[0].frame
    assert b'"opening_price":0.00000113,' in text
    assert b'"candle_acc_trade_price":0.0000000000000113,' in text


def test_once_a_second_and_only_when_a_trade_changed_it() -> None:
    watched = Watched(("candle.1m", CODE))
    watched.publish(trade(START + 100, "10", "1"), trade(START + 200, "12", "1"), trade(START + 900, "11", "2"))
    assert watched.due(START + 1_059) == []
    (first,) = watched.due(START + 1_060)
    assert (first["opening_price"], first["high_price"], first["low_price"], first["trade_price"]) == (10, 12, 10, 11)
    assert (first["candle_acc_trade_volume"], first["candle_acc_trade_price"]) == (4, 44)
    assert watched.due(START + 1_080) == []
    assert watched.due(START + 2_060) == []
    watched.publish(trade(START + 2_500, "9", "1"), trade(START + 2_500, "13", "1", code="KRW-ETH"))
    (second,) = watched.due(START + 3_060)
    assert (second["candle_date_time_utc"], second["low_price"]) == ("2026-11-23T03:00:00", 9)
    # Published twice: the trade is the same, the candle too.
    watched.publish(trade(START + 3_500, "9", "1"))
    assert len(watched.due(START + 4_060)) == 1
    watched.publish(trade(START + 3_500, "9", "1"))
    assert watched.due(START + 5_060) == []


def test_a_window_that_is_over_is_never_sent_again() -> None:
    watched = Watched(("candle.1s", CODE), ("candle.1m", CODE))
    watched.publish(trade(START + 59_990, "10", "1"))
    assert [c["candle_date_time_utc"][-8:] for c in watched.due(START + 60_060)] == ["03:00:59", "03:00:00"]
    watched.publish(trade(START + 59_995, "11", "1"))
    assert watched.due(START + 61_060) == []
    watched.publish(trade(START + 61_200, "12", "1"))
    assert [c["candle_date_time_utc"][-8:] for c in watched.due(START + 62_060)] == ["03:01:01", "03:01:00"]


def test_the_snapshot_is_the_running_candle_or_the_one_before() -> None:
    watched = Watched()
    assert watched.feed.latest("candle.1m", CODE, START) is None
    watched.publish(trade(START + 100, "10", "1"))
    for now in (START + 500, START + 3_600_000):
        shown = watched.feed.latest("candle.1m", CODE, now)
        assert shown is not None
        assert json.loads(shown.frame)["candle_date_time_utc"] == "2026-11-23T03:00:00"
        assert frames.snapshot(shown.frame).endswith(b'"stream_type":"SNAPSHOT"}')


@pytest.mark.parametrize("step_ms", [20, 7_000])
def test_the_last_frame_of_every_window_is_the_exact_sum_of_its_trades(step_ms: int) -> None:
    """At the exchange's own pace, and when its clock runs so fast that many seconds pass between two looks."""
    source = LocalMarket(listing.markets(3), 60, 5, START, spelling.dotted)
    watched = Watched(*((channel, code.code) for channel in CANDLES for code in source.markets))
    last: dict[tuple[str, str, str], dict[str, Any]] = {}
    stamps: dict[tuple[str, str], list[int]] = {}
    end = START + 150_000
    for now in range(START, end + step_ms, step_ms):
        watched.publish(*source.take(now, 10**9))
        for candle in watched.due(now):
            last[candle["type"], candle["code"], candle["candle_date_time_utc"]] = candle
            stamps.setdefault((candle["type"], candle["code"]), []).append(now // step_ms)
    names = ("opening_price", "high_price", "low_price", "trade_price", "candle_acc_trade_volume")
    checked = 0
    for (channel, code, begin), candle in last.items():
        start, stop = candles.CHANNEL_WINDOWS[channel](  # type: ignore[index]
            int(datetime.fromisoformat(f"{begin}+00:00").timestamp() * 1000)
        )
        if stop > end - 1_000:
            continue
        exact = candles.between(watched.board.history, code, start, stop)
        assert exact is not None
        values = (exact.opening, exact.high, exact.low, exact.closing, exact.volume)
        assert [candle[name] * spelling.UNIT for name in names] == list(values)
        assert candle["candle_acc_trade_price"] * spelling.PRODUCT == exact.value
        checked += 1
    assert checked > 300
    if step_ms == 20:
        # At most one frame a second: 50 looks.
        for (channel, _), looks in stamps.items():
            assert all(later - earlier >= 49 for earlier, later in pairwise(looks)), channel
    traded = {(t.ms // 1000) for t in watched.board.history.trades(CODE, START, end - 1_000)}
    assert traded <= {
        int(datetime.fromisoformat(f"{begin}+00:00").timestamp())
        for channel, code, begin in last
        if (channel, code) == ("candle.1s", CODE)
    }


def test_nothing_is_computed_for_codes_without_a_subscriber() -> None:
    watched = Watched(("trade", CODE), ("candle.1m", "KRW-ETH"))
    watched.publish(trade(START + 100, "10", "1"), trade(START + 100, "10", "1", code="KRW-ETH"))
    assert [c["code"] for c in watched.due(START + 1_060)] == ["KRW-ETH"]
    watched.feed.want([])
    watched.publish(trade(START + 1_100, "10", "1", code="KRW-ETH"))
    assert watched.due(START + 2_060) == []
