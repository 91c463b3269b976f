"""The state survives a restart: the last moment of each stream, and per code the trades that are already kept.

There are two copies: one for decisions (event loop) and one that follows only what stands in the spool (pump) and is
written to `state.json` each second. After a kill the file may be a second behind in what was seen, which only makes
the refetch reach a little further back: repeated trades are harmless, missing ones are not. A gap or a baseline is
written before any record that comes after it: once such a record is known, nothing else shows that trades before it
are missing.
"""

import logging
import os
from pathlib import Path
from typing import Literal

import msgspec

from upbit_ingester.spool.disk import sync_directory

log = logging.getLogger(__name__)

KEPT_IDS = 256  # ids per code that count as known; a trade may come after a younger one (docs/upbit.md#sequential-id)
STORED_IDS = 16
AHEAD_MS = 60_000  # one event moves what is known forward by the time since the last one and no more than this


ChangeKind = Literal["seen", "baseline", "gap", "healed"]


class Change(msgspec.Struct, frozen=True, gc=False):
    """One step of the state, applied to both copies in the same order.

    `seen`: a frame of `stream` is kept; `baseline`: the first trade ever seen of a code, everything up to it is
    before our time; `gap`: trades of the code since the last known one are missing; `healed`: they are kept now.
    """

    kind: ChangeKind
    stream: str
    code: str
    event_ms: int
    received_ms: int = 0
    sequential_id: int = 0  # of a trade that counts as kept, else 0


class StreamMark(msgspec.Struct):
    """The last frame of a stream: the exchange's time and ours, ms since the epoch."""

    event_ms: int = 0
    received_ms: int = 0


class KnownTrades(msgspec.Struct):
    """The trades of one code that are kept. `gap_from_ms`: trades since then may be missing; None = none are."""

    last_ms: int
    ids: list[int]
    gap_from_ms: int | None = None


class State(msgspec.Struct):
    """The whole state; `trades` is empty at the very first start."""

    streams: dict[str, StreamMark] = {}
    trades: dict[str, KnownTrades] = {}

    def apply(self, change: Change) -> None:
        """Take one step."""
        if change.kind == "seen":
            self._seen(change)
        elif change.kind == "baseline":
            self.trades[change.code] = KnownTrades(change.event_ms, [change.sequential_id])
        elif change.kind == "gap":
            known = self.trades[change.code]
            if known.gap_from_ms is None:
                known.gap_from_ms = known.last_ms
        else:
            self.trades[change.code].gap_from_ms = None

    def forget_since(self, stream: str, since_ms: int) -> None:
        """Nothing that came of `stream` since `since_ms` counts as known any more: it may be lost."""
        mark = self.streams.get(stream)
        if mark is not None:
            mark.event_ms = min(mark.event_ms, since_ms)

    def forget_trades_since(self, since_ms: int) -> None:
        """The same for the trades of every code: they are fetched again from there."""
        for known in self.trades.values():
            known.gap_from_ms = since_ms if known.gap_from_ms is None else min(known.gap_from_ms, since_ms)
            known.ids.clear()

    def _seen(self, change: Change) -> None:
        mark = self.streams.get(change.stream)
        if mark is None:
            mark = self.streams[change.stream] = StreamMark()
        event_ms = change.event_ms
        if mark.received_ms and change.received_ms:  # a stamp from the future must not hide what is missed after it
            passed_ms = max(change.received_ms - mark.received_ms, 0)
            event_ms = min(event_ms, mark.event_ms + passed_ms + AHEAD_MS)
        mark.event_ms = max(mark.event_ms, event_ms)
        mark.received_ms = max(mark.received_ms, change.received_ms)
        if change.sequential_id:
            self._keep(change, event_ms)

    def _keep(self, change: Change, event_ms: int) -> None:
        known = self.trades.get(change.code)
        if known is None:
            self.trades[change.code] = KnownTrades(event_ms, [change.sequential_id])
            return
        known.last_ms = max(known.last_ms, event_ms)
        known.ids.append(change.sequential_id)
        if len(known.ids) > 2 * KEPT_IDS:
            del known.ids[:-KEPT_IDS]


def encode(state: State) -> bytes:
    """The content of `state.json`."""
    trades = {
        code: KnownTrades(known.last_ms, known.ids[-STORED_IDS:], known.gap_from_ms)
        for code, known in state.trades.items()
    }
    return msgspec.json.encode(State(state.streams, trades))


def save(state: State, path: Path) -> None:
    """Write `path` so that a crash leaves either the old or the new content; OSError when the disk refuses."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(encode(state))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def load(path: Path) -> State:
    """The state at `path`; an empty one when there is none. A broken file is set aside and said."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        aside = path.with_suffix(".broken")
        path.replace(aside)
        log.error("%s is broken (%s), kept as %s; trades missed while down cannot be found", path, error, aside.name)
        return State()
