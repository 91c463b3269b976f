"""Minute candles: exact sums of the trades, no candle for a window without trades."""

from __future__ import annotations

import msgspec

from upbit_exchange.history import History

UNITS = (1, 3, 5, 10, 15, 30, 60, 240)
MINUTE_MS = 60_000


class Candle(msgspec.Struct, frozen=True):
    """A window [start_ms, start_ms + unit minutes). Prices and volume in 10^-8, value in 10^-16, `last_ms` of a match.

    Opening and closing trade by (trade_timestamp, sequential_id).
    """

    start_ms: int
    opening: int
    high: int
    low: int
    closing: int
    volume: int
    value: int
    last_ms: int


def window(history: History, code: str, start_ms: int, end_ms: int) -> Candle | None:
    """The candle of one window, None without trades."""
    trades = list(history.trades(code, start_ms, end_ms))
    if not trades:
        return None
    prices = [trade.price for trade in trades]
    return Candle(
        start_ms,
        opening=prices[0],
        high=max(prices),
        low=min(prices),
        closing=prices[-1],
        volume=sum(trade.volume for trade in trades),
        value=sum(trade.price * trade.volume for trade in trades),
        last_ms=trades[-1].ms,
    )


def newest(history: History, code: str, unit: int, to_ms: int, count: int) -> list[Candle]:
    """At most `count` candles of `unit` minutes that start before `to_ms`, newest first.

    The window that is still running is there as far as it got, without a mark, as on the exchange.
    """
    length = unit * MINUTE_MS
    end = -(-to_ms // length) * length
    candles: list[Candle] = []
    while len(candles) < count:
        last = history.newest_before(code, end)
        if last is None:
            break
        start = last - last % length
        candle = window(history, code, start, start + length)
        if candle is not None:
            candles.append(candle)
        end = start
    return candles
