"""Frames of all four formats are made from the DEFAULT frame's bytes; numbers keep their text."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import msgspec

from upbit_exchange.wire import spelling
from upbit_exchange.wire.names import SHORT, UNIT_SHORT, Channel, Format

RawFields = dict[str, msgspec.Raw]

_fields = msgspec.json.Decoder(RawFields)
_list = msgspec.json.Decoder(list[RawFields])
_REALTIME = b'"stream_type":"REALTIME"'
_SNAPSHOT = b'"stream_type":"SNAPSHOT"'


def fields(frame: bytes) -> dict[str, str]:
    """Returns the frame's fields as raw JSON text, in their order."""
    return {name: bytes(raw).decode() for name, raw in _fields.decode(frame).items()}


def list_fields(frame: bytes) -> list[dict[str, str]]:
    """Returns the fields of each object of a LIST frame as raw JSON text."""
    return [{name: bytes(raw).decode() for name, raw in values.items()} for values in _list.decode(frame)]


def text(raw: str) -> str:
    """Returns a raw field without its quotes, if it has some: the value of a string field."""
    return str(msgspec.json.decode(raw)) if raw.startswith('"') else raw


def join(values: Mapping[str, str]) -> bytes:
    """Returns a JSON object of raw values."""
    return ("{" + ",".join(f'"{name}":{value}' for name, value in values.items()) + "}").encode()


def snapshot(frame: bytes) -> bytes:
    """Returns the same DEFAULT frame as SNAPSHOT (only `stream_type` changes)."""
    head, marker, tail = frame.rpartition(_REALTIME)
    return head + _SNAPSHOT + tail if marker else frame


def units(raw: str) -> list[dict[str, str]]:
    """Returns the levels of a book as raw texts."""
    return list_fields(raw.encode())


def units_text(levels: list[dict[str, str]]) -> str:
    """Returns the levels of a book as JSON text."""
    return "[" + ",".join(join(level).decode() for level in levels) + "]"


def _book_sizes_as_doubles(values: dict[str, str]) -> dict[str, str]:
    """SIMPLE order books write prices plain and sizes like Java doubles, unlike DEFAULT (docs/upbit.md#numbers)."""
    respell: dict[str, Callable[[int], str]] = {
        "ask_price": spelling.stripped,
        "bid_price": spelling.stripped,
        "ask_size": spelling.java_double,
        "bid_size": spelling.java_double,
    }
    levels = [
        {name: respell[name](spelling.units(value)) if name in respell else value for name, value in level.items()}
        for level in units(values["orderbook_units"])
    ]
    totals: dict[str, str] = {
        name: spelling.java_double(spelling.units(values[name]))
        for name in ("total_ask_size", "total_bid_size")
        if values.get(name, "null") != "null"
    }
    return {**values, **totals, "orderbook_units": units_text(levels)}


def simple(stream: Channel, frame: bytes, respell: bool = True) -> bytes:
    """Returns the SIMPLE frame of a DEFAULT one. `respell` off keeps the number text (recordings)."""
    values = fields(frame)
    if "orderbook_units" in values:
        if respell:
            values = _book_sizes_as_doubles(values)
        levels = [{UNIT_SHORT.get(n, n): v for n, v in level.items()} for level in units(values["orderbook_units"])]
        values["orderbook_units"] = units_text(levels)
    return join({SHORT[stream].get(name, name): value for name, value in values.items()})


def in_format(stream: Channel, frame: bytes, wanted: Format, respell: bool = True) -> bytes:
    """Returns the DEFAULT frame in the format a client asked for. LIST formats wrap it in an array of one."""
    body = simple(stream, frame, respell) if wanted in ("SIMPLE", "SIMPLE_LIST") else frame
    return b"[" + body + b"]" if wanted in ("JSON_LIST", "SIMPLE_LIST") else body


def shallow(frame: bytes, depth: int) -> bytes:
    """Returns a DEFAULT book cut to `depth` levels; the totals stay the sum of the shown ones (if they are numbers)."""
    values = fields(frame)
    levels = units(values.get("orderbook_units", "[]"))
    if len(levels) <= depth:
        return frame
    levels = levels[:depth]
    for side in ("ask", "bid"):
        with contextlib.suppress(KeyError, ValueError, ArithmeticError):
            total = sum(spelling.units(level[f"{side}_size"]) for level in levels)
            values[f"total_{side}_size"] = spelling.decimal8(total)
    values["orderbook_units"] = units_text(levels)
    return join(values)
