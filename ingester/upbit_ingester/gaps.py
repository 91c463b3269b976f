"""The record of what was missed: one JSON line a gap in gaps.jsonl, beside the spool.

Trades of a gap are fetched again (what REST does not reach any more has the cause `unreachable`); tickers and order
books cannot be. What the exchange published of them between
`last_seen_ms` and `first_seen_ms` (its own time) is missing, and this file says so.
"""

import logging
from pathlib import Path

import msgspec

from upbit_ingester.state import StreamMark

log = logging.getLogger(__name__)


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


class GapTracker:
    """One stream's gaps: opened by a loss, closed by the first live frame after it."""

    def __init__(self, stream: str, mark: StreamMark | None) -> None:
        """`mark` = the last frame of an earlier run, None at the very first start."""
        self._stream = stream
        self._open: tuple[StreamMark, str] | None = (
            (StreamMark(mark.event_ms, mark.received_ms), "down") if mark else None
        )

    @property
    def is_open(self) -> bool:
        """True between a loss and the first live frame after it."""
        return self._open is not None

    def lost(self, mark: StreamMark | None, cause: str) -> None:
        """The stream was lost after the frame of `mark`; a gap that is open keeps its beginning."""
        if self._open is None and mark is not None:
            self._open = (StreamMark(mark.event_ms, mark.received_ms), cause)

    def dismiss(self) -> None:
        """The loss cost nothing: every code shows the event that was its last one before."""
        self._open = None

    def seen(self, event_ms: int, received_ms: int, codes: int) -> Gap | None:
        """A live (REALTIME) frame came: the gap that it closes, if one was open."""
        if self._open is None:
            return None
        mark, cause = self._open
        self._open = None
        return Gap(self._stream, codes, cause, mark.event_ms, event_ms, mark.received_ms, received_ms)


def append(path: Path, gap: Gap) -> None:
    """Write one line; a failure is logged, it must not stop the ingest."""
    log.warning(
        "gap: %s, %d codes, %d ms by the exchange's time (%s)",
        gap.stream,
        gap.codes,
        gap.first_seen_ms - gap.last_seen_ms,
        gap.cause,
    )
    try:
        with path.open("ab") as file:
            file.write(msgspec.json.encode(gap) + b"\n")
    except OSError as error:
        log.error("gap: cannot write %s (%s)", path, error)
