"""Where the lake ends, in Kafka's terms: from which time a job without state must read again to lose nothing.

The moment of the lake's last commit is not it: a job that was catching up committed old records late. So the offsets
that the lake holds are asked, and the time of the records at those offsets.
"""

from __future__ import annotations

from collections.abc import Mapping

from upbit_lake.contract.model import Stream
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.kafka.records import Retained
from upbit_lake.jobs.lake_progress import LakeProgress

# Brokers stamp records by their own clocks; a replayed minute costs nothing.
MARGIN_MS = 60_000


def replay_from_ms(engines: Engines, stream: Stream) -> int | None:
    """A Kafka time (epoch ms) at which everything older of `stream` is in the lake, or None for the beginning."""
    with engines.records() as reader:
        ranges = reader.ranges(stream.topic)
        filled = [partition for partition, retained in ranges.items() if retained.high > retained.low]
        offsets = frontier(LakeProgress.of(engines).highest_offsets(stream, filled), ranges)
        if offsets is None:
            return None
        times = []
        for partition, offset in offsets.items():
            record = reader.at(stream.topic, partition, offset)
            if record is None:
                return None
            times.append(record.timestamp_ms)
    return min(times) - MARGIN_MS if times else None


def frontier(stored: Mapping[int, int], ranges: Mapping[int, Retained]) -> dict[int, int] | None:
    """Partition → the offset whose record dates the replay; None when only the beginning is safe.

    Args:
        stored: partition → offset up to which the lake holds everything.
        ranges: partition → retained offsets. An empty partition needs no replay.
    """
    offsets = {}
    for partition, retained in ranges.items():
        if retained.high == retained.low:
            continue
        newest = stored.get(partition)
        if newest is None or not retained.low <= newest < retained.high:
            return None
        offsets[partition] = newest
    return offsets
