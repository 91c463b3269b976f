"""The gap tracker decides when a stream's gap opens, what its cause is, and what ends it; the gap log stores it."""

from collections.abc import Sequence

from upbit_ingester.spool.gap_log import Gap, GapOpened, GapOver, GapStep, OpenGap
from upbit_ingester.spool.state import StreamMark
from upbit_ingester.upbit.socket import SILENCE


class GapTracker:
    """The tracker holds the gap of one stream: a loss opens it, the first live frame after that closes it."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._gap: GapOpened | None = None
        self.is_open = False  # a plain attribute: it is asked with each frame

    def started(self, mark: StreamMark | None, earlier: OpenGap | None) -> Sequence[GapStep]:
        """The process starts. `mark` = the last frame of an earlier run, None at the very first start; `earlier` = the
        gap that the earlier run left open.
        """
        if earlier is None:
            return self.lost(mark, "down")
        before = StreamMark(earlier.last_seen_ms, earlier.last_received_ms)
        if mark is not None and mark.event_ms < earlier.last_seen_ms:  # a damaged spool: less is known than then
            return self._opened(mark, earlier.cause)
        self._opened(before, earlier.cause)
        return ()

    def lost(self, mark: StreamMark | None, cause: str) -> Sequence[GapStep]:
        """The stream was lost after the frame of `mark`; a gap that is open keeps its beginning.

        It keeps its cause too, unless a silence follows: how far that one reached, no SNAPSHOT shows.
        """
        if self._gap is None:
            return self._opened(mark, cause) if mark is not None else ()
        if cause == SILENCE != self._gap.cause:
            return self._opened(self._gap.mark, cause)
        return ()

    def _opened(self, mark: StreamMark, cause: str) -> Sequence[GapStep]:
        self.is_open = True
        self._gap = GapOpened(StreamMark(mark.event_ms, mark.received_ms), cause)
        return (self._gap,)

    def silent_since_ms(self) -> int | None:
        """The exchange's time of the last frame before a silence that is not over; None = there is none."""
        return self._gap.mark.event_ms if self._gap is not None and self._gap.cause == SILENCE else None

    def dismiss(self) -> Sequence[GapStep]:
        """The loss cost nothing: every code shows the event that was its last one before."""
        self.is_open, self._gap = False, None
        return (GapOver(),)

    def seen(self, event_ms: int, received_ms: int, codes: int) -> Sequence[GapStep]:
        """A live (REALTIME) frame came: it closes the gap if one is open, which is recorded then."""
        gap = self._gap
        if gap is None:
            return ()
        times = (gap.mark.event_ms, event_ms, gap.mark.received_ms, received_ms)
        # The line comes first: a kill between the two leaves the gap twice, not never.
        return (Gap(self._stream, codes, gap.cause, *times), *self.dismiss())
