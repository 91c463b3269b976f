"""The ledger holds every event that the exchange published, one JSON object a line, written before its frame is sent.

A directory of append-only segments `ledger-000001.jsonl`, `ledger-000002.jsonl`, ...: each start opens a new segment,
so a torn last line (killed in the middle of a write, hence never sent) stays the end of its segment and is skipped.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from upbit_exchange.wire.names import Event, Stream

SEGMENT_BYTES = 256 * 1024 * 1024
Kind = Literal["initial", "realtime"]


class Entry(msgspec.Struct, frozen=True):
    """One line of the ledger. `frame` is the DEFAULT frame's exact bytes, `key` its key fields as exact text,
    `time` the stream's event time in ms. `initial` = what a code showed before its first event (never REALTIME)."""

    n: int
    kind: Kind
    stream: Stream
    code: str
    key: dict[str, str]
    time: int
    frame: msgspec.Raw

    @property
    def event(self) -> Event:
        """Returns the event of this line."""
        return Event(self.stream, self.code, self.key, self.time, bytes(self.frame))


class LedgerError(Exception):
    """A ledger that cannot be used; the text says where and what to do."""


_entry = msgspec.json.Decoder(Entry)


def segments(directory: Path) -> list[Path]:
    """Returns the ledger's files, oldest first."""
    return sorted(directory.glob("ledger-*.jsonl"))


def number(segment: Path) -> int:
    """Returns a segment's number."""
    return int(segment.stem.removeprefix("ledger-"))


def read(directory: Path | str, after: int = 0) -> Iterator[Entry]:
    """Yields all complete lines in order of publication, of the segments after number `after`.

    LedgerError on a broken line that is not the torn end of a file.
    """
    for segment in segments(Path(directory)):
        if number(segment) <= after:
            continue
        with segment.open("rb") as lines:
            for row, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    yield _entry.decode(line)
                except msgspec.MsgspecError as error:
                    raise LedgerError(f"{segment} line {row}: {error}; the ledger is damaged") from None


def line(n: int, kind: Kind, event: Event) -> bytes:
    """Returns one ledger line; the frame is embedded as it is."""
    key = msgspec.json.encode(event.key)
    head = f'{{"n":{n},"kind":"{kind}","stream":"{event.stream}","code":"{event.code}","key":'.encode()
    return b"".join((head, key, b',"time":%d,"frame":' % event.time, event.frame, b"}\n"))


class Ledger:
    """The writer of a ledger. One per directory (locked); `append` returns after the operating system has the bytes."""

    def __init__(self, directory: Path, next_n: int = 1, segment_bytes: int = SEGMENT_BYTES) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._lock = os.open(directory / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise LedgerError(
                f"{directory} is the ledger of a running exchange; stop that one or give another --ledger"
            ) from None
        self.next_n = next_n
        self._segment_bytes = segment_bytes
        self._file = -1
        self._size = 0

    @property
    def segment_is_full(self) -> bool:
        """Whether the next `append` opens a new segment."""
        return self._file < 0 or self._size >= self._segment_bytes

    @property
    def last_segment(self) -> int:
        """Returns the number of the newest segment, 0 without one."""
        existing = segments(self._directory)
        return number(existing[-1]) if existing else 0

    def forget(self, keep_bytes: int) -> None:
        """Removes the oldest segments until the rest fits `keep_bytes`; never the newest."""
        existing = segments(self._directory)
        sizes = [segment.stat().st_size for segment in existing]
        for index, segment in enumerate(existing[:-1]):
            if sum(sizes[index:]) <= keep_bytes:
                break
            segment.unlink()

    def append(self, kind: Kind, events: Iterable[Event]) -> None:
        """Writes the events' lines in one go. OSError when the disk refuses (nothing is sent then)."""
        lines = []
        for event in events:
            lines.append(line(self.next_n, kind, event))
            self.next_n += 1
        if lines:
            self._write(b"".join(lines))

    def _write(self, data: bytes) -> None:
        if self.segment_is_full:
            self._open_segment()
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            # A full disk: take back what got through, for these events are not going to be sent.
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _open_segment(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        path = self._directory / f"ledger-{self.last_segment + 1:06d}.jsonl"
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o644)
        self._size = 0

    def close(self) -> None:
        """Releases the directory."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        os.close(self._lock)
