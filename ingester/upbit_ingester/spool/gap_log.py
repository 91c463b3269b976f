"""The record of what was missed: gaps_open.json while a gap is open, one JSON line in gaps.jsonl once it is closed.

Trades of a gap are fetched again (what REST does not reach any more has the cause `unreachable`); tickers and order
books cannot be. What the exchange published of them between `last_seen_ms` and `first_seen_ms` (its own time) is
missing, and these files say so. A process that is killed finds its open gaps again. `GET /gaps` answers what both hold.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from upbit_ingester.spool.state import StreamMark

log = logging.getLogger(__name__)

REPORTED_BYTES = 256 * 1024  # of the closed gaps the newest thousand or so


class Gap(msgspec.Struct, frozen=True, omit_defaults=True):
    """A gap is one line of gaps.jsonl. `*_seen_ms`: the exchange's time; `*_received_ms`: ours; ms since the epoch.

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


@dataclass(frozen=True, slots=True)
class GapOpened:
    """A gap begins behind the frame of `mark`, or an open one gets another beginning or cause."""

    mark: StreamMark
    cause: str


@dataclass(frozen=True, slots=True)
class GapOver:
    """The open gap is over."""


# What may happen to a stream's gap; a Gap is one line of what was missed.
GapStep = Gap | GapOpened | GapOver


class Gaps:
    """The gap log keeps both files.

    Written without a sync: they must survive the process; after a power cut `state.json` shows the same beginning.
    """

    def __init__(self, directory: Path, now_ms: Callable[[], int]) -> None:
        """`now_ms`: our time, ms since the epoch."""
        self._now_ms = now_ms
        self._closed_path = directory / "gaps.jsonl"
        self._open_path = directory / "gaps_open.json"
        self._open = _load(self._open_path)

    def get(self, stream: str) -> OpenGap | None:
        """The open gap of `stream`."""
        return self._open.get(stream)

    def store(self, stream: str, step: GapStep) -> None:
        """Write down what happened to the gap of `stream`; a failure is logged, it must not stop the ingest."""
        if isinstance(step, Gap):
            self.record(step)
        elif isinstance(step, GapOpened):
            mark = step.mark
            self._open[stream] = OpenGap(step.cause, mark.event_ms, mark.received_ms, self._now_ms())
            self._write_open()
        elif self._open.pop(stream, None) is not None:
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

    def report(self, fetching: Iterable[Gap]) -> list[Gap]:
        """The gaps that are open (`first_seen_ms` is 0), `fetching`, those whose trades are being fetched again, and
        the newest closed ones; may be asked by any thread.
        """
        known = [
            Gap(stream, 0, gap.cause, gap.last_seen_ms, 0, gap.last_received_ms, 0)
            for stream, gap in dict(self._open).items()
        ]
        return [*known, *fetching, *self._closed()]

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


def _load(path: Path) -> dict[str, OpenGap]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, OpenGap])
    except FileNotFoundError:
        return {}
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        log.error("%s cannot be read (%s); open gaps begin at the last frame that is known", path, error)
        return {}
