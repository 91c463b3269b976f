"""What Kafka says of the topics: first and end offsets, committed offsets of the jobs, age of the newest record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from upbit_lake.contract.settings import KafkaLogin
from upbit_lake.engines.kafka.admin import ADMIN_TIMEOUT_S

# Every consumer group of ours; the rights to them are granted by it.
GROUP_PREFIX = "upbit-lake-"

_SPEC: Any = OffsetSpec  # the library's own hints stop here


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


class OffsetReader(Protocol):
    """Who tells where a topic begins and ends and how far a consumer group has come."""

    def read(self, topic: str, group: str) -> TopicOffsets:
        """Kafka returns the offsets of `topic` and those that `group` has committed; raises KafkaAnswerError."""


class ConfluentOffsets:
    """The offsets through confluent_kafka: an AdminClient for the topic, a consumer of the group for what it committed.

    `timeout_s` bounds the group's answer.
    """

    def __init__(self, client: AdminClient, login: KafkaLogin, timeout_s: float = ADMIN_TIMEOUT_S) -> None:
        self._client = client
        self._login = login
        self._timeout_s = timeout_s

    def read(self, topic: str, group: str) -> TopicOffsets:
        """Kafka returns the offsets of `topic` and those that `group` has committed; raises KafkaAnswerError."""
        client = self._client
        try:
            asked = client.describe_topics(TopicCollection([topic]), request_timeout=ADMIN_TIMEOUT_S)
            description = asked[topic].result()
            numbers = [partition.id for partition in description.partitions]
            first, end, newest = (
                _offsets(client, topic, numbers, spec)
                for spec in (_SPEC.earliest(), _SPEC.latest(), _SPEC.max_timestamp())
            )
            committed = self._committed(topic, numbers, group)
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

    def _committed(self, topic: str, numbers: Iterable[int], group: str) -> dict[int, int]:
        # Not AdminClient.list_consumer_group_offsets: it ends the process with SIGSEGV when the group's coordinator has
        # just moved or still loads (librdkafka issue 5040; here by killing one broker after the other).
        consumer = Consumer({**self._login.client, "group.id": group, "enable.auto.commit": False, "log_level": 0})
        try:
            places = consumer.committed([TopicPartition(topic, number) for number in numbers], self._timeout_s)
        finally:
            consumer.close()
        for place in places:
            if place.error is not None:
                raise KafkaException(place.error)
        return {place.partition: place.offset for place in places if place.offset >= 0}


def group_of(source: str) -> str:
    """The consumer group of a source in `sql/sources/`: a stream's name or `dead_letter`."""
    return f"{GROUP_PREFIX}{source.replace('_', '-')}"


@dataclass(frozen=True)
class ClusterOffsets:
    """How many brokers a cluster has, and the offsets of topics by name; a topic that does not exist is left out."""

    brokers: int
    topics: Mapping[str, TopicOffsets]


def read_cluster(login: KafkaLogin, groups: Mapping[str, str], timeout_s: float) -> ClusterOffsets:
    """The offsets of the topics in `groups` (topic → its job's group); raises KafkaAnswerError.

    `timeout_s`: how long a new client waits for the first answer of a broker (seconds).
    """
    client = AdminClient({**login.client, "log_level": 0, "socket.timeout.ms": int(timeout_s * 1000)})
    try:
        found = client.list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise KafkaAnswerError(f"Kafka at {login.bootstrap_servers}: {error.args[0].str()}") from None
    offsets = ConfluentOffsets(client, login, timeout_s)
    topics = {topic: offsets.read(topic, group) for topic, group in groups.items() if topic in found.topics}
    return ClusterOffsets(len(found.brokers), topics)


def source_ended(topics: Iterable[TopicOffsets], now_ms: int, silence_s: int) -> bool:
    """Everything is consumed and no record has arrived for `silence_s`; an empty source has not begun."""
    partitions = [partition for topic in topics for partition in topic.partitions.values()]
    newest = [partition.newest_ms for partition in partitions if partition.newest_ms is not None]
    if not newest or not all(partition.consumed for partition in partitions):
        return False
    return now_ms - max(newest) >= silence_s * 1000


def _offsets(client: AdminClient, topic: str, numbers: Iterable[int], spec: Any) -> dict[int, tuple[int, int]]:
    """(offset, timestamp in ms) by partition; offset -1 = none."""
    asked = {TopicPartition(topic, number): spec for number in numbers}
    answers = client.list_offsets(
        asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=ADMIN_TIMEOUT_S
    )
    results = {place.partition: future.result() for place, future in answers.items()}
    return {number: (result.offset, result.timestamp) for number, result in results.items()}
