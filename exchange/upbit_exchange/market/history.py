"""The history holds the published trades by (match time, sequential_id), for REST and the candles."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import msgspec

from upbit_exchange.clock import DAY_MS
from upbit_exchange.wire import frames, spelling
from upbit_exchange.wire.names import Event

REACH_MS = 9 * DAY_MS
_PRUNE_EVERY = 4096
_LIMIT = 1 << 63


class Trade(msgspec.Struct, frozen=True):
    """One match. Price and volume in 10^-8, `ms` = trade_timestamp, `side` = the taker's: BID bought."""

    ms: int
    price: int
    volume: int
    side: str
    sequential_id: int


class Rows(msgspec.Struct, frozen=True):
    """Trades of one market in order: their prices and volumes (10^-8), time (ms) and previous close of the last."""

    prices: Sequence[int]
    volumes: Sequence[int]
    last_ms: int
    last_close: int


class ColumnsDump(msgspec.Struct, frozen=True):
    """The trades of one market as bytes of this machine."""

    first_close: int
    columns: list[bytes]


class _Columns:
    """The trades of one market, 41 bytes each."""

    __slots__ = ("close", "first_close", "ids", "ms", "price", "side", "volume")

    def __init__(self, first_close: int) -> None:
        self.first_close = first_close
        self.ms, self.ids, self.price, self.volume, self.close = (array("q") for _ in range(5))
        self.side = array("b")

    def _all(self) -> tuple[array[int], ...]:
        return self.ms, self.ids, self.price, self.volume, self.close, self.side

    def place(self, ms: int, sequential_id: int) -> int | None:
        """Where a trade belongs; None if it is there already."""
        index = len(self.ms)
        while index and (self.ms[index - 1], self.ids[index - 1]) > (ms, sequential_id):
            index -= 1
        if index and (self.ms[index - 1], self.ids[index - 1]) == (ms, sequential_id):
            return None
        return index

    def insert(self, index: int, row: tuple[int, ...]) -> None:
        for column, value in zip(self._all(), row, strict=True):
            column.insert(index, value)

    def dump(self) -> ColumnsDump:
        return ColumnsDump(self.first_close, [column.tobytes() for column in self._all()])

    @classmethod
    def load(cls, dump: ColumnsDump) -> _Columns:
        columns = cls(dump.first_close)
        for column, data in zip(columns._all(), dump.columns, strict=True):
            column.frombytes(data)
        return columns

    def prune(self, before_ms: int) -> None:
        count = bisect_left(self.ms, before_ms)
        for column in self._all():
            del column[:count]


class History:
    """Trades by code. Keeps `REACH_MS` back from the newest trade of a code: more than REST reaches."""

    def __init__(self) -> None:
        self._codes: dict[str, _Columns] = {}

    def add(self, event: Event) -> None:
        """Adds a trade event (once: a repeated one is the same trade).

        KeyError, ValueError or ArithmeticError when a recorded trade lacks a field or holds no number in it.
        """
        fields = frames.fields(event.frame)
        close_text = fields.get("prev_closing_price", "null")
        close = 0 if close_text == "null" else spelling.units(close_text)
        price, volume = spelling.units(fields["trade_price"]), spelling.units(fields["trade_volume"])
        side = 1 if fields["ask_bid"] == '"BID"' else 0
        row = (event.time, int(fields["sequential_id"]), price, volume, close, side)
        if not all(-_LIMIT <= value < _LIMIT for value in row):
            raise OverflowError(f"a number of this trade needs more than 64 bits: {row}")
        columns = self._codes.setdefault(event.code, _Columns(close))
        index = columns.place(row[0], row[1])
        if index is None:
            return
        columns.insert(index, row)
        if len(columns.ms) % _PRUNE_EVERY == 0:
            # Whole days: what is left of a day must still sum up to its candle.
            columns.prune((columns.ms[-1] - REACH_MS) // DAY_MS * DAY_MS)

    def dump(self) -> dict[str, ColumnsDump]:
        """Returns all trades, to be stored in a file of this machine."""
        return {code: columns.dump() for code, columns in self._codes.items()}

    def load(self, dump: dict[str, ColumnsDump]) -> None:
        """Takes over what `dump` returned. ValueError when it is not whole."""
        self._codes = {code: _Columns.load(columns) for code, columns in dump.items()}

    def first_close(self, code: str) -> int:
        """Returns the previous close (10^-8) at the code's first trade."""
        return self._codes[code].first_close

    def trades(self, code: str, from_ms: int = 0, to_ms: int = 1 << 62) -> Iterator[Trade]:
        """Returns trades with `from_ms` <= trade_timestamp < `to_ms`, oldest first."""
        columns = self._codes.get(code)
        if columns is None:
            return
        for index in range(bisect_left(columns.ms, from_ms), bisect_left(columns.ms, to_ms)):
            yield _trade(columns, index)

    def rows(self, code: str, from_ms: int, to_ms: int) -> Rows | None:
        """Returns trades with `from_ms` <= trade_timestamp < `to_ms`, None if there are none."""
        columns = self._codes.get(code)
        if columns is None:
            return None
        first, end = bisect_left(columns.ms, from_ms), bisect_left(columns.ms, to_ms)
        if first >= end:
            return None
        return Rows(columns.price[first:end], columns.volume[first:end], columns.ms[end - 1], columns.close[end - 1])

    def last_price(self, code: str, before_ms: int = 1 << 62) -> int | None:
        """Returns the price (10^-8) of the newest trade before `before_ms`, None if there is none."""
        columns = self._codes.get(code)
        index = bisect_left(columns.ms, before_ms) if columns else 0
        return columns.price[index - 1] if columns and index else None

    def newest(
        self, code: str, from_ms: int, to_ms: int, cursor: int | None, count: int
    ) -> Iterator[tuple[Trade, int]]:
        """Returns at most `count` trades of [from_ms, to_ms), newest first, each with its previous close.

        With `cursor` only trades whose sequential_id is smaller.
        """
        columns = self._codes.get(code)
        if columns is None:
            return
        first, index = bisect_left(columns.ms, from_ms), bisect_left(columns.ms, to_ms)
        if cursor is not None:
            index = bisect_left(columns.ids, cursor, first, index)
        for row in range(index - 1, max(first, index - count) - 1, -1):
            yield _trade(columns, row), columns.close[row]

    def has(self, code: str, sequential_id: int) -> bool:
        """Returns whether the code has a trade of this sequential_id."""
        columns = self._codes.get(code)
        index = bisect_left(columns.ids, sequential_id) if columns else 0
        return columns is not None and index < len(columns.ids) and columns.ids[index] == sequential_id

    def newest_before(self, code: str, ms: int) -> int | None:
        """Returns the time of the newest trade before `ms`, None if there is none."""
        columns = self._codes.get(code)
        index = bisect_left(columns.ms, ms) if columns else 0
        return columns.ms[index - 1] if columns and index else None


def _trade(columns: _Columns, row: int) -> Trade:
    side = "BID" if columns.side[row] else "ASK"
    return Trade(columns.ms[row], columns.price[row], columns.volume[row], side, columns.ids[row])
