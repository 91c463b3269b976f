"""The gate decides whether the lake can take a frame whole. It changes nothing and sends nothing.

A frame that passes is carried on byte for byte. One that does not fit ends in the dead letters with the reason, so
that the SQL behind Kafka never meets a value it would round, null or drop in silence (docs/decisions/0022).
"""

import json
import re
from typing import Any

import msgspec
from msgspec import UNSET

from upbit_ingester.gate.fast_path import FastPath
from upbit_ingester.gate.frames import CODE, STREAMS, ControlFrame, Frame, MisfitError, Rows
from upbit_ingester.gate.numbers import LONGEST_NUMBER, DecimalColumn, usual_pattern

# The topics take the broker's default of 1,048,588 bytes a batch; what is larger goes to the dead letters (9 MiB).
MAX_FRAME_BYTES = 1_000_000

# Names of unknown fields are labels of a metric: few and short, whatever the exchange sends.
_LABELS_MAX = 100
_LABEL_LETTERS = 60
_MORE_LABELS = "(others)"

_CODE = re.compile(CODE)
_CODE_MEMBER = re.compile(rb'"(?:code|market)"\s*:\s*"(%b)"' % CODE.encode())


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


GateResult = Accepted | Rejected | Control


class Gate:
    """The gate of one stream decides by the stream's `StreamSpec` what fits."""

    def __init__(self, stream: str) -> None:
        spec = STREAMS[stream]
        self._stream = stream
        self._decoder = msgspec.json.Decoder(spec.struct)
        self._control = msgspec.json.Decoder(ControlFrame)
        self._rows = _RowsGate(spec.rows) if spec.rows else None
        self._known = frozenset(spec.struct.__struct_fields__) | (spec.rows.widths.keys() if spec.rows else set())
        self._labels: set[str] = set()
        self._columns = [(name, DecimalColumn(*width)) for name, width in spec.widths.items()]
        self._required = {field.name for field in msgspec.structs.fields(spec.struct) if field.required}
        self._fast_path = FastPath(spec)

    def check(self, data: bytes) -> GateResult:
        """Judge one frame. Never raises for anything a socket can deliver."""
        try:
            frame = self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return self._not_decoded(data, error)
        try:
            return self._judge(frame, data)
        except MisfitError as misfit:
            return Rejected(_one_line(str(misfit)), _usable_code(frame))

    def _not_decoded(self, data: bytes, error: Exception) -> GateResult:
        try:
            control = self._control.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            control = ControlFrame()
        if control.error is not None:
            return Control(error=_one_line(f"{control.error.name}: {control.error.message}"))
        if control.status is not None:
            return Control()
        return Rejected(_one_line(f"not a {self._stream} frame: {error}"), _code_in(data))

    def _judge(self, frame: Frame, data: bytes) -> Accepted:
        # One refusal a line, the cheapest first. What is left after them fits in its parts; `usual` says that nothing
        # else stands in the frame, and only where that is not certain the bytes are parsed a second time.
        if frame.type != self._stream:
            raise MisfitError(f"type is {frame.type[:40]!r}, expected {self._stream!r}")
        code = _usable_code(frame)
        if code is None:
            raise MisfitError("neither code nor market holds a code like 'KRW-BTC'")
        if len(data) > MAX_FRAME_BYTES:
            raise MisfitError(f"{len(data)} bytes, the topic takes {MAX_FRAME_BYTES}")
        if not data.isascii():
            _check_utf8(data)
        event_ms, sequential_id, key = frame.event()
        values = msgspec.structs.astuple(frame)
        if not self._fast_path.numbers(values):
            self._check_numbers(frame)
        usual = self._rows is None or self._rows.check(frame)
        usual = usual and self._fast_path.texts(values) and self._fast_path.spelling(frame, data)
        unknown = () if usual else self._look_closely(data)
        return Accepted(code, event_ms, frame.stream_type == "SNAPSHOT", sequential_id, key, unknown)

    def _check_numbers(self, frame: Frame) -> None:
        # Null is a value of its own: fine where the column may be NULL, a refusal where it may not. A required number
        # that is left out never comes so far: the struct has refused the frame.
        for name, column in self._columns:
            text = bytes(getattr(frame, name))
            if column.quick(text) or not text:
                continue
            if text == b"null":
                if name in self._required:
                    raise MisfitError(f"{name} is null")
                continue
            if reason := column.misfit(text):
                raise MisfitError(f"{name} {reason}")

    def _look_closely(self, data: bytes) -> tuple[str, ...]:
        """A frame that is not spelled as usual is parsed again: returns the names of its unknown fields, sorted.

        A field that stands twice is refused: flink-json may then null other columns.
        """
        # The parser calls back for each object and each number, at any depth, so that nothing is walked twice.
        unknown: set[str] = set()

        def number(text: str) -> str:
            if len(text) > LONGEST_NUMBER:
                raise MisfitError(f"a number has {len(text)} characters, the SQL takes {LONGEST_NUMBER}")
            return text

        def members(pairs: list[tuple[str, Any]]) -> None:
            names = [name for name, _ in pairs]
            if len(set(names)) != len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise MisfitError(f"field {twice[:60]!r} stands twice")
            unknown.update(name for name in names if name not in self._known)

        try:
            json.loads(data, object_pairs_hook=members, parse_int=number, parse_float=number)
        except (ValueError, RecursionError) as error:
            raise MisfitError(f"not JSON: {error}") from None
        return tuple(sorted({self._label(name) for name in unknown}))

    def _label(self, name: str) -> str:
        label = _one_line(name)[:_LABEL_LETTERS] or "(empty)"
        if label not in self._labels:
            if len(self._labels) >= _LABELS_MAX:
                return _MORE_LABELS
            self._labels.add(label)
        return label


class _RowsGate:
    """Checks the objects in the array of one field: the levels of a book."""

    def __init__(self, rows: Rows) -> None:
        self._field = rows.field
        self._decoder = msgspec.json.Decoder(list[rows.struct])  # type: ignore[name-defined]
        self._columns = [(name, DecimalColumn(*width)) for name, width in rows.widths.items()]
        self._usual = re.compile(_usual_rows_pattern(rows)).fullmatch

    def check(self, frame: Frame) -> bool:
        """True when the rows fit and are spelled as usual, False when they fit; MisfitError when they do not."""
        text = bytes(getattr(frame, self._field))
        # One pattern over the whole array is four times cheaper than a look at each of 120 numbers; what it does not
        # match (another order of fields, more of them) is decoded and checked number by number.
        if self._usual(text):
            return True
        try:
            rows = self._decoder.decode(text)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise MisfitError(f"{self._field}: {error}") from None
        for row in rows:
            for name, column in self._columns:
                number = bytes(getattr(row, name))
                if not column.quick(number) and (reason := column.misfit(number)):
                    raise MisfitError(f"{self._field}.{name} {reason}")
        return False


def _usual_rows_pattern(rows: Rows) -> bytes:
    fields = b",".join(b'"%s":%s' % (name.encode(), usual_pattern(*width)) for name, width in rows.widths.items())
    row = rb"\{" + fields + rb"\}"
    return rb"\[(?:" + row + rb"(?:," + row + rb")*+)?+\]"


def _usable_code(frame: Frame) -> str | None:
    # As in the SQL: COALESCE(code, market).
    code = frame.market if frame.code is None or frame.code is UNSET else frame.code
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def _check_utf8(data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MisfitError(f"not UTF-8 at byte {error.start}") from None


def _code_in(data: bytes) -> str | None:
    """The code of a frame that could not be decoded, for the dead letter's key."""
    match = _CODE_MEMBER.search(data, 0, 4096)
    return match.group(1).decode("ascii") if match else None


def _one_line(text: str) -> str:
    """Text from outside as logs, headers and labels may carry it: one line, no control characters, not endless."""
    line = " ".join(text[:4000].split())[:500]
    return line if line.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
