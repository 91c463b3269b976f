"""Names the hours that cannot be refilled after a topic or a table was recreated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from upbit_lake.contract.model import Stream
from upbit_lake.engines.clock import wait_until
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.kafka.records import KafkaRecord
from upbit_lake.hours.hour import event_ms
from upbit_lake.jobs.lake_progress import LakeProgress

# A line of the log that still can be read; of more hours the first and the last are named.
MAX_NAMED = 24
# With the exchange connected the first record of a topic comes within a second or two; a quiet one is not waited for.
FIRST_RECORD_S = 20.0
POLL_S = 0.5


def lost_hours(newest_in_lake_ms: int | None, oldest_in_topic_ms: int | None) -> tuple[datetime, ...]:
    """The hours (UTC) that may miss events: from the lake's newest event to the topic's oldest, both hours included.

    Times are the exchange's, epoch ms. With nothing in the lake nothing is known to be lost. With nothing in the
    topic yet only the hour of the lake's newest event is known. Empty when the topic reaches back far enough.
    """
    if newest_in_lake_ms is None:
        return ()
    first = _hour(newest_in_lake_ms)
    last = first if oldest_in_topic_ms is None else _hour(oldest_in_topic_ms)
    if oldest_in_topic_ms is not None and oldest_in_topic_ms <= newest_in_lake_ms:
        return ()
    return tuple(first + timedelta(hours=n) for n in range(int((last - first) / timedelta(hours=1)) + 1))


def describe(table: str, hours: Sequence[datetime]) -> str:
    """One line that names the hours of a table that cannot be refilled."""
    if not hours:
        return f"{table}: nothing is missing"
    names = [f"{hour:%Y-%m-%dT%H}" for hour in hours]
    if len(names) > MAX_NAMED:
        names = [names[0], f"… {len(names) - 2} more …", names[-1]]
    return f"{table}: these hours cannot be refilled from Kafka: {', '.join(names)}"


def name_lost_hours(engines: Engines, stream: Stream) -> str:
    """What cannot be refilled of a stream whose topic or table was recreated, in one line; nothing is raised."""
    try:
        return _lost_hours_line(engines, stream)
    except Exception as error:  # whatever it is: a job that was cancelled must be started all the same
        return f"{stream.table}: the hours that cannot be refilled are unknown ({error})"


def _lost_hours_line(engines: Engines, stream: Stream) -> str:
    newest = LakeProgress.of(engines).newest_event_ms(stream)
    with engines.records() as reader:
        # A topic just made: its first record ends the gap.
        records = wait_until(lambda: reader.oldest(stream.topic), bool, FIRST_RECORD_S, POLL_S, engines.clock)
    oldest = oldest_event_ms(records, stream)
    if newest is None and oldest is not None:
        return f"{stream.table}: it is empty, nothing before {_hour(oldest):%Y-%m-%dT%H} can be refilled from Kafka"
    return describe(stream.table, lost_hours(newest, oldest))


def oldest_event_ms(records: Sequence[KafkaRecord], stream: Stream) -> int | None:
    """The oldest event time (exchange's clock, ms) among `records`; one without it counts by its Kafka time."""
    return min((_event_ms(record, stream) for record in records), default=None)


def _event_ms(record: KafkaRecord, stream: Stream) -> int:
    try:
        return event_ms(int(json.loads(record.value or b"")[stream.time]))
    except (ValueError, KeyError, TypeError):
        return record.timestamp_ms


def _hour(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).replace(minute=0, second=0, microsecond=0)
