"""The catalogue names the faults, their options and bounds, and turns a query or a scenario's line into an order."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Literal

import msgspec

from upbit_exchange.wire.names import CHANNELS, STREAMS, Channel

# Where a fault acts. `true`: a published event is altered, and stands so in the ledger. `extra`: a further frame is
# sent beside the true one. `field`: `true` or `extra` by the field it names. `delivery`: events are in the ledger and
# in REST, but are sent otherwise. `market`: other events happen.
Acts = Literal[
    "socket", "handshake", "snapshot", "delivery", "true", "extra", "field", "market", "listing", "rest", "server"
]
Options = Mapping[str, float | str]

_BOOKS: tuple[Channel, ...] = ("orderbook",)
_TRADES: tuple[Channel, ...] = ("trade",)
_TICKERS: tuple[Channel, ...] = ("ticker",)


class FaultError(Exception):
    """An order that cannot be followed: one line that says what is wrong and what to do."""


class Kind(msgspec.Struct, frozen=True):
    """A fault. `count` = how often it acts by default (0 = until cleared), `options` with their defaults."""

    acts: Acts
    says: str
    options: Options = {}
    count: int = 0
    only: tuple[Channel, ...] = ()

    @property
    def streams(self) -> tuple[Channel, ...]:
        """Returns the channels that it can concern. Candles come from trades: they can be kept back, not altered."""
        return self.only or (CHANNELS if self.acts in ("socket", "snapshot", "delivery") else STREAMS)

    @property
    def selectors(self) -> tuple[str, ...]:
        """Returns the options that select the streams and codes it acts on."""
        if self.acts in ("handshake", "rest", "server"):
            return ()
        return ("code",) if self.acts in ("market", "listing") else ("stream", "code")


KINDS: dict[str, Kind] = {
    "close": Kind("socket", "closes with `close_code`", {"close_code": 1001}, 1),
    "error_close": Kind("socket", "an error frame, then close 1000", {}, 1),
    "drop": Kind("socket", "ends TCP without a close frame (1006)", {}, 1),
    "reset": Kind("socket", "TCP reset", {}, 1),
    "half_open": Kind("socket", "the socket stays, but neither data nor pong nor close comes any more", {}, 1),
    "handshake": Kind(
        "handshake", "the WebSocket handshake is refused", {"status": 429, "wait": 0, "stated": "header"}
    ),
    "snapshot_missing": Kind("snapshot", "no SNAPSHOT"),
    "snapshot_slow": Kind("snapshot", "SNAPSHOTs come `ms` late", {"ms": 3000}),
    "silence": Kind("delivery", "events are not sent; pings are answered"),
    "gap": Kind("delivery", "the next events are not sent", {}, 10),
    "duplicate": Kind("delivery", "an event's frame is sent again, `copies` times", {"copies": 1}),
    "reorder": Kind(
        "delivery",
        "a `share` of the trades is overtaken: sent up to `ms` later",
        {"ms": 300, "share": 0.5},
        only=_TRADES,
    ),
    "hold": Kind("delivery", "a frame is sent `ms` later", {"ms": 5000}, 1),
    "fragments": Kind("server", "every frame comes in `pieces`", {"pieces": 3}),
    "late": Kind("true", "a trade's match time lies `ms` back, it is published now", {"ms": 600_000}, 1, only=_TRADES),
    "skew": Kind("true", "all times of an event are shifted by `ms` (negative: into the past)", {"ms": 60_000}),
    "microseconds": Kind("true", "a book's timestamp is in microseconds", only=_BOOKS),
    "padded": Kind("true", "the deepest `levels` of a side are 0, 0", {"side": "ask", "levels": 10}, only=_BOOKS),
    "empty_side": Kind("true", "all levels of a side are 0, 0", {"side": "ask"}, only=_BOOKS),
    "delisting_string": Kind("true", "delisting_date is a string", only=_TICKERS),
    "delisting_object": Kind("true", "delisting_date is an object", only=_TICKERS),
    "extra_field": Kind("true", "an unknown field", {"field": "new_field"}),
    "korean": Kind("true", "a field with Korean text"),
    "exponents": Kind("true", "prices, sizes and rates with exponents"),
    "zeros": Kind("true", "prices, sizes and rates with trailing zeros"),
    "market_for_code": Kind("true", "`market` instead of `code`"),
    "removed": Kind("field", "without `field` (extra if the event needs it)", {"field": ""}, 1),
    "null": Kind("field", "`field` is null (extra if the event needs it)", {"field": ""}, 1),
    "string_number": Kind("extra", "`field`, a number, comes as a string", {"field": "timestamp"}, 1),
    "bad_json": Kind("extra", "no JSON", {}, 1),
    "bad_utf8": Kind("extra", "a byte that is no UTF-8", {}, 1),
    "truncated": Kind("extra", "half a frame", {}, 1),
    "empty": Kind("extra", "a frame of no bytes", {}, 1),
    "text": Kind("extra", "the true frame once more, as text (opcode 1)", {}, 1),
    "nan": Kind("extra", "a number is NaN", {}, 1),
    "huge_number": Kind("extra", "a number is 1e400", {}, 1),
    "duplicate_keys": Kind("extra", "a field stands twice, with two values", {}, 1),
    "deep": Kind("extra", "arrays nested `levels` deep", {"levels": 100_000}, 1),
    "unknown_type": Kind("extra", "an unknown type", {}, 1),
    "big": Kind("extra", "the frame once more, filled up to `bytes`", {"bytes": 1 << 20}, 1),
    "bad_deflate": Kind("extra", "a frame marked as compressed whose bytes are not", {}, 1),
    "error_frame": Kind("extra", "an error frame; the socket stays open", {}, 1),
    "burst": Kind("market", "so many further trades a second", {"rate": 5000}),
    "same_ms": Kind("market", "`trades` of one code inside one millisecond", {"trades": 20}, 1),
    "twin": Kind("market", "a trade of another code with the same sequential_id", {}, 1),
    "no_trades": Kind("market", "nothing is traded; books and tickers go on"),
    "list": Kind("listing", "the market `code` is listed and trades", {}, 1),
    "delist": Kind("listing", "the market `code` is delisted", {}, 1),
    "rest": Kind("rest", "REST is refused", {"status": 503, "wait": 0, "stated": "header", "group": ""}),
    "rest_lag": Kind("server", "REST shows trades `ms` late", {"ms": 3000}),
    "idle_timeout": Kind("server", "idle sockets live so many `seconds`", {"seconds": 120}),
}

_BOUNDS: dict[str, tuple[float, float]] = {
    "close_code": (1000, 4999),
    "wait": (0, 86_400),
    "ms": (-1e9, 1e9),
    "copies": (1, 1000),
    "share": (0.001, 1),
    "pieces": (2, 1000),
    "levels": (1, 10**6),
    "bytes": (1000, 1 << 26),
    "rate": (1, 20_000),
    "trades": (2, 4000),
    "seconds": (0.1, 1e9),
    "count": (0, 1e9),
    "duration": (0.001, 1e9),
    "every": (0.01, 1e9),
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "status": ("429", "418", "403", "503"),
    "stated": ("header", "body"),
    "side": ("ask", "bid"),
    "group": ("", "market", "candles", "ticker", "orderbook", "crix-trades"),
}
_TIMING = ("count", "duration", "every")
_WHOLE = {"close_code", "wait", "copies", "pieces", "levels", "bytes", "trades", "count"}
_NOT_SENDABLE = {1004, 1005, 1006, *range(1015, 3000)}  # RFC 6455 7.4: never in a close frame
_FIELD = re.compile(r"[a-z0-9_]{0,40}")
_LISTABLE = re.compile(r"KRW-[A-Z0-9]{1,20}")


class Order(msgspec.Struct, frozen=True):
    """A fault to switch on. `duration` and `every` in wall seconds, None = not given; `count` 0 = until cleared."""

    name: str
    stream: Channel | None
    code: str | None
    count: int
    duration: float | None
    every: float | None
    options: dict[str, float | str]

    @property
    def kind(self) -> Kind:
        """Returns the catalogue's entry of the fault."""
        return KINDS[self.name]

    def number(self, option: str) -> float:
        """Returns the value of a numeric option."""
        return float(self.options[option])

    def text(self, option: str) -> str:
        """Returns the value of an option that is a text."""
        return str(self.options[option])

    def hits(self, stream: Channel, code: str) -> bool:
        """Whether it concerns this code of this stream."""
        return (stream == self.stream if self.stream else stream in self.kind.streams) and self.code in (None, code)


class Refusal(msgspec.Struct, frozen=True):
    """An HTTP answer in place of the true one; `retry_after` in whole seconds, None = not stated in a header."""

    status: int
    body: bytes
    retry_after: int | None


_BODIES = {
    429: "Too many API requests.",
    418: "I'm a teapot. Your IP is blocked.",
    403: "Forbidden",
    503: "Service Temporarily Unavailable",
}


def refusal(order: Order) -> Refusal:
    """Returns the answer of `handshake` and `rest`. Where Upbit states the time is not known: a header, or the text."""
    status, wait = int(order.text("status")), int(order.number("wait"))
    stated = order.text("stated")
    body = _BODIES[status] + (f" Try again in {wait} seconds." if wait and stated == "body" else "")
    return Refusal(status, body.encode(), wait if wait and stated == "header" else None)


def order(given: Mapping[str, object], listed: Collection[str], replayed: bool = False) -> Order:
    """Returns the order of a query or of a scenario's line, where `set` names the fault. FaultError for an invalid one.

    `listed` = the codes there are; `replayed` = a recording is published, in which nothing can be made to happen.
    """
    texts = {name: str(value) for name, value in given.items()}
    name = texts.pop("set", "")
    kind = KINDS.get(name)
    if kind is None:
        raise FaultError(f"fault {name[:40]!r} is unknown{_near(name, KINDS)}")
    if replayed and kind.acts in ("market", "listing"):
        raise FaultError(f"{name} needs a market; of a recording only what it holds is published")
    timing = () if kind.acts == "listing" else ("duration", "every") if kind.acts == "server" else _TIMING
    known = {*kind.selectors, *timing, *kind.options}
    for text in texts:
        if text not in known:
            raise FaultError(f"{name} takes no {text[:40]!r}; it takes {', '.join(sorted(known)) or 'nothing'}")
    options = {option: _option(option, texts.get(option, str(default))) for option, default in kind.options.items()}
    if options.get("close_code") in _NOT_SENDABLE:
        raise FaultError(
            f"close_code {options['close_code']:.0f} is none that a close frame may carry; use 1001 or 4000"
        )
    return Order(
        name,
        _stream(name, kind, texts),
        _code(name, kind, texts, listed),
        int(_number("count", texts.get("count", str(kind.count)))),
        _number("duration", texts["duration"]) if "duration" in texts else None,
        _number("every", texts["every"]) if "every" in texts else None,
        options,
    )


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, 3, 0.5)
    return f"; is it {' or '.join(near)}?" if near else "; /_local/faults/kinds lists them"


def _stream(name: str, kind: Kind, texts: Mapping[str, str]) -> Channel | None:
    if "stream" not in texts:
        return None
    for stream in kind.streams:
        if stream == texts["stream"]:
            return stream
    raise FaultError(f"{name} is for stream {', '.join(kind.streams)}; not for {texts['stream'][:40]!r}")


def _code(name: str, kind: Kind, texts: Mapping[str, str], listed: Collection[str]) -> str | None:
    code = texts.get("code")
    if kind.acts == "listing" and code is None:
        raise FaultError(f"{name} needs code=KRW-…, the market")
    if name == "list":
        if not _LISTABLE.fullmatch(code or "") or code in listed:
            raise FaultError(f"code {str(code)[:40]!r} cannot be listed; give a KRW market that is not listed yet")
    elif code is not None and code not in listed:
        raise FaultError(f"code {code[:40]!r} is not listed; /v1/market/all says what is")
    return code


def _option(name: str, text: str) -> float | str:
    if name in _CHOICES:
        if text not in _CHOICES[name]:
            raise FaultError(f"{name} {text[:40]!r} is none of {', '.join(filter(None, _CHOICES[name]))}")
        return text
    if name == "field":
        if not _FIELD.fullmatch(text):
            raise FaultError(f"field {text[:40]!r} is not the name of a field such as trade_price")
        return text
    return _number(name, text)


def _number(name: str, text: str) -> float:
    low, high = _BOUNDS[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high or (name in _WHOLE and value != int(value)):
        raise FaultError(f"{name} {text[:40]!r} is not a {'whole ' * (name in _WHOLE)}number from {low:g} to {high:g}")
    return value
