"""A fault turns a published event into another valid one, which the ledger then holds.

Frames are rewritten field by field; numbers that a fault does not concern keep their text.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal

from upbit_exchange.faults.catalogue import Order
from upbit_exchange.market.tape import utc
from upbit_exchange.wire import frames, spelling
from upbit_exchange.wire.names import MICROSECONDS_ABOVE, Event, Stream

Values = dict[str, str]
FreeId = Callable[[str, int], int]

# Without these an event has lost its identity or what it says: an altered one is not an event any more.
NEEDED: dict[Stream, tuple[str, ...]] = {
    "trade": ("type", "code", "sequential_id", "trade_timestamp", "trade_price", "trade_volume", "ask_bid"),
    "ticker": ("type", "code", "timestamp", "trade_price", "acc_trade_volume"),
    "orderbook": ("type", "code", "timestamp", "orderbook_units"),
}
# What is removed or nulled when the order names no field.
OPTIONAL: dict[Stream, str] = {"trade": "best_ask_price", "ticker": "acc_trade_price_24h", "orderbook": "level"}

KOREAN = '"유의 종목 지정: 거래 지원 종료 예정"'
# Normalizing must not round: accumulated prices have more digits than the default context.
_WIDE = Context(prec=80)
_NUMBERS = ("price", "volume", "size", "rate", "_24h")


def field_of(order: Order, stream: Stream) -> str:
    """Returns the field that an order concerns in this stream."""
    return str(order.options.get("field") or "") or OPTIONAL[stream]


def needed(order: Order, stream: Stream) -> bool:
    """Whether the event needs the field that the order takes away."""
    return field_of(order, stream) in NEEDED[stream]


def altered(event: Event, order: Order, free_id: FreeId) -> Event | None:
    """Returns the event as the order wants it, None where it changes nothing. `free_id` gives an unused sequential_id.

    Raises nothing for frames that lack fields or hold no number where one belongs: they stay as they are.
    """
    values = frames.fields(event.frame)
    try:
        if order.name in _RETIMES:
            return _retimed(event, values, order, free_id)
        changed = _REWRITES[order.name](values, order, event.stream)
    except (KeyError, ValueError, ArithmeticError):
        return None
    return None if changed == values else _rebuilt(event, changed, event.time)


def _rebuilt(event: Event, values: Values, time: int) -> Event:
    key = {name: frames.text(values[name]) if name in values else text for name, text in event.key.items()}
    return Event(event.stream, event.code, key, time, frames.join(values))


# --- time --------------------------------------------------------------------------------------------------------


def _retimed(event: Event, values: Values, order: Order, free_id: FreeId) -> Event:
    """`late`: matched long ago, published now. `skew`: all of the event's times are wrong by as much."""
    shift = int(order.number("ms")) * (-1 if order.name == "late" else 1)
    time = event.time + shift
    if order.name == "skew":
        stamp = int(values["timestamp"])
        values["timestamp"] = str(stamp + shift * (1000 if stamp > MICROSECONDS_ABOVE else 1))
    if "trade_timestamp" in values:
        match = int(values["trade_timestamp"]) + shift
        date, clock = utc(match)
        if event.stream == "ticker":
            date, clock = date.replace("-", ""), clock.replace(":", "")
        values |= {"trade_timestamp": str(match), "trade_date": f'"{date}"', "trade_time": f'"{clock}"'}
    if event.stream == "trade":
        values["sequential_id"] = str(free_id(event.code, time))
    return _rebuilt(event, values, time)


_RETIMES = ("late", "skew")


def _microseconds(values: Values, _order: Order, _stream: Stream) -> Values:
    return values | {"timestamp": f"{int(values['timestamp'])}000"}


# --- books -------------------------------------------------------------------------------------------------------


def _without_orders(values: Values, order: Order, _stream: Stream) -> Values:
    """Slots of a side that has fewer orders stand in the book as price 0, size 0; totals = sum of the levels."""
    side = order.text("side")
    levels = frames.units(values["orderbook_units"])
    keep = max(len(levels) - int(order.options.get("levels", len(levels))), 0)
    for level in levels[keep:]:
        level |= {f"{side}_price": "0", f"{side}_size": "0"}
    total = sum(spelling.units(level[f"{side}_size"]) for level in levels)
    return values | {f"total_{side}_size": spelling.decimal8(total), "orderbook_units": frames.units_text(levels)}


# --- fields ------------------------------------------------------------------------------------------------------


def _with(field: str, value: str) -> Callable[[Values, Order, Stream], Values]:
    return lambda values, _order, _stream: values | {field: value}


def _extra_field(values: Values, order: Order, _stream: Stream) -> Values:
    if order.text("field") in values:
        raise KeyError("it is no unknown field")
    return values | {order.text("field"): '{"since":"2026-11-25","steps":[1,2.50,null]}'}


def _market_for_code(values: Values, _order: Order, _stream: Stream) -> Values:
    return {"market" if name == "code" else name: value for name, value in values.items()}


def _removed(values: Values, order: Order, stream: Stream) -> Values:
    return {name: value for name, value in values.items() if name != field_of(order, stream)}


def _null(values: Values, order: Order, stream: Stream) -> Values:
    return {name: "null" if name == field_of(order, stream) else value for name, value in values.items()}


# --- number text -------------------------------------------------------------------------------------------------


def _exponent(number: Decimal) -> str:
    return f"{number.normalize(_WIDE):E}".replace("E+", "E")


def _zeros(number: Decimal) -> str:
    whole, _, fraction = f"{number:f}".partition(".")
    return f"{whole}.{fraction:0<8}"


def _spelled(spell: Callable[[Decimal], str]) -> Callable[[Values, Order, Stream], Values]:
    def again(name: str, text: str) -> str:
        return spell(Decimal(text)) if name.endswith(_NUMBERS) and text[0] in "-0123456789" else text

    def rewrite(values: Values, _order: Order, _stream: Stream) -> Values:
        changed = {name: again(name, text) for name, text in values.items()}
        if "orderbook_units" in values:
            levels = frames.units(values["orderbook_units"])
            changed["orderbook_units"] = frames.units_text([{n: again(n, t) for n, t in x.items()} for x in levels])
        return changed

    return rewrite


_REWRITES: dict[str, Callable[[Values, Order, Stream], Values]] = {
    "microseconds": _microseconds,
    "padded": _without_orders,
    "empty_side": _without_orders,
    "delisting_string": _with("delisting_date", '"2026-12-31"'),
    "delisting_object": _with("delisting_date", '{"year":2026,"month":12,"day":31}'),
    "extra_field": _extra_field,
    "korean": _with("warning_message", KOREAN),
    "exponents": _spelled(_exponent),
    "zeros": _spelled(_zeros),
    "market_for_code": _market_for_code,
    "removed": _removed,
    "null": _null,
}
