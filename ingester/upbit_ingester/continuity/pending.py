"""What a new subscription shows first and nobody has brought yet, although the code was carried all the time.

Each (re)subscription repeats a code's last event. When another socket carries the code, that event is on its way there
too and comes within moments: then nothing was missed. When it does not come, the other socket was dead without knowing,
and what it missed must be treated like any other gap.
"""

from dataclasses import dataclass

from upbit_ingester.gate.gate import Accepted

PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """An event that another socket than `asker` must bring until `until_s` (monotonic).

    `asker` is None when a socket subscribed anew: then that socket may bring it too, but only this very event counts.
    `from_ms`: the code's trades since then are in doubt; `marked`: the state says so, and must be told when it is over.
    """

    verdict: Accepted
    asker: object | None
    until_s: float
    received_ms: int
    from_ms: int = 0
    marked: bool = False

    def is_settled_by(self, bearer: object, came: Accepted, in_order: bool) -> bool:
        """Does `came` from `bearer` show that this event was carried? `in_order`: a later event does so too."""
        if bearer is self.asker:
            return False
        later = in_order and self.asker is not None and came.event_ms >= self.verdict.event_ms
        return later or came.key == self.verdict.key


class Doubts:
    """The open doubts of one stream, at most one a code."""

    def __init__(self, stream: str) -> None:
        # A code's trades may come out of order; books and tickers are whole and their times do not go back.
        self._in_order = stream != "trade"
        self._open: dict[str, Doubt] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, doubt: Doubt) -> None:
        """Wait for the event of `doubt`."""
        self._open[doubt.verdict.code] = doubt

    def drop(self, code: str) -> Doubt | None:
        """Give up the doubt on `code`; None when there is none."""
        return self._open.pop(code, None)

    def settle(self, bearer: object, came: Accepted) -> Doubt | None:
        """The doubt that a live frame ends, None when it ends none."""
        doubt = self._open.get(came.code)
        if doubt is None or not doubt.is_settled_by(bearer, came, self._in_order):
            return None
        return self._open.pop(came.code)

    def overdue(self, now_s: float) -> list[Doubt]:
        """Take out the doubts that nobody has settled in time."""
        return self._take([doubt for doubt in self._open.values() if now_s >= doubt.until_s])

    def orphaned(self, lost: object) -> list[Doubt]:
        """Take out the doubts that waited for the socket which is lost now."""
        return self._take([doubt for doubt in self._open.values() if doubt.asker is not lost])

    def _take(self, doubts: list[Doubt]) -> list[Doubt]:
        for doubt in doubts:
            del self._open[doubt.verdict.code]
        return doubts
