"""The record of what was missed: gaps_open.json while a gap is open, one JSON line in gaps.jsonl once it is closed.

Trades of a gap are fetched again (what REST does not reach any more has the cause `unreachable`); tickers and order
books cannot be. What the exchange published of them between `last_seen_ms` and `first_seen_ms` (its own time) is
missing, and these files say so. A process that is killed finds its open gaps again. `GET /gaps` answers what both hold.
"""

import contextlib
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from upbit_ingester.spool.state import StreamMark

log = logging.getLogger(__name__)

REPORTED_BYTES = 256 * 1024  # of the closed gaps the newest thousand or so
SILENCE = "silence"  # the cause of a gap in which a socket was open and brought nothing


class Gap(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. `*_seen_ms`: the exchange's time; `*_received_ms`: ours; both ms since the epoch.

    `code` stands only in a gap of one code's trades that REST does not reach any more.
    """

    stream: str
    codes: int
    cause: str
    last_seen_ms: int
    first_seen_ms: int
    last_received_ms: int
    first_received_ms: int
    code: str = ""


class OpenGap(msgspec.Struct, frozen=True):
    """A gap whose end is not known yet; times as in Gap, `opened_ms` is ours."""

    cause: str
    last_seen_ms: int
    last_received_ms: int
    opened_ms: int


class Gaps:
    """Both files. Written without a sync: they must survive the process; after a power cut `state.json` shows the same
    beginning."""

    def __init__(self, directory: Path) -> None:
        self._closed_path = directory / "gaps.jsonl"
        self._open_path = directory / "gaps_open.json"
        self._open = _load(self._open_path)

    def get(self, stream: str) -> OpenGap | None:
        """The open gap of `stream`."""
        return self._open.get(stream)

    def open(self, stream: str, mark: StreamMark, cause: str) -> None:
        """Open a gap behind the frame of `mark`."""
        self._open[stream] = OpenGap(cause, mark.event_ms, mark.received_ms, time.time_ns() // 1_000_000)
        self._write_open()

    def forget(self, stream: str) -> None:
        """The open gap of `stream` is over."""
        if self._open.pop(stream, None) is not None:
            self._write_open()

    def record(self, gap: Gap) -> None:
        """Write one line; a failure is logged, it must not stop the ingest."""
        log.warning(
            "gap: %s, %d codes, %d ms by the exchange's time (%s)",
            gap.stream,
            gap.codes,
            gap.first_seen_ms - gap.last_seen_ms,
            gap.cause,
        )
        try:
            with self._closed_path.open("ab") as file:
                file.write(msgspec.json.encode(gap) + b"\n")
        except OSError as error:
            log.error("gap: cannot write %s (%s)", self._closed_path, error)

    def report(self, fetching: Mapping[str, int]) -> list[Gap]:
        """The gaps that are open (`first_seen_ms` is 0) and the newest closed ones; may be asked by any thread.

        `fetching`: the codes whose trades are being fetched again, each with the exchange's time (ms) since when.
        """
        known = [
            Gap(stream, 0, gap.cause, gap.last_seen_ms, 0, gap.last_received_ms, 0)
            for stream, gap in dict(self._open).items()
        ]
        known += [Gap("trade", 1, "refetch", since_ms, 0, 0, 0, code) for code, since_ms in fetching.items()]
        return known + self._closed()

    def _closed(self) -> list[Gap]:
        try:
            with self._closed_path.open("rb") as file:
                start = max(0, file.seek(0, os.SEEK_END) - REPORTED_BYTES)
                file.seek(start)
                lines = file.read().splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines[1 if start else 0 :]:
            with contextlib.suppress(msgspec.MsgspecError):  # torn by a power cut, or being written just now
                found.append(msgspec.json.decode(line, type=Gap))
        return found

    def _write_open(self) -> None:
        temporary = self._open_path.with_suffix(".tmp")
        try:
            temporary.write_bytes(msgspec.json.encode(self._open) + b"\n")
            temporary.replace(self._open_path)
        except OSError as error:
            log.error("gap: cannot write %s (%s)", self._open_path, error)


class GapTracker:
    """One stream's gaps: opened by a loss, closed by the first live frame after it."""

    def __init__(self, stream: str, mark: StreamMark | None, gaps: Gaps) -> None:
        """`mark` = the last frame of an earlier run, None at the very first start."""
        self._stream = stream
        self._gaps = gaps
        self.is_open = False  # a plain attribute: it is asked with each frame
        if (earlier := gaps.get(stream)) is not None:
            self.is_open = True
            if mark is not None and mark.event_ms < earlier.last_seen_ms:  # a damaged spool: less is known than then
                gaps.open(stream, mark, earlier.cause)
        else:
            self.lost(mark, "down")

    def lost(self, mark: StreamMark | None, cause: str) -> None:
        """The stream was lost after the frame of `mark`; a gap that is open keeps its beginning.

        It keeps its cause too, but for a silence: whatever came before, how far that reached is told by nothing.
        """
        gap = self._gaps.get(self._stream)
        if gap is None and mark is not None:
            self.is_open = True
            self._gaps.open(self._stream, mark, cause)
        elif gap is not None and cause == SILENCE != gap.cause:
            self._gaps.open(self._stream, StreamMark(gap.last_seen_ms, gap.last_received_ms), cause)

    def silent_since_ms(self) -> int | None:
        """The exchange's time of the last frame before a silence that is not over; None = there is none."""
        gap = self._gaps.get(self._stream)
        return gap.last_seen_ms if gap is not None and gap.cause == SILENCE else None

    def dismiss(self) -> None:
        """The loss cost nothing: every code shows the event that was its last one before."""
        self.is_open = False
        self._gaps.forget(self._stream)

    def seen(self, event_ms: int, received_ms: int, codes: int) -> bool:
        """A live (REALTIME) frame came: True when it closes a gap, which is recorded then."""
        gap = self._gaps.get(self._stream)
        if gap is None:
            return False
        times = (gap.last_seen_ms, event_ms, gap.last_received_ms, received_ms)
        self._gaps.record(Gap(self._stream, codes, gap.cause, *times))
        self.dismiss()  # after the line: a kill in between leaves the gap twice, not never
        return True


def _load(path: Path) -> dict[str, OpenGap]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, OpenGap])
    except FileNotFoundError:
        return {}
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        log.error("%s cannot be read (%s); open gaps begin at the last frame that is known", path, error)
        return {}
