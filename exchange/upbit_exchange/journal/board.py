"""The board holds what has been published: the last event of each stream and code, the trades, the counts."""

from __future__ import annotations

import contextlib

from upbit_exchange.journal.ledger import Entry
from upbit_exchange.market.history import History
from upbit_exchange.wire.names import STREAMS, Channel, Event, Stream


class Board:
    """The state behind SNAPSHOTs and REST, rebuilt from the ledger after a restart."""

    def __init__(self) -> None:
        self.last: dict[tuple[Channel, str], Event] = {}
        self.history = History()
        self.published: dict[Stream, int] = dict.fromkeys(STREAMS, 0)
        self.entries = 0
        self.newest_ms = 0

    def apply(self, event: Event, realtime: bool = True) -> None:
        """Takes one event into account."""
        self.entries += 1
        self.last[event.stream, event.code] = event
        self.newest_ms = max(self.newest_ms, event.time)
        if realtime:
            self.published[event.stream] += 1
        if event.stream == "trade":
            # A recorded trade may lack what REST needs; it is published all the same.
            with contextlib.suppress(KeyError, ValueError, ArithmeticError):
                self.history.add(event)

    def reapply(self, entry: Entry) -> None:
        """Takes one line of the ledger into account."""
        self.apply(entry.event, entry.kind == "realtime")
        # Older segments may have been removed: the line's own number counts.
        self.entries = entry.n

    @property
    def total(self) -> int:
        """Returns how many REALTIME events were published."""
        return sum(self.published.values())
