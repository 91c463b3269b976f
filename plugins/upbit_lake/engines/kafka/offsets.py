"""What Kafka tells about the topics: first and end offsets, committed offsets of the jobs, age of the newest record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

TIMEOUT_S = 30.0
_SPEC: Any = OffsetSpec  # the library's own hints stop here


# Every consumer group of ours; the rights to them are granted by it.
GROUP_PREFIX = "upbit-lake-"


class KafkaAnswerError(RuntimeError):
    """Kafka did not answer as needed: worth a retry. One line."""


@dataclass(frozen=True)
class PartitionOffsets:
    """`first`: oldest retained offset. `end`: the next one to be written. `committed`: the job's, None before its
    first commit. `newest_ms`: Kafka's time of the newest record, None when the partition is empty.
    """

    first: int
    end: int
    committed: int | None
    newest_ms: int | None

    @property
    def consumed(self) -> bool:
        """Nothing retained is waiting for the job."""
        return self.end == self.first or (self.committed is not None and self.committed >= self.end)


@dataclass(frozen=True)
class TopicOffsets:
    """A topic's identity (a recreated topic has another `topic_id`) and its partitions."""

    topic: str
    topic_id: str
    partitions: Mapping[int, PartitionOffsets]


def group_of(source: str) -> str:
    """The consumer group of a source in `sql/sources/`: a stream's name or `dead_letter`."""
    return f"{GROUP_PREFIX}{source.replace('_', '-')}"


def read_topic(admin: AdminClient, topic: str, group: str) -> TopicOffsets:
    """Offsets of `topic` and those that `group` has committed; raises KafkaAnswerError."""
    try:
        description = admin.describe_topics(TopicCollection([topic]), request_timeout=TIMEOUT_S)[topic].result()
        numbers = [partition.id for partition in description.partitions]
        first, end, newest = (
            _offsets(admin, topic, numbers, spec) for spec in (_SPEC.earliest(), _SPEC.latest(), _SPEC.max_timestamp())
        )
        committed = _committed(admin, topic, numbers, group)
    except KafkaException as error:
        raise KafkaAnswerError(f"topic {topic}: {error.args[0].str()}") from None
    partitions = {
        number: PartitionOffsets(
            first=first[number][0],
            end=end[number][0],
            committed=committed.get(number),
            newest_ms=newest[number][1] if newest[number][0] >= 0 else None,
        )
        for number in numbers
    }
    return TopicOffsets(topic, str(description.topic_id), partitions)


def offsets_at(admin: AdminClient, topic: TopicOffsets, moment_ms: int) -> dict[int, int]:
    """Per partition the first offset that Kafka received at `moment_ms` or later (`end` when there is none)."""
    try:
        found = _offsets(admin, topic.topic, topic.partitions, _SPEC.for_timestamp(moment_ms))
    except KafkaException as error:
        raise KafkaAnswerError(f"topic {topic.topic}: {error.args[0].str()}") from None
    return {
        number: found[number][0] if found[number][0] >= 0 else partition.end
        for number, partition in topic.partitions.items()
    }


def source_ended(topics: Iterable[TopicOffsets], now_ms: int, silence_s: int) -> bool:
    """Everything is consumed and no record has arrived for `silence_s`; an empty source has not begun."""
    partitions = [partition for topic in topics for partition in topic.partitions.values()]
    newest = [partition.newest_ms for partition in partitions if partition.newest_ms is not None]
    if not newest or not all(partition.consumed for partition in partitions):
        return False
    return now_ms - max(newest) >= silence_s * 1000


def _offsets(admin: AdminClient, topic: str, numbers: Iterable[int], spec: Any) -> dict[int, tuple[int, int]]:
    """(offset, timestamp in ms) by partition; offset -1 = none."""
    asked = {TopicPartition(topic, number): spec for number in numbers}
    answers = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=TIMEOUT_S)
    results = {place.partition: future.result() for place, future in answers.items()}
    return {number: (result.offset, result.timestamp) for number, result in results.items()}


def _committed(admin: AdminClient, topic: str, numbers: Iterable[int], group: str) -> dict[int, int]:
    request = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, number) for number in numbers])
    answer = admin.list_consumer_group_offsets([request], request_timeout=TIMEOUT_S)[group].result()
    return {place.partition: place.offset for place in answer.topic_partitions or [] if place.offset >= 0}
