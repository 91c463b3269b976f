"""A wrong frame is made from a true event and sent beside it, never instead of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from upbit_exchange.faults.alter import NEEDED, altered, field_of
from upbit_exchange.faults.catalogue import Order
from upbit_exchange.wire import frames
from upbit_exchange.wire.names import Event

# `raw` = bytes of the TCP stream, frame header and all.
How = Literal["binary", "text", "raw"]

ERROR = '{"error":{"message":"일시적인 오류가 발생했습니다.","name":"INTERNAL_ERROR"}}'.encode()
# FIN, RSV1 (compressed), binary; seven bytes: a deflate block of type 3 does not exist.
_BAD_DEFLATE = b"\xc2\x07" + b"\x07" * 7


class Extra(msgspec.Struct, frozen=True):
    """A further frame for the clients of this stream and code."""

    event: Event
    payload: bytes
    how: How = "binary"


def mangled(event: Event, order: Order) -> Extra | None:
    """Returns the wrong frame beside this event, None where it lacks the field that the order concerns."""
    how: How = "text" if order.name == "text" else "raw" if order.name == "bad_deflate" else "binary"
    payload = _PAYLOADS[order.name](event, order)
    return None if payload is None else Extra(event, payload, how)


def _last_field(frame: bytes, field: str) -> bytes:
    """The frame with one more field, its text given."""
    return frame[:-1] + b"," + field.encode() + b"}"


def _value(event: Event, value: str) -> bytes:
    """The frame with another text for the first number that it needs."""
    values = frames.fields(event.frame)
    field = "total_ask_size" if event.stream == "orderbook" else "trade_price"
    return frames.join(values | {field: value})


def _type(event: Event, _order: Order) -> bytes:
    return frames.join(frames.fields(event.frame) | {"type": '"nope"'})


def _duplicate_keys(event: Event, _order: Order) -> bytes:
    field = NEEDED[event.stream][2]
    return _last_field(event.frame, f'"{field}":1')


def _string_number(event: Event, order: Order) -> bytes | None:
    values = frames.fields(event.frame)
    text = values.get(field_of(order, event.stream), '"')
    return None if text[0] in '"[{nft' else frames.join(values | {field_of(order, event.stream): f'"{text}"'})


def _deep(event: Event, order: Order) -> bytes:
    levels = int(order.number("levels"))
    return _last_field(event.frame, f'"deep":{"[" * levels}{"]" * levels}')


def _big(event: Event, order: Order) -> bytes:
    filling = max(int(order.number("bytes")) - len(event.frame) - len(',"filling":""'), 0)
    return _last_field(event.frame, f'"filling":"{"x" * filling}"')


def _without_needed(event: Event, order: Order) -> bytes | None:
    changed = altered(event, order, lambda _code, _ms: 0)
    return changed.frame if changed else None


def _bad_utf8(event: Event, _order: Order) -> bytes:
    return event.frame.replace(b'"type":"', b'"type":"\xff\xfe', 1)


_PAYLOADS: dict[str, Callable[[Event, Order], bytes | None]] = {
    "removed": _without_needed,
    "null": _without_needed,
    "string_number": _string_number,
    "bad_json": lambda event, _: event.frame.replace(b":", b"=", 1),
    "bad_utf8": _bad_utf8,
    "truncated": lambda event, _: event.frame[: len(event.frame) // 2],
    "empty": lambda _event, _: b"",
    "text": lambda event, _: event.frame,
    "nan": lambda event, _: _value(event, "NaN"),
    "huge_number": lambda event, _: _value(event, "1e400"),
    "duplicate_keys": _duplicate_keys,
    "deep": _deep,
    "unknown_type": _type,
    "big": _big,
    "bad_deflate": lambda _event, _: _BAD_DEFLATE,
    "error_frame": lambda _event, _: ERROR,
}
