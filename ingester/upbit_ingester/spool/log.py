"""The spool of one topic: an append-only log of segment files between the socket and Kafka.

Every record is appended and synced here before it is produced and leaves only when Kafka has acknowledged it. The
log has a send cursor: behind it records are in flight or acknowledged, before it they wait. At a start the cursor
stands at the oldest record that is left, so whatever was not known to be acknowledged is sent again, in order.

One thread (the pump) owns it; others may only read its counts and `oldest_s`. Times are seconds of the clock that is
passed in.
"""

import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from upbit_ingester.spool.disk import sync_directory
from upbit_ingester.spool.record import Record, decode_all, encode
from upbit_ingester.spool.recovery import recover
from upbit_ingester.spool.segment import MAGIC, Entry, Segment

SEGMENT_BYTES = 16 * 1024 * 1024
SEGMENT_AGE_S = 5.0  # what a kill can make Kafka see twice is at most what a segment takes in this time
TAIL_BYTES = 8 * 1024 * 1024  # records kept in memory for sending; beyond, they are read back from disk

log = logging.getLogger(__name__)


class Spool:
    """The log of one topic in `directory`."""

    def __init__(
        self,
        directory: Path,
        clock: Callable[[], float],
        segment_bytes: int = SEGMENT_BYTES,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`wall_clock` (seconds since the epoch) says how old the files of an earlier run are."""
        self._directory = directory
        self._clock = clock
        self._wall_clock = wall_clock
        self._segment_bytes = segment_bytes
        self._segments: deque[Segment] = deque()
        self._file: int | None = None  # the file of the last segment while it is open for appending
        self._cursor_segment: Segment | None = None
        self._cursor_offset = len(MAGIC)
        self._cursor_index = 0
        self._tail: deque[Entry] = deque()  # entries right behind the cursor that are still in memory
        self._tail_bytes = 0
        self._tail_complete = True  # all that is unsent stands in the tail
        self.torn_tails = 0
        self.damaged = 0
        self.unacknowledged = 0
        self.bytes = 0
        self._open()

    # -- reading what an earlier run left ------------------------------------------------------------------------

    def _open(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in sorted(path for path in self._directory.glob("*.seg") if path.stem.isdigit()):
            self._recover(path)
        # What was set aside keeps its number: another file must not take its name.
        self._number = max((int(path.stem) for path in self._directory.iterdir() if path.stem.isdigit()), default=0)
        self._tail_complete = not self._segments
        if self._segments:
            self._cursor_segment = self._segments[0]

    def _recover(self, path: Path) -> None:
        age_s = max(0.0, self._wall_clock() - path.stat().st_mtime)
        found = recover(path, self._clock() - age_s)
        self.torn_tails += found.torn
        self.damaged += found.damaged
        if found.segment is not None:
            self._segments.append(found.segment)
            self.unacknowledged += found.segment.records
            self.bytes += found.segment.size

    def left_over(self) -> Iterator[Record]:
        """Every record that is in the log and not acknowledged, oldest first."""
        for segment in list(self._segments):
            yield from segment.waiting()

    # -- appending -----------------------------------------------------------------------------------------------

    def append(self, records: Sequence[Record]) -> None:
        """Append `records` in order; when it returns they survive a power cut.

        Raises:
            OSError: the disk does not take them (full, read-only, broken); the log is as it was before the call.
        """
        segment = self._writable_segment()
        chunks = [encode(record) for record in records]
        data = b"".join(chunks)
        self._write_whole(segment, data)
        end, index = segment.size, segment.records
        segment.grow(len(records), len(data))
        self.unacknowledged += len(records)
        self.bytes += len(data)
        for record, chunk in zip(records, chunks, strict=True):
            end += len(chunk)
            self._remember(Entry(segment, index, end, record))
            index += 1

    def _write_whole(self, segment: Segment, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._file, view[written:], segment.size + written)
            os.fdatasync(self._file)
        except OSError:
            # Half a record must not stay behind; where even this is refused the next write goes over it.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, segment.size)
            raise

    def _remember(self, entry: Entry) -> None:
        if not self._tail_complete:
            return
        size = len(entry.record.value)
        if self._tail_bytes + size > TAIL_BYTES and self._tail:
            # The cursor stays where it is; from here on records are read back from disk.
            self._forget_tail()
            return
        if self._cursor_segment is None:
            self._cursor_segment = entry.segment
        self._tail.append(entry)
        self._tail_bytes += size

    def _forget_tail(self) -> None:
        self._tail.clear()
        self._tail_bytes = 0
        self._tail_complete = False

    def _writable_segment(self) -> Segment:
        if self._file is not None:
            segment = self._segments[-1]
            young = self._clock() - segment.created_s < SEGMENT_AGE_S
            if segment.records == 0 or (young and segment.size < self._segment_bytes):
                return segment
            self._seal()
        self._number += 1
        path = self._directory / f"{self._number:012d}.seg"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, MAGIC)
            sync_directory(self._directory)
        except OSError:
            os.close(handle)
            path.unlink(missing_ok=True)
            self._number -= 1
            raise
        self._file = handle
        self._segments.append(Segment(path, len(MAGIC), self._clock()))
        self.bytes += len(MAGIC)
        return self._segments[-1]

    def roll(self) -> None:
        """Seal the open segment when it is old, so that it can be trimmed although nothing new comes.

        Raises:
            OSError: the disk refuses; the segment stays open.
        """
        if self._file is None:
            return
        segment = self._segments[-1]
        if segment.records and self._clock() - segment.created_s >= SEGMENT_AGE_S:
            self._seal()

    def _seal(self) -> None:
        if self._file is None:
            return
        handle, self._file = self._file, None
        segment = self._segments[-1]
        segment.sealed = True
        os.close(handle)
        self._trim(segment)

    # -- sending -------------------------------------------------------------------------------------------------

    def unsent(self) -> Iterator[Entry]:
        """The next entries that wait to be sent; the caller confirms each with `sent` before it takes another."""
        while True:
            if self._tail:
                yield self._tail[0]
            elif self._tail_complete or not self._read_back():
                return

    def sent(self, entry: Entry) -> None:
        """Move the cursor behind `entry`, the first one that waited."""
        assert self._tail[0] is entry
        self._tail.popleft()
        self._tail_bytes -= len(entry.record.value)
        if not self._tail:
            self._tail_bytes = 0
        self._cursor_segment, self._cursor_offset, self._cursor_index = entry.segment, entry.end, entry.number + 1

    def _read_back(self) -> bool:
        """Fill the tail from disk behind the cursor; False when everything is sent."""
        while self._cursor_segment is not None:
            segment = self._cursor_segment
            self._load(segment)
            at_end = self._following(segment) is None
            if self._tail:
                # Complete only when the tail reaches the end of the log: later appends join it then.
                self._tail_complete = at_end and self._tail[-1].end == segment.size
                return True
            if at_end:
                self._tail_complete = True
                return False
            self._cursor_segment = self._following(segment)
            self._cursor_offset, self._cursor_index = len(MAGIC), 0
        self._tail_complete = True
        return False

    def _load(self, segment: Segment) -> None:
        if not segment.unacknowledged or self._cursor_offset >= segment.size:
            return
        with segment.path.open("rb") as file:
            data = file.read(segment.size)
        index = self._cursor_index
        for record, end in decode_all(data, self._cursor_offset):
            if not segment.acknowledged[index]:
                self._tail.append(Entry(segment, index, end, record))
                self._tail_bytes += len(record.value)
            index += 1
            if self._tail_bytes > TAIL_BYTES:
                return

    def _following(self, segment: Segment) -> Segment | None:
        """The oldest segment younger than `segment`, which may be trimmed already."""
        return next((other for other in self._segments if other.path.name > segment.path.name), None)

    def rewind(self) -> None:
        """Put the cursor back to the oldest record that is not acknowledged. Nothing may be in flight."""
        self._forget_tail()
        self._cursor_segment = next((segment for segment in self._segments if segment.unacknowledged), None)
        self._cursor_offset, self._cursor_index = len(MAGIC), 0
        if self._cursor_segment is None:
            self._cursor_segment = self._segments[-1] if self._segments else None
            self._skip_to_end()

    def _skip_to_end(self) -> None:
        self._tail_complete = True
        if self._cursor_segment is not None:
            self._cursor_offset, self._cursor_index = self._cursor_segment.size, self._cursor_segment.records

    # -- acknowledging -------------------------------------------------------------------------------------------

    def acknowledge(self, entry_segment: Segment, index: int) -> None:
        """Kafka has the record. A segment all of whose records it has is deleted."""
        if entry_segment.acknowledged[index]:
            return
        entry_segment.acknowledged[index] = 1
        entry_segment.unacknowledged -= 1
        self.unacknowledged -= 1
        if not entry_segment.unacknowledged:
            self._trim(entry_segment)

    def _trim(self, segment: Segment) -> None:
        if segment.sealed and not segment.unacknowledged and segment in self._segments:
            self._segments.remove(segment)
            self.bytes -= segment.size
            try:
                segment.path.unlink(missing_ok=True)
            except OSError as error:
                log.error("spool %s: cannot be deleted (%s); the next start sends it again", segment.path, error)

    # -- dropping ------------------------------------------------------------------------------------------------

    def aged(self, max_age_s: float) -> list[Segment]:
        """Segments whose records have waited for more than `max_age_s`, oldest first."""
        before_s = self._clock() - max_age_s
        return [s for s in self._segments if s.sealed and s.unacknowledged and s.created_s < before_s]

    def discard(self, segment: Segment) -> None:
        """Give up what `segment`, a sealed one, holds; the caller has said so. What is in flight may still arrive."""
        self.unacknowledged -= segment.unacknowledged
        segment.unacknowledged = 0
        segment.acknowledged[:] = b"\x01" * segment.records  # a late acknowledgement changes nothing
        self._tail = deque(entry for entry in self._tail if entry.segment is not segment)
        self._tail_bytes = sum(len(entry.record.value) for entry in self._tail)
        self._trim(segment)

    def oldest_s(self) -> float | None:
        """Age in seconds of the oldest segment that holds something unacknowledged; None when there is none."""
        # Asked by the threads of /metrics and /readyz: the copy is one step of the interpreter.
        oldest = next((segment for segment in tuple(self._segments) if segment.unacknowledged), None)
        return None if oldest is None else max(0.0, self._clock() - oldest.created_s)

    def close(self) -> None:
        """Seal what is open; what is acknowledged is deleted, the rest waits for the next start."""
        self._seal()
