"""A candle is the exact sum of its window's trades; a window without trades has none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from operator import mul

import msgspec

from upbit_exchange.clock import DAY_MS
from upbit_exchange.market.history import History
from upbit_exchange.market.tape import MINUTE_MS
from upbit_exchange.wire.names import CANDLES, Channel

SECOND_MS = 1_000
UNITS = (1, 3, 5, 10, 15, 30, 60, 240)
# A candle is stamped when its last trade was stored: so much after the match in the one second that was recorded.
STORED_AFTER_MS = 37

# A moment (ms) -> begin and end (ms) of the window that holds it.
Window = Callable[[int], tuple[int, int]]


def _fixed(length: int, origin: int = 0) -> Window:
    def window(ms: int) -> tuple[int, int]:
        start = ms - (ms - origin) % length
        return start, start + length

    return window


def _calendar(months: int) -> Window:
    def window(ms: int) -> tuple[int, int]:
        moment = datetime.fromtimestamp(ms // 1000, UTC)
        month = moment.year * 12 + moment.month - 1
        month -= month % months
        begin, end = (datetime(m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in (month, month + months))
        return int(begin.timestamp()) * 1000, int(end.timestamp()) * 1000

    return window


# By the last part of the REST path. Weeks begin on Monday: 1970-01-05 was one.
WINDOWS: dict[str, Window] = {
    "seconds": _fixed(SECOND_MS),
    **{f"minutes/{unit}": _fixed(unit * MINUTE_MS) for unit in UNITS},
    "days": _fixed(DAY_MS),
    "weeks": _fixed(7 * DAY_MS, 4 * DAY_MS),
    "months": _calendar(1),
    "years": _calendar(12),
}
CHANNEL_WINDOWS: dict[Channel, Window] = {
    channel: WINDOWS["seconds" if channel == "candle.1s" else f"minutes/{channel[7:-1]}"] for channel in CANDLES
}


class Candle(msgspec.Struct, frozen=True):
    """A window that begins at `start_ms`. Prices and volume in 10^-8, value in 10^-16.

    Opening and closing trade by (trade_timestamp, sequential_id); `stamp_ms` and `previous_close` are of the latter.
    """

    start_ms: int
    opening: int
    high: int
    low: int
    closing: int
    volume: int
    value: int
    stamp_ms: int
    previous_close: int


def between(history: History, code: str, start_ms: int, end_ms: int) -> Candle | None:
    """Returns the candle of the trades of [start_ms, end_ms), None without trades."""
    rows = history.rows(code, start_ms, end_ms)
    if rows is None:
        return None
    return Candle(
        start_ms,
        opening=rows.prices[0],
        high=max(rows.prices),
        low=min(rows.prices),
        closing=rows.prices[-1],
        volume=sum(rows.volumes),
        value=sum(map(mul, rows.prices, rows.volumes)),
        stamp_ms=rows.last_ms + STORED_AFTER_MS,
        previous_close=rows.last_close,
    )


def newest(
    history: History, code: str, window: Window, to_ms: int, count: int, visible_ms: int = 1 << 62
) -> list[Candle]:
    """Returns at most `count` candles that begin before `to_ms`, newest first, of the trades before `visible_ms`.

    The window that is still running is there as far as it got, without a mark, as on the exchange.
    """
    candles: list[Candle] = []
    end = window(to_ms - 1)[1] if to_ms > 0 else 0
    while len(candles) < count:
        last = history.newest_before(code, min(end, visible_ms))
        if last is None:
            break
        start, stop = window(last)
        candle = between(history, code, start, min(stop, visible_ms))
        if candle is not None:
            candles.append(candle)
        end = start
    return candles
