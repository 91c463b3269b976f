"""What the exchange published, by its own ledger, and what the lake holds of it: both by key, hour by hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from local.commands.query import rows
from local.home.setting import Setting
from tests.harness.waiting import until
from upbit_exchange.journal import ledger

Key = tuple[Any, ...]
Hour = tuple[str, str]
# Answers a query with its rows.
Lake = Callable[[str], list[dict[str, Any]]]
STREAMS = ("ticker", "trade", "orderbook")


@dataclass(frozen=True)
class Trade:
    """One trade, numbers exact."""

    code: str
    sequential_id: int
    time_ms: int
    price: Decimal
    volume: Decimal


@dataclass(frozen=True)
class Candle:
    """One window of a code: O/H/L/C ordered by (time, sequential_id), exact sums."""

    opening: Decimal
    high: Decimal
    low: Decimal
    closing: Decimal
    volume: Decimal
    value: Decimal
    count: int


@dataclass
class Published:
    """Events by stream and hour. `initial`: what a code showed before its first event; the lake may hold it too."""

    keys: dict[str, dict[Hour, set[Key]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    initial: dict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    trades: dict[Hour, list[Trade]] = field(default_factory=lambda: defaultdict(list))


class _Frame(msgspec.Struct):
    trade_price: Decimal
    trade_volume: Decimal


def hour_of(time_ms: int) -> Hour:
    """The lake's partition (dt, hh) of an event time, UTC."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return f"{moment:%Y-%m-%d}", f"{moment:%H}"


def key_of(stream: str, key: dict[str, Any]) -> Key:
    """A key as a tuple that compares by value: code first, integers, decimals without trailing zeros."""
    if stream == "trade":
        return key["code"], int(key["sequential_id"])
    if stream == "orderbook":
        return key["code"], int(key["timestamp"])
    return key["code"], int(key["timestamp"]), Decimal(str(key["acc_trade_volume"])).normalize()


def published(directory: Path | str) -> Published:
    """Reads the whole ledger."""
    found, frames = Published(), msgspec.json.Decoder(_Frame)
    for entry in ledger.read(directory):
        key = key_of(entry.stream, entry.key)
        if entry.kind == "initial":
            found.initial[entry.stream].add(key)
            continue
        hour = hour_of(entry.time)
        found.keys[entry.stream][hour].add(key)
        if entry.stream == "trade":
            frame = frames.decode(entry.frame)
            found.trades[hour].append(
                Trade(entry.code, int(entry.key["sequential_id"]), entry.time, frame.trade_price, frame.trade_volume)
            )
    return found


def candles(trades: Iterable[Trade], length_ms: int = 60_000) -> dict[Key, Candle]:
    """The candles of `trades`, each of so many ms, by (code, start in ms)."""
    windows: dict[Key, dict[int, Trade]] = defaultdict(dict)
    for trade in trades:
        windows[trade.code, trade.time_ms - trade.time_ms % length_ms][trade.sequential_id] = trade
    return {key: _candle(list(by_id.values())) for key, by_id in windows.items()}


def _candle(trades: list[Trade]) -> Candle:
    ordered = sorted(trades, key=lambda trade: (trade.time_ms, trade.sequential_id))
    prices = [trade.price for trade in ordered]
    volume = sum((trade.volume for trade in ordered), Decimal(0))
    value = sum((trade.price * trade.volume for trade in ordered), Decimal(0))
    return Candle(prices[0], max(prices), min(prices), prices[-1], volume, value, len(ordered))


def lake_of(setting: Setting) -> Lake:
    """The lake of a home."""
    return partial(rows, setting)


def lake_keys(lake: Lake, stream: str, hour: Hour | None = None) -> list[Key]:
    """Every key the lake holds, of one hour or of all; a list, so that a doubled key shows."""
    columns = {
        "trade": "code, sequential_id",
        "orderbook": "code, timestamp",
        "ticker": "code, timestamp, CAST(acc_trade_volume AS VARCHAR) AS acc_trade_volume",
    }
    found = lake(f"SELECT {columns[stream]} FROM {stream} {_where(hour)}")
    return [key_of(stream, row) for row in found]


def lake_trades(lake: Lake, hour: Hour) -> list[Trade]:
    """The lake's trades of an hour."""
    statement = (
        "SELECT code, sequential_id, trade_timestamp, CAST(trade_price AS VARCHAR) AS price, "
        f"CAST(trade_volume AS VARCHAR) AS volume FROM trade {_where(hour)}"
    )
    return [
        Trade(r["code"], int(r["sequential_id"]), int(r["trade_timestamp"]), Decimal(r["price"]), Decimal(r["volume"]))
        for r in lake(statement)
    ]


def lake_candles(lake: Lake, hour: Hour) -> dict[Key, tuple[Candle, int]]:
    """The lake's candles of an hour with their revision, by (code, start of the minute in ms)."""
    numbers = ("opening_price", "high_price", "low_price", "closing_price", "acc_trade_volume", "acc_trade_price")
    columns = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in numbers)
    statement = f"SELECT code, candle_start, {columns}, trade_count, revision FROM candle_1m {_where(hour)}"
    found = {}
    for row in lake(statement):
        start = datetime.fromisoformat(str(row["candle_start"])).replace(tzinfo=UTC)
        opening, high, low, closing, volume, value = (Decimal(row[name]) for name in numbers)
        candle = Candle(opening, high, low, closing, volume, value, int(row["trade_count"]))
        found[row["code"], int(start.timestamp() * 1000)] = (candle, int(row["revision"]))
    return found


def lake_revisions(lake: Lake, hour: Hour) -> set[int]:
    """The revisions of an hour's candles: {1} once all are recomputed."""
    return {revision for _, revision in lake_candles(lake, hour).values()}


def assert_trades_and_candles_are_exact(lake: Lake, ledger: Published, hour: Hour) -> None:
    """A closed hour of the lake holds each trade once, to the digit, and exactly their candles."""
    expected = {(t.code, t.sequential_id): t for t in ledger.trades[hour]}
    found = lake_trades(lake, hour)
    assert expected, f"the exchange published no trade in {hour}: the test shows nothing"
    assert len(found) == len({(t.code, t.sequential_id) for t in found}), f"a key stands twice in {hour}"
    assert {(t.code, t.sequential_id): t for t in found} == expected
    assert sum(t.volume for t in found) == sum(t.volume for t in expected.values())
    assert sum(t.price * t.volume for t in found) == sum(t.price * t.volume for t in expected.values())
    kept = lake_candles(lake, hour)
    assert {key: candle for key, (candle, _) in kept.items()} == candles(expected.values())
    assert {revision for _, revision in kept.values()} == {1}, f"{hour} was not recomputed exactly"


def assert_each_key_stands_once(lake: Lake, ledger: Published, stream: str, hour: Hour) -> None:
    """An hour of the lake holds each event that was published, once."""
    found = lake_keys(lake, stream, hour)
    assert len(found) == len(set(found)), f"a key stands twice in {hour}"
    assert set(found) - ledger.initial[stream] == ledger.keys[stream][hour] - ledger.initial[stream]


def assert_no_trade_is_missing(lake: Lake, ledger: Published) -> None:
    """Every trade of the ledger reaches the lake, once."""
    published = {key for keys in ledger.keys["trade"].values() for key in keys}

    def missing() -> set[Key]:
        found = lake_keys(lake, "trade")
        assert len(found) == len(set(found)), "a trade stands twice"
        return published - set(found)

    until("every published trade in the lake", lambda: not missing(), 180, every_s=5)


def _where(hour: Hour | None) -> str:
    if hour is None:
        return ""
    return f"WHERE dt = '{hour[0]}' AND hh = '{hour[1]}'"
