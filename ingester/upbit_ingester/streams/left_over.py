"""What an earlier run left in the spools counts as kept: the state file may be older than they are."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from upbit_ingester.contract import Stream
from upbit_ingester.delivery.producer import Lane
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool import state as states
from upbit_ingester.spool.state import State
from upbit_ingester.streams.stream import changes_of

log = logging.getLogger(__name__)

DAMAGE_REACH_MS = 600_000  # how long before the oldest readable record what a damaged segment lost may have come


def take_over(
    lanes: Iterable[Lane], streams: Mapping[str, Stream], kept: State, state_path: Path, metrics: Metrics
) -> None:
    """Count what an earlier run left, and note it in `kept`, but for what a damaged spool may have lost.

    Raises:
        OSError: the disk refuses.
    """
    for lane in lanes:
        metrics.replayed += lane.spool.unacknowledged
        metrics.spool_torn_tails += lane.spool.torn_tails
        metrics.spool_damaged += lane.spool.damaged
        if stream := streams.get(lane.name):  # dead letters stand for no step of the state
            _note(stream, lane, kept)
    if metrics.replayed:
        log.warning("spool: %d records of an earlier run are sent first", metrics.replayed)
    if metrics.spool_damaged:
        # The next start finds no damage any more: what does not count as known must be written now.
        states.save(kept, state_path)


def _note(stream: Stream, lane: Lane, kept: State) -> None:
    times_ms = [mark.event_ms] if (mark := kept.streams.get(lane.name)) else []
    for change in changes_of(lane.name, lane.spool.left_over()):
        kept.apply(change)
        times_ms.append(change.event_ms)
    if lane.spool.damaged and times_ms:
        since_ms = min(times_ms) - DAMAGE_REACH_MS
        kept.forget_since(lane.name, since_ms)
        if stream.refetch:
            kept.forget_trades_since(since_ms)
