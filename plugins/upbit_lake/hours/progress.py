"""How far the lake is: its partitions, how far each Kafka partition is stored, and when the source first spoke."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from upbit_lake.contract.lake_sql import lake_sql
from upbit_lake.contract.model import Contract, Stream
from upbit_lake.contract.sql_files import RawSql
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.kafka.offsets import TopicOffsets, group_of, source_ended
from upbit_lake.engines.lake.reader import LakeReader
from upbit_lake.hours.closing import PartitionProgress, Progress, open_reason
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.partitions import PartitionState, hour_filter, read_partitions

# Enough to hold the newest row of each Kafka partition that speaks; one that spoke longer ago is quiet, not behind.
NEWEST_HOURS = 3


@dataclass(frozen=True)
class LakeState:
    """The lake at one moment: partitions and progress by table, and the hour in which the source first spoke."""

    states: Mapping[str, Sequence[PartitionState]]
    progress: Mapping[str, Progress]
    topics: Mapping[str, TopicOffsets]
    first_hour: Hour | None
    now: datetime
    grace_s: int

    def open_reason(self, table: str, hour: Hour) -> str | None:
        """Why `hour` of `table` is open, None when it is closed. A derived table closes with its source."""
        return open_reason(hour, self.progress[table], self.grace_s)

    def is_closed(self, state: PartitionState) -> bool:
        """Whether the partition's hour is closed."""
        return self.open_reason(state.table, state.hour) is None

    def is_partial(self, hour: Hour) -> bool:
        """Whether the source was not there for all of `hour`."""
        return self.first_hour is not None and hour <= self.first_hour


def read_lake(engines: Engines, now: datetime) -> LakeState:
    """Gather the state of lake and topics; raises LakeQueryError, KafkaAnswerError."""
    contract, reader, kafka = engines.contract, engines.lake, engines.offsets
    # Kafka first: what was committed then is in the lake now, not the other way round.
    topics = {name: kafka.read(stream.topic, group_of(stream.sql_name)) for name, stream in contract.streams.items()}
    dead = kafka.read(contract.dead_letter.topic, group_of("dead_letter"))
    states = read_partitions(reader, contract)
    newest = _newest_events(reader, contract, states)
    first = _first_hour(reader, contract, states)
    clock = max((event for events in newest.values() for event in events.values()), default=None)
    now_ms = int(now.timestamp() * 1000)
    ended = source_ended(topics.values(), now_ms, contract.hours.source_ended_s)
    progress = {
        stream.table: _progress(topics[name], newest[name], clock, ended) for name, stream in contract.streams.items()
    }
    progress |= {table: progress[contract.streams[item.source].table] for table, item in contract.derived.items()}
    # Dead letters live by the wall clock: their hour is Kafka's, and most of the time there are none.
    progress[contract.dead_letter.table] = _progress(dead, {}, now_ms, False)
    by_topic = {topic.topic: topic for topic in (*topics.values(), dead)}
    return LakeState(states, progress, by_topic, first, now, contract.hours.grace_s)


def _progress(topic: TopicOffsets, newest: Mapping[int, int], clock_ms: int | None, ended: bool) -> Progress:
    partitions = {
        number: PartitionProgress(newest.get(number), offsets.consumed) for number, offsets in topic.partitions.items()
    }
    return Progress(partitions, clock_ms, ended)


def _newest_events(
    reader: LakeReader, contract: Contract, states: Mapping[str, Sequence[PartitionState]]
) -> dict[str, dict[int, int]]:
    queries = [
        _stream_sql(contract, "progress/newest_events", stream, _hours(states[stream.table])[-NEWEST_HOURS:])
        for stream in contract.streams.values()
    ]
    answers = reader.query_all(queries)
    return {
        name: {row["kafka_partition"]: row["newest_event_ms"] for row in answer.to_pylist()}
        for name, answer in zip(contract.streams, answers, strict=True)
    }


def _first_hour(reader: LakeReader, contract: Contract, states: Mapping[str, Sequence[PartitionState]]) -> Hour | None:
    queries = [
        _stream_sql(contract, "verify/first_event", stream, _hours(states[stream.table])[:NEWEST_HOURS])
        for stream in contract.streams.values()
    ]
    events = [row["first_event_ms"] for answer in reader.query_all(queries) for row in answer.to_pylist()]
    known = [event for event in events if event is not None]
    return Hour.of_ms(min(known)) if known else None


def _stream_sql(contract: Contract, name: str, stream: Stream, hours: Iterable[Hour]) -> str:
    return lake_sql(contract, name, table=RawSql(stream.table), time=RawSql(stream.time), hours=hour_filter(hours))


def _hours(states: Iterable[PartitionState]) -> list[Hour]:
    return sorted(state.hour for state in states)
