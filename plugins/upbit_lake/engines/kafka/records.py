"""Reads single records of a topic: the time of one at a known offset, the oldest ones that are still retained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from upbit_lake.contract.settings import KafkaLogin
from upbit_lake.reconcile.topics import ADMIN_TIMEOUT_S

READ_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Retained:
    """The offsets a partition retains: [low, high)."""

    low: int
    high: int


@dataclass(frozen=True)
class Record:
    """A record's place, its Kafka time (epoch ms) and its bytes."""

    partition: int
    offset: int
    timestamp_ms: int
    value: bytes


class TopicReader:
    """Reads records by offset, without a consumer group's memory. Use as a context manager."""

    def __init__(self, kafka: KafkaLogin) -> None:
        from confluent_kafka import Consumer

        self._consumer = Consumer(
            {
                **kafka.client,
                "group.id": "upbit-lake-reader",  # required by the client; nothing is committed to it
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
            }
        )

    def __enter__(self) -> TopicReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self._consumer.close()

    def ranges(self, topic: str) -> dict[int, Retained]:
        """The retained offsets of each partition; empty when the topic does not exist."""
        from confluent_kafka import TopicPartition

        metadata = self._consumer.list_topics(topic, timeout=ADMIN_TIMEOUT_S).topics[topic]
        if metadata.error is not None:
            return {}
        ranges = {}
        for partition in metadata.partitions:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ADMIN_TIMEOUT_S)
            ranges[partition] = Retained(low, high)
        return ranges

    def at(self, topic: str, partition: int, offset: int) -> Record | None:
        """The first record at or after `offset`, or None when there is none yet."""
        from confluent_kafka import TopicPartition

        self._consumer.assign([TopicPartition(topic, partition, offset)])
        message = self._consumer.poll(READ_TIMEOUT_S)
        if message is None or message.error():
            return None
        return _record(message)

    def newest(self, topic: str, count: int) -> Iterator[Record]:
        """The newest `count` records (at most) of each partition, oldest first within a partition."""
        from confluent_kafka import TopicPartition

        for partition, retained in self.ranges(topic).items():
            first = max(retained.low, retained.high - count)
            if first >= retained.high:
                continue
            self._consumer.assign([TopicPartition(topic, partition, first)])
            while (message := self._consumer.poll(READ_TIMEOUT_S)) is not None and not message.error():
                record = _record(message)
                yield record
                if record.offset + 1 >= retained.high:
                    break

    def oldest(self, topic: str) -> list[Record]:
        """The oldest retained record of each partition that has one."""
        records = []
        for partition, retained in self.ranges(topic).items():
            found = self.at(topic, partition, retained.low) if retained.high > retained.low else None
            if found:
                records.append(found)
        return records


def _record(message: Any) -> Record:
    return Record(message.partition(), message.offset(), message.timestamp()[1], message.value() or b"")
