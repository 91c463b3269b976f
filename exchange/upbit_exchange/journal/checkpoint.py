"""A restart reads the newest checkpoint of the board, and of the ledger only what came after it.

The ledger is the truth. `checkpoint.msgpack` holds the board as of the end of a segment; without it, or with a damaged
one, everything is read again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from upbit_exchange.journal import ledger
from upbit_exchange.journal.board import Board
from upbit_exchange.journal.ledger import Kind, Ledger, LedgerError
from upbit_exchange.market.history import ColumnsDump
from upbit_exchange.wire.names import Event, Stream

VERSION = 1
_log = logging.getLogger("upbit_exchange")


class Checkpoint(msgspec.Struct, frozen=True):
    """The board after the last line of segment number `covers`."""

    version: int
    covers: int
    entries: int
    newest_ms: int
    published: dict[Stream, int]
    last: list[Event]
    trades: dict[str, ColumnsDump]


class CheckpointedLedger:
    """The ledger of one directory and the board it adds up to. LedgerError when it is damaged or of another source."""

    def __init__(
        self, directory: Path, identity: dict[str, Any], keep_bytes: int = 0, segment_bytes: int = ledger.SEGMENT_BYTES
    ) -> None:
        self._path = directory / "checkpoint.msgpack"
        self._keep_bytes = keep_bytes
        self._ledger = Ledger(directory, segment_bytes=segment_bytes)
        try:
            _same_source(directory, identity)
            self.board, covered = self._from_checkpoint()
            for entry in ledger.read(directory, after=covered):
                self.board.reapply(entry)
        except BaseException:
            self._ledger.close()
            raise
        self._ledger.next_n = self.board.entries + 1

    def record(self, kind: Kind, events: Iterable[Event]) -> None:
        """Writes events to the ledger, then applies them to the board. OSError on a full disk: none may be sent."""
        if self._ledger.segment_is_full and self.board.entries:
            self._checkpoint()
        events = list(events)
        self._ledger.append(kind, events)
        for event in events:
            self.board.apply(event, kind == "realtime")

    def close(self) -> None:
        """Keeps a checkpoint (a full disk does not matter: it only spares reading) and releases the directory."""
        if self.board.entries:
            with contextlib.suppress(OSError):
                self._checkpoint()
        self._ledger.close()

    def _checkpoint(self) -> None:
        board = self.board
        checkpoint = Checkpoint(
            VERSION,
            self._ledger.last_segment,
            board.entries,
            board.newest_ms,
            board.published,
            list(board.last.values()),
            board.history.dump(),
        )
        unfinished = self._path.with_suffix(".tmp")
        unfinished.write_bytes(msgspec.msgpack.encode(checkpoint))
        unfinished.replace(self._path)
        if self._keep_bytes:
            self._ledger.forget(self._keep_bytes)

    def _from_checkpoint(self) -> tuple[Board, int]:
        """The checkpoint's board and the segment it covers; an empty board where there is none."""
        board = Board()
        if not self._path.exists():
            return board, 0
        try:
            checkpoint = msgspec.msgpack.decode(self._path.read_bytes(), type=Checkpoint)
            if checkpoint.version != VERSION or checkpoint.covers > self._ledger.last_segment:
                raise ValueError("it belongs to another ledger or version")
            board.history.load(checkpoint.trades)
        except (msgspec.MsgspecError, ValueError, OSError) as error:
            _log.warning("%s is not used (%s): the whole ledger is read", self._path, error)
            return Board(), 0
        board.last = {(event.stream, event.code): event for event in checkpoint.last}
        board.published = dict(checkpoint.published)
        board.entries = checkpoint.entries
        board.newest_ms = checkpoint.newest_ms
        return board, checkpoint.covers


def _same_source(directory: Path, identity: dict[str, Any]) -> None:
    """A ledger belongs to one source: LedgerError if this directory holds another one's."""
    path = directory / "source.json"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(identity))
        return
    try:
        before = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.MsgspecError:
        raise LedgerError(f"{path} is damaged; give another --ledger or remove the directory") from None
    if before != identity:
        raise LedgerError(
            f"{directory} holds the ledger of another source ({_described(before)}, now {_described(identity)}); "
            "start with the same options or give another --ledger"
        )


def _described(identity: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in identity.items())
