"""A level gathers an order book at coarser prices; each market has its own levels. Units of 10^-8."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from upbit_exchange.market.book import tick
from upbit_exchange.wire import frames, spelling
from upbit_exchange.wire.spelling import UNIT

_USDT_COARSEST = UNIT // 100


def units(level: float) -> int:
    """Returns a request's level in 10^-8; -1, which no market has, for an invalid one."""
    try:
        return spelling.units(str(level))
    except (ValueError, ArithmeticError):
        return -1


def tick_size(code: str, price: int) -> int:
    """Returns the market's tick at `price`, in its quote currency."""
    quote = code.partition("-")[0]
    if quote == "KRW":
        return tick(price)
    if quote == "USDT":
        # 0.01 from 10 USDT on, then a tenth for each decimal place that the price is lower.
        return max(min(int(10 ** (len(str(price)) - 4)), _USDT_COARSEST), 1)
    return 1


def supported(code: str, price: int) -> list[int]:
    """Returns the market's levels: 0 = not gathered; KRW markets also have tick x 10, x 100, ... up to the price.

    Upbit states them so for KRW-BTC.
    """
    found = [0]
    level = 10 * tick_size(code, price)
    while code.startswith("KRW-") and level <= price:
        found.append(level)
        level *= 10
    return found


def _gathered(orders: Iterable[tuple[int, int]], level: int, round_up: bool) -> list[tuple[int, int]]:
    sizes: dict[int, int] = {}
    for price, size in orders:
        shown = -(-price // level) * level if round_up else price // level * level
        if size:
            sizes[shown] = sizes.get(shown, 0) + size
    return list(sizes.items())


def gathered(values: Mapping[str, str], level: int) -> dict[str, str]:
    """Returns the fields of a DEFAULT book, asks rounded up and bids down to `level`; the shorter side ends in zeros.

    KeyError, ValueError or ArithmeticError when a recorded book lacks a field or holds no number in it.
    """
    orders = frames.units(values["orderbook_units"])
    sides = {
        side: _gathered(
            ((spelling.units(order[f"{side}_price"]), spelling.units(order[f"{side}_size"])) for order in orders),
            level,
            round_up=side == "ask",
        )
        for side in ("ask", "bid")
    }
    depth = max(map(len, sides.values()))
    asks, bids = ([*found, *[(0, 0)] * (depth - len(found))] for found in sides.values())
    shown = [
        {
            "ask_price": _price(ask_price),
            "bid_price": _price(bid_price),
            "ask_size": _size(ask_size),
            "bid_size": _size(bid_size),
        }
        for (ask_price, ask_size), (bid_price, bid_size) in zip(asks, bids, strict=True)
    ]
    return {**values, "orderbook_units": frames.units_text(shown), "level": spelling.stripped(level)}


def book(frame: bytes, level: int) -> bytes:
    """Returns a DEFAULT book's frame gathered at `level` (0 = as it is; so too a recorded book without numbers)."""
    if not level:
        return frame
    try:
        return frames.join(gathered(frames.fields(frame), level))
    except (KeyError, ValueError, ArithmeticError):
        return frame


def _price(price: int) -> str:
    return spelling.java_double(price) if price else "0"


def _size(size: int) -> str:
    return spelling.decimal8(size) if size else "0"
