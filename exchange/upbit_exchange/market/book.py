"""An order book on the KRW tick grid: 30 levels a side, always whole, totals always the exact sum of the levels."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import chain

from upbit_exchange.wire import spelling
from upbit_exchange.wire.spelling import UNIT

DEPTH = 30

# KRW ticks since 2025-07-31: from this price (10^-8 KRW) on, this tick.
_TICKS: tuple[tuple[int, int], ...] = (
    (0, 1),
    (UNIT // 10**5, UNIT // 10**7),
    (UNIT // 10**4, UNIT // 10**6),
    (UNIT // 1000, UNIT // 10**5),
    (UNIT // 100, UNIT // 10**4),
    (UNIT // 10, UNIT // 1000),
    (UNIT, UNIT // 100),
    (10 * UNIT, UNIT // 10),
    (100 * UNIT, UNIT),
    (5_000 * UNIT, 5 * UNIT),
    (10_000 * UNIT, 10 * UNIT),
    (50_000 * UNIT, 50 * UNIT),
    (100_000 * UNIT, 100 * UNIT),
    (500_000 * UNIT, 500 * UNIT),
    (1_000_000 * UNIT, 1000 * UNIT),
)
_FROM = [start for start, _ in _TICKS]


def tick(price: int) -> int:
    """Returns the tick that holds from `price` upwards, in 10^-8 KRW."""
    return _TICKS[bisect_right(_FROM, price) - 1][1]


def up(price: int) -> int:
    """Returns the next price of the grid above."""
    return price + tick(price)


def down(price: int) -> int:
    """Returns the next price of the grid below (never under one unit)."""
    return max(price - tick(price - 1), 1)


def on_grid(price: int) -> int:
    """Returns the highest price of the grid not above `price`."""
    return price - price % tick(price)


class Side:
    """One side, best level first. Texts are kept beside the numbers: a frame re-spells only what changed."""

    __slots__ = ("_outward", "price_text", "prices", "size_text", "sizes", "total")

    def __init__(self, outward: Callable[[int], int]) -> None:
        self._outward = outward
        self.prices: list[int] = []
        self.sizes: list[int] = []
        self.price_text: list[str] = []
        self.size_text: list[str] = []
        self.total = 0

    def insert(self, index: int, price: int, size: int) -> None:
        """Inserts a level; a level that is then deeper than DEPTH leaves the book."""
        self.prices.insert(index, price)
        self.sizes.insert(index, size)
        self.price_text.insert(index, spelling.java_double(price))
        self.size_text.insert(index, spelling.decimal8(size))
        self.total += size
        if len(self.prices) > DEPTH:
            self.remove(DEPTH)

    def remove(self, index: int) -> None:
        """Removes a level."""
        self.total -= self.sizes[index]
        for values in (self.prices, self.sizes, self.price_text, self.size_text):
            del values[index]

    def resize(self, index: int, size: int) -> None:
        """Sets the size of a level."""
        self.total += size - self.sizes[index]
        self.sizes[index] = size
        self.size_text[index] = spelling.decimal8(size)

    def deeper(self, steps: int) -> int:
        """Returns a price `steps` ticks behind the deepest level."""
        price = self.prices[-1]
        for _ in range(steps):
            price = self._outward(price)
        return price


_UNITS = ",".join(['{"ask_price":%s,"bid_price":%s,"ask_size":%s,"bid_size":%s}'] * DEPTH)
_FRAME = (
    '{"type":"orderbook","code":"%s","timestamp":%d,"total_ask_size":%s,"total_bid_size":%s,"orderbook_units":['
    + _UNITS
    + '],"stream_type":"REALTIME","level":0}'
)


class Book:
    """A book holds both sides. Prices and sizes are integers of 10^-8."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.asks = Side(up)
        self.bids = Side(down)

    def frame(self, code: str, timestamp: int) -> bytes:
        """Returns the book as a DEFAULT REALTIME frame in the wire's spelling."""
        asks, bids = self.asks, self.bids
        levels = zip(asks.price_text, bids.price_text, asks.size_text, bids.size_text, strict=True)
        totals = (spelling.decimal8(asks.total), spelling.decimal8(bids.total))
        return (_FRAME % (code, timestamp, *totals, *chain.from_iterable(levels))).encode()

    def load(self, levels: list[dict[str, str]]) -> None:
        """Takes over the levels of a published frame."""
        for side, name in ((self.asks, "ask"), (self.bids, "bid")):
            for level in levels:
                price, size = spelling.units(level[f"{name}_price"]), spelling.units(level[f"{name}_size"])
                side.insert(len(side.prices), price, size)
