"""The gate: is a frame one that the lake can take whole? Decides only; nothing is changed, nothing is sent.

A frame that passes is carried on byte for byte. One that does not fit ends in the dead letters with the reason, so
that the SQL behind Kafka never meets a value it would round, null or drop in silence (docs/decisions/0022).
"""

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from upbit_ingester.gate.fast_path import Ordinary
from upbit_ingester.gate.frames import (
    REQUIRED_NUMBERS,
    STRUCTS,
    UNIT_WIDTHS,
    WIDTHS,
    ControlFrame,
    OrderbookFrame,
    OrderbookUnit,
    StreamFrame,
    TickerFrame,
    TradeFrame,
)
from upbit_ingester.gate.numbers import LONGEST_NUMBER, DecimalColumn, ordinary_pattern

# The topics take the broker's default of 1,048,588 bytes a batch; what is larger goes to the dead letters (9 MiB).
MAX_FRAME_BYTES = 1_000_000

# No exchange time is outside: dt and hh are computed from it, and a year of five digits would break the job.
EARLIEST_MS = 1_262_304_000_000  # 2010-01-01
LATEST_MS = 4_102_444_800_000  # 2100-01-01
MICROSECONDS = 1_000_000_000_000_000  # an order book's timestamp above this is in microseconds

# Names of unknown fields are labels of a metric: few and short, whatever the exchange sends.
_LABELS_MAX = 100
_LABEL_LETTERS = 60
_MORE_LABELS = "(others)"

_INT64_MAX = 2**63 - 1
_CODE = re.compile(r"[0-9A-Z]{1,20}-[0-9A-Z._]{1,40}")
_CODE_MEMBER = re.compile(rb'"(?:code|market)"\s*:\s*"([0-9A-Z]{1,20}-[0-9A-Z._]{1,40})"')


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A frame that fits. `event_ms` is the exchange's time of the stream's `time` field, in ms."""

    code: str
    event_ms: int
    snapshot: bool
    sequential_id: int  # of a trade, else 0
    key: tuple[int, bytes]  # with the code the stream's key: what has it has the event
    unknown_fields: tuple[str, ...] = ()


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A frame that does not fit: one line why, and the code where it could be read."""

    reason: str
    code: str | None = None


class Control(msgspec.Struct, frozen=True, gc=False):
    """A frame that is no data: the heartbeat answer, or an error (then `error` says it)."""

    error: str | None = None


Verdict = Accepted | Rejected | Control


class _MisfitError(Exception):
    """Why the frame at hand is refused."""


class Gate:
    """The gate of one stream (`trade`, `ticker` or `orderbook`)."""

    def __init__(self, stream: str) -> None:
        struct = STRUCTS[stream]
        self._stream = stream
        self._decoder = msgspec.json.Decoder(struct)
        self._control = msgspec.json.Decoder(ControlFrame)
        self._units = msgspec.json.Decoder(list[OrderbookUnit])
        self._known = frozenset(struct.__struct_fields__) | (UNIT_WIDTHS.keys() if stream == "orderbook" else set())
        self._labels: set[str] = set()
        self._columns = [(name, DecimalColumn(*width)) for name, width in WIDTHS[stream].items()]
        self._required = frozenset(REQUIRED_NUMBERS[stream])
        self._unit_columns = [(name, DecimalColumn(*width)) for name, width in UNIT_WIDTHS.items()]
        self._ordinary = Ordinary(struct, WIDTHS[stream])
        self._ordinary_units = re.compile(_ordinary_units_pattern()).fullmatch
        self._event = _EVENTS[stream]

    def check(self, data: bytes) -> Verdict:
        """Judge one frame. Never raises for anything a socket can deliver."""
        try:
            frame = self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return self._not_decoded(data, error)
        try:
            return self._judge(frame, data)
        except _MisfitError as misfit:
            return Rejected(_one_line(str(misfit)), _usable_code(frame))

    def _not_decoded(self, data: bytes, error: Exception) -> Verdict:
        try:
            control = self._control.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            control = ControlFrame()
        if control.error is not None:
            return Control(error=_one_line(f"{control.error.name}: {control.error.message}"))
        if control.status is not None:
            return Control()
        return Rejected(_one_line(f"not a {self._stream} frame: {error}"), _code_in(data))

    def _judge(self, frame: StreamFrame, data: bytes) -> Accepted:
        if frame.type != self._stream:
            raise _MisfitError(f"type is {frame.type[:40]!r}, expected {self._stream!r}")
        code = _usable_code(frame)
        if code is None:
            raise _MisfitError("neither code nor market holds a code like 'KRW-BTC'")
        if len(data) > MAX_FRAME_BYTES:
            raise _MisfitError(f"{len(data)} bytes, the topic takes {MAX_FRAME_BYTES}")
        if not data.isascii():
            _check_utf8(data)
        event_ms, sequential_id, key = self._event(frame)
        values = msgspec.structs.astuple(frame)
        if not self._ordinary.numbers(values):
            self._check_numbers(frame)
        ordinary = self._check_units(bytes(frame.orderbook_units)) if isinstance(frame, OrderbookFrame) else True
        ordinary = ordinary and self._ordinary.texts(values) and self._ordinary.spelling(frame, data)
        unknown = () if ordinary else self._look_closely(data)
        return Accepted(code, event_ms, frame.stream_type == "SNAPSHOT", sequential_id, key, unknown)

    def _check_numbers(self, frame: StreamFrame) -> None:
        for name, column in self._columns:
            text = bytes(getattr(frame, name))
            if column.quick(text) or not text:
                continue
            if text == b"null":
                if name in self._required:
                    raise _MisfitError(f"{name} is null")
                continue
            if reason := column.misfit(text):
                raise _MisfitError(f"{name} {reason}")

    def _check_units(self, units: bytes) -> bool:
        """Check the levels of a book; False when something in them is unusual."""
        # One pattern over the whole array is four times cheaper than looking at 120 numbers one by one; what it
        # does not match (another order of fields, more of them) is looked at one by one.
        if self._ordinary_units(units):
            return True
        try:
            levels = self._units.decode(units)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise _MisfitError(f"orderbook_units: {error}") from None
        for level in levels:
            for name, column in self._unit_columns:
                text = bytes(getattr(level, name))
                if not column.quick(text) and (reason := column.misfit(text)):
                    raise _MisfitError(f"orderbook_units.{name} {reason}")
        return False

    def _look_closely(self, data: bytes) -> tuple[str, ...]:
        """The rare frame that is not spelled as usual: names of unknown fields, sorted.

        A field that stands twice is refused: flink-json may then null other columns.
        """
        unknown: set[str] = set()

        def number(text: str) -> str:
            if len(text) > LONGEST_NUMBER:
                raise _MisfitError(f"a number has {len(text)} characters, the SQL takes {LONGEST_NUMBER}")
            return text

        def members(pairs: list[tuple[str, Any]]) -> None:
            names = [name for name, _ in pairs]
            if len(set(names)) != len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise _MisfitError(f"field {twice[:60]!r} stands twice")
            unknown.update(name for name in names if name not in self._known)

        try:
            json.loads(data, object_pairs_hook=members, parse_int=number, parse_float=number)
        except (ValueError, RecursionError) as error:
            raise _MisfitError(f"not JSON: {error}") from None
        return tuple(sorted({self._label(name) for name in unknown}))

    def _label(self, name: str) -> str:
        label = _one_line(name)[:_LABEL_LETTERS] or "(empty)"
        if label not in self._labels:
            if len(self._labels) >= _LABELS_MAX:
                return _MORE_LABELS
            self._labels.add(label)
        return label


def _ordinary_units_pattern() -> bytes:
    fields = b",".join(b'"%s":%s' % (name.encode(), ordinary_pattern(*width)) for name, width in UNIT_WIDTHS.items())
    unit = rb"\{" + fields + rb"\}"
    return rb"\[(?:" + unit + rb"(?:," + unit + rb")*+)?+\]"


def _usable_code(frame: StreamFrame) -> str | None:
    # As in the SQL: COALESCE(code, market).
    code = frame.market if frame.code is None or frame.code is UNSET else frame.code
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def _trade(frame: TradeFrame) -> tuple[int, int, tuple[int, bytes]]:
    """(event's time in ms, sequential_id, key with the code); every time in the frame must be a possible one."""
    if not 0 < frame.sequential_id <= _INT64_MAX:
        raise _MisfitError(f"sequential_id {str(frame.sequential_id)[:30]} is no positive 64-bit integer")
    _check_ms("timestamp", frame.timestamp)
    return _check_ms("trade_timestamp", frame.trade_timestamp), frame.sequential_id, (frame.sequential_id, b"")


def _ticker(frame: TickerFrame) -> tuple[int, int, tuple[int, bytes]]:
    _check_ms("trade_timestamp", frame.trade_timestamp)
    return _check_ms("timestamp", frame.timestamp), 0, (frame.timestamp, bytes(frame.acc_trade_volume))


def _orderbook(frame: OrderbookFrame) -> tuple[int, int, tuple[int, bytes]]:
    in_ms = frame.timestamp // 1000 if frame.timestamp > MICROSECONDS else frame.timestamp
    return _check_ms("timestamp", in_ms), 0, (frame.timestamp, b"")


_EVENTS: dict[str, Callable[[Any], tuple[int, int, tuple[int, bytes]]]] = {
    "trade": _trade,
    "ticker": _ticker,
    "orderbook": _orderbook,
}


def _check_ms(name: str, value: int | UnsetType | None) -> int:
    if value is None or isinstance(value, UnsetType):
        return 0  # optional here: the structs require what must be there
    if not EARLIEST_MS <= value < LATEST_MS:
        raise _MisfitError(f"{name} {str(value)[:30]} is no time in ms between 2010 and 2100")
    return value


def _check_utf8(data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _MisfitError(f"not UTF-8 at byte {error.start}") from None


def _code_in(data: bytes) -> str | None:
    """The code of a frame that could not be decoded, for the dead letter's key."""
    match = _CODE_MEMBER.search(data, 0, 4096)
    return match.group(1).decode("ascii") if match else None


def _one_line(text: str) -> str:
    """Text from outside as logs, headers and labels may carry it: one line, no control characters, not endless."""
    line = " ".join(text[:4000].split())[:500]
    return line if line.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
