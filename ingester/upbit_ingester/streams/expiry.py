"""Expiry drops what has waited in the spool for too long, of the streams that may expire."""

import logging
from collections.abc import Iterable

from upbit_ingester.delivery.producer import Lane
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.gap_log import Gap, Gaps
from upbit_ingester.spool.segment import Segment
from upbit_ingester.streams.stream import changes_of

log = logging.getLogger(__name__)


class Expiry:
    """Expiry drops whole segments, and says what of which time is missing. Works in the thread that owns the spools."""

    def __init__(self, lanes: Iterable[Lane], max_age_s: float, gaps: Gaps, metrics: Metrics) -> None:
        """`lanes`: those of the streams that may expire; never the dead letters, which may be trades."""
        self._lanes = list(lanes)
        self._max_age_s = max_age_s
        self._gaps = gaps
        self._metrics = metrics

    def look(self) -> None:
        """Drop what is too old by now; OSError when the disk refuses to say what it is."""
        for lane in self._lanes:
            for segment in lane.spool.aged(self._max_age_s):
                self._drop(lane, segment)

    def _drop(self, lane: Lane, segment: Segment) -> None:
        events = list(changes_of(lane.name, segment.waiting()))
        text = "%s: %d records have waited in the spool for more than %.0f h and are dropped"
        log.error(text, lane.name, segment.unacknowledged, self._max_age_s / 3600)
        if events:
            published, received = [e.event_ms for e in events], [e.received_ms for e in events]
            codes = len({event.code for event in events})
            times = (min(published) - 1, max(published) + 1, min(received), max(received))
            self._gaps.record(Gap(lane.name, codes, "expired", *times))
        self._metrics.expired[lane.name] += segment.unacknowledged
        lane.spool.discard(segment)  # after the record: a kill in between leaves the gap twice, not never
