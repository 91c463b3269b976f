"""REST writes what was published with keys in wire order and values as raw JSON text.

Numbers are spelled as on Upbit's REST, which differs from its WebSocket: trades and candles with fixed 8 decimals,
`change_price` of trades signed, order-book prices plain.
"""

from __future__ import annotations

import msgspec

from upbit_exchange.market import levels
from upbit_exchange.market.candles import Candle
from upbit_exchange.market.history import Trade
from upbit_exchange.market.tape import KST_MS, utc
from upbit_exchange.wire import frames, spelling

_PERIODS = ("weeks", "months", "years")


def quoted(text: str) -> str:
    """A JSON string."""
    return msgspec.json.encode(text).decode()


def tick(code: str, trade: Trade, close: int) -> dict[str, str]:
    """A trade as REST writes it."""
    date, time = utc(trade.ms)
    return {
        "market": quoted(code),
        "trade_date_utc": quoted(date),
        "trade_time_utc": quoted(time),
        "timestamp": str(trade.ms),
        "trade_price": spelling.fixed8(trade.price),
        "trade_volume": spelling.fixed8(trade.volume),
        "prev_closing_price": spelling.fixed8(close),
        "change_price": spelling.fixed8(trade.price - close),
        "ask_bid": quoted(trade.side),
        "sequential_id": str(trade.sequential_id),
    }


def candle(code: str, found: Candle, kind: str) -> dict[str, str]:
    """A candle; `kind` is the path's last part: `seconds`, `minutes/5`, `days`, `weeks`, `months`, `years`."""
    values = {
        "market": quoted(code),
        "candle_date_time_utc": quoted("T".join(utc(found.start_ms))),
        "candle_date_time_kst": quoted("T".join(utc(found.start_ms + KST_MS))),
        "opening_price": spelling.fixed8(found.opening),
        "high_price": spelling.fixed8(found.high),
        "low_price": spelling.fixed8(found.low),
        "trade_price": spelling.fixed8(found.closing),
        "timestamp": str(found.stamp_ms),
        "candle_acc_trade_price": spelling.product(found.value),
        "candle_acc_trade_volume": spelling.fixed8(found.volume),
    }
    if kind.startswith("minutes/"):
        return values | {"unit": kind.removeprefix("minutes/")}
    if kind == "days":
        change = found.closing - found.previous_close
        return values | {
            "prev_closing_price": spelling.fixed8(found.previous_close),
            "change_price": spelling.fixed8(change),
            "change_rate": _fixed(spelling.rate(change, found.previous_close), 10),
        }
    return values | ({"first_day_of_period": quoted(utc(found.start_ms)[0])} if kind in _PERIODS else {})


_TICKER_PRICES = ("opening_price", "high_price", "low_price", "trade_price", "prev_closing_price")
_TICKER_CHANGES = ("change_price", "change_rate", "signed_change_price", "signed_change_rate")
_TICKER_YEAR = ("highest_52_week_price", "highest_52_week_date", "lowest_52_week_price", "lowest_52_week_date")


def _fixed(text: str, scale: int = 8) -> str:
    return spelling.fixed8(spelling.units(text)) if scale == 8 else f"{spelling.exact(text):.{scale}f}"


def ticker(code: str, values: dict[str, str]) -> dict[str, str]:
    """The last ticker frame as REST writes it. Fields that a recording lacks are left out."""
    spelled = {name: _fixed(value) for name, value in values.items() if name.endswith(("price", "volume"))}
    spelled |= {name: values[name] for name in _TICKER_YEAR if name.endswith("date") and name in values}
    for name in _TICKER_CHANGES:
        if name in values:
            even = spelling.exact(values[name]) == 0
            spelled[name] = "0" if even else _fixed(values[name], 10 if name.endswith("rate") else 8)
    for name, scale in (("acc_trade_price", None), ("acc_trade_price_24h", 16)):
        if name in values:
            plain = f"{spelling.exact(values[name]):.16f}"
            spelled[name] = plain if scale else plain.rstrip("0").rstrip(".")
    if "acc_trade_volume_24h" in values:
        spelled["acc_trade_volume_24h"] = _fixed(values["acc_trade_volume_24h"])
    kst = utc(int(values.get("trade_timestamp", "0")) + KST_MS)
    spelled["trade_date_kst"] = quoted(kst[0].replace("-", ""))
    spelled["trade_time_kst"] = quoted(kst[1].replace(":", ""))
    order = (
        *("trade_date", "trade_time", "trade_date_kst", "trade_time_kst", "trade_timestamp"),
        *_TICKER_PRICES,
        "change",
        *_TICKER_CHANGES,
        *("trade_volume", "acc_trade_price", "acc_trade_price_24h", "acc_trade_volume", "acc_trade_volume_24h"),
        *_TICKER_YEAR,
        "timestamp",
    )
    known = values | spelled
    return {"market": quoted(code)} | {name: known[name] for name in order if name in known}


def orderbook(code: str, values: dict[str, str], count: int, level: int) -> dict[str, str]:
    """The last book as REST writes it, gathered at `level` (10^-8): bids first within a level, plain prices."""
    if level:
        values = levels.gathered(values, level)
    names = ("bid_price", "bid_size", "ask_price", "ask_size")
    units = [
        {name: spelling.stripped(spelling.units(unit[name])) for name in names if name in unit}
        for unit in frames.units(values["orderbook_units"])[:count]
    ]
    totals = {
        name: spelling.stripped(spelling.units(values[name]))
        for name in ("total_ask_size", "total_bid_size")
        if name in values
    }
    head = {"market": quoted(code), "timestamp": values["timestamp"]}
    return head | totals | {"orderbook_units": frames.units_text(units), "level": values.get("level", "0")}
