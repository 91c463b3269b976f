"""A recording is a source of events: one frame (or list of frames) a line, in any of the four formats, in this order.

Every line is published as REALTIME, a recorded SNAPSHOT too: it is an event that the recording saw. `stream_type` is
the only value that changes; numbers keep their text. Pace = running maximum of the frames' `timestamp`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from upbit_exchange.market.listing import Market
from upbit_exchange.wire import frames
from upbit_exchange.wire.names import KEYS, LONG, MICROSECONDS_ABOVE, STREAMS, TIMES, UNIT_LONG, Event, Stream

_CODE = re.compile(r"[A-Za-z0-9._]+-[A-Za-z0-9._-]+")


class RecordingError(Exception):
    """A recording that cannot be published; the text names file, line, reason and cure."""


class Recording(msgspec.Struct, frozen=True):
    """A checked file: its markets in order of appearance, its first frame's time (ms), its number of frames."""

    path: Path
    markets: tuple[Market, ...]
    first_ms: int
    frames: int


def _milliseconds(text: str, name: str) -> int:
    digits = text.strip('"')
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 17):
        raise ValueError(f"{name} is {text[:40]}, not a whole number of milliseconds")
    value = int(digits)
    return value // 1000 if value > MICROSECONDS_ABOVE else value


def _stream(values: dict[str, str]) -> Stream:
    kind = frames.text(values.get("type") or values.get("ty") or "")
    if not kind:
        raise ValueError("it has no type")
    for stream in STREAMS:
        if kind == stream:
            return stream
    raise ValueError(f"type {kind[:40]} is none of ticker, trade, orderbook")


def _long_names(stream: Stream, values: dict[str, str]) -> dict[str, str]:
    if "ty" in values:
        values = {LONG[stream].get(name, name): value for name, value in values.items()}
    if "orderbook_units" in values:
        levels = frames.units(values["orderbook_units"])
        long = [{UNIT_LONG.get(name, name): value for name, value in level.items()} for level in levels]
        values["orderbook_units"] = frames.units_text(long)
    return values


def _code(values: dict[str, str]) -> str:
    code = frames.text(values["code"])
    if not _CODE.fullmatch(code):
        raise ValueError(f"code is {code[:40]!r}, not a market such as KRW-BTC")
    return code


def translate(line: bytes) -> list[tuple[Event, int]]:
    """Returns the events of a recorded line, each with the time (ms) that paces it; a LIST line has several or none.

    ValueError names what the line lacks.
    """
    try:
        recorded = frames.list_fields(line) if line.lstrip().startswith(b"[") else [frames.fields(line)]
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(f"it is not a JSON frame ({error})") from None
    return [_event(values) for values in recorded]


def _event(values: dict[str, str]) -> tuple[Event, int]:
    try:
        stream = _stream(values)
        values = _long_names(stream, values)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(f"it is not a JSON frame ({error})") from None
    missing = [name for name in (*KEYS[stream], TIMES[stream]) if values.get(name, "null") == "null"]
    if missing:
        raise ValueError(f"it has no {missing[0]}")
    code = _code(values)
    time = _milliseconds(values[TIMES[stream]], TIMES[stream])
    pace = _milliseconds(values["timestamp"], "timestamp") if "timestamp" in values else time
    values["stream_type"] = '"REALTIME"'
    key = {name: frames.text(values[name]) for name in KEYS[stream]}
    return Event(stream, code, key, time, frames.join(values)), pace


def _events(path: Path) -> Iterator[tuple[Event, int]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield from translate(line)
            except ValueError as error:
                raise RecordingError(
                    f"{path} line {number}: {error}; correct or remove the line (one frame or list of frames a line)"
                ) from None


def check(path: Path) -> Recording:
    """Reads the whole file once. RecordingError for the first line that cannot be published, or an unreadable file."""
    codes: dict[str, None] = {}
    first_ms = count = 0
    try:
        for event, pace in _events(path):
            codes.setdefault(event.code)
            first_ms = first_ms or pace
            count += 1
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}; give a readable file of recorded frames") from None
    if not count:
        raise RecordingError(f"{path} holds no frame; give a file with one recorded JSON frame a line")
    return Recording(path, tuple(Market(code, code, code) for code in codes), first_ms, count)


class Replay:
    """The source of a recording's events. `published` = frames of it that the ledger already holds."""

    def __init__(self, recording: Recording, published: int = 0) -> None:
        self.markets = recording.markets
        self._events = _events(recording.path)
        self._pace = recording.first_ms
        self._ahead: Event | None = None
        self._read()
        for _ in range(min(published, recording.frames)):
            self._read()

    @property
    def ended(self) -> bool:
        """Whether every line was published."""
        return self._ahead is None

    @property
    def next_ms(self) -> int:
        """Returns when the next frame is due: the clock of a replay starts here."""
        return self._pace

    def _read(self) -> None:
        self._ahead, pace = next(self._events, (None, 0))
        self._pace = max(self._pace, pace)

    def begin(self, ms: int) -> None:
        """Does nothing: a recording has its own times."""

    def take(self, until_ms: int, limit: int) -> list[Event]:
        """Returns the events of the lines due up to `until_ms`, at most `limit`, in the file's order."""
        events: list[Event] = []
        while self._ahead is not None and self._pace <= until_ms and len(events) < limit:
            events.append(self._ahead)
            self._read()
        return events
