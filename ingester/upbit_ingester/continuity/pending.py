"""Events that a new subscription shows and no socket has brought live yet, although the code was carried all the time.

Each (re)subscription repeats a code's last event. When another socket carries the code, that event is on its way there
too and comes within moments: then nothing was missed. When it does not come, the other socket was dead without knowing,
and what it missed must be treated like any other gap.
"""

from dataclasses import dataclass

from upbit_ingester.gate.gate import Accepted

PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """Another socket than `asker` must bring this event until `until_s` (monotonic).

    `asker` is None when a socket has subscribed again: then that socket may bring it too, but only this very event
    counts. `from_ms`: the code's trades since then may be missing; `marked`: the state says so until this is settled.
    """

    event: Accepted
    asker: object | None
    until_s: float
    received_ms: int
    from_ms: int = 0
    marked: bool = False

    def is_settled_by(self, bearer: object, came: Accepted, in_order: bool) -> bool:
        """True when `came` from `bearer` shows that this event was carried. `in_order`: a later event does so too."""
        if bearer is self.asker:
            return False
        later = in_order and self.asker is not None and came.event_ms >= self.event.event_ms
        return later or came.key == self.event.key


class Pending:
    """The pending events of one stream, at most one a code."""

    def __init__(self, in_order: bool) -> None:
        """`in_order`: the events of a code come in the order of their times."""
        self._in_order = in_order
        self._events: dict[str, PendingEvent] = {}

    def __bool__(self) -> bool:
        return bool(self._events)

    def add(self, pending: PendingEvent) -> None:
        """Wait for the event of `pending`."""
        self._events[pending.event.code] = pending

    def drop(self, code: str) -> PendingEvent | None:
        """Stop waiting for the event of `code`; None when there is none."""
        return self._events.pop(code, None)

    def settle(self, bearer: object, came: Accepted) -> PendingEvent | None:
        """The pending event that a live frame settles, None when it settles none."""
        pending = self._events.get(came.code)
        if pending is None or not pending.is_settled_by(bearer, came, self._in_order):
            return None
        return self._events.pop(came.code)

    def overdue(self, now_s: float) -> list[PendingEvent]:
        """Take out the events that no socket has brought in time."""
        return self._take([pending for pending in self._events.values() if now_s >= pending.until_s])

    def orphaned(self, lost: object) -> list[PendingEvent]:
        """Take out the events that waited for the socket which is lost now."""
        return self._take([pending for pending in self._events.values() if pending.asker is not lost])

    def _take(self, chosen: list[PendingEvent]) -> list[PendingEvent]:
        for pending in chosen:
            del self._events[pending.event.code]
        return chosen
