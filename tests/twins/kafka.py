"""Kafka in memory: topics with their records, rights and users. tests/contract holds it against the real one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from upbit_lake.contract.model import Topic
from upbit_lake.engines.kafka.admin import FoundTopic, Right, TopicError
from upbit_lake.engines.kafka.dead_letters import dead_letter_headers
from upbit_lake.engines.kafka.offsets import KafkaAnswerError, PartitionOffsets, TopicOffsets
from upbit_lake.engines.kafka.records import KafkaRecord, Range, Retained

# What the broker sets where a topic does not say it.
BROKER_CONFIG = {"cleanup.policy": "delete"}


@dataclass
class Partition:
    """The retained records of a partition, and the next offset."""

    records: list[KafkaRecord] = field(default_factory=list)
    end: int = 0

    @property
    def first(self) -> int:
        return self.records[0].offset if self.records else self.end


class KafkaTwin:
    """A KafkaAdmin, an OffsetReader (`read`), and the memory that `RecordsTwin` and `DeadLettersTwin` work on."""

    def __init__(self) -> None:
        self.found: dict[str, FoundTopic] = {}
        self.partitions: dict[str, list[Partition]] = {}
        self.committed: dict[tuple[str, str, int], int] = {}
        self.held: set[Right] = set()
        self.passwords: dict[str, str] = {}
        self._ids = count(1)

    # The means of a test.

    def write(
        self,
        topic: str,
        value: bytes,
        partition: int = 0,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        timestamp_ms: int = 0,
    ) -> KafkaRecord:
        """Append a record."""
        where = self.partitions[topic][partition]
        record = KafkaRecord(topic, partition, where.end, timestamp_ms, key, value, headers or {})
        where.records.append(record)
        where.end += 1
        return record

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Forget the records below offset `before`, as retention does."""
        where = self.partitions[topic][partition]
        where.records = [record for record in where.records if record.offset >= before]

    def commit(self, topic: str, group: str, partition: int, offset: int) -> None:
        """Commit an offset as a job does."""
        self.committed[(topic, group, partition)] = offset

    def delete_topic(self, name: str) -> None:
        """Delete a topic with its records."""
        del self.found[name], self.partitions[name]

    # KafkaAdmin

    def brokers(self) -> int:
        return 3

    def topics(self, names: Iterable[str]) -> dict[str, FoundTopic]:
        return {name: self.found[name] for name in names if name in self.found}

    def create_topic(self, topic: Topic) -> None:
        if topic.name not in self.found:
            config = {**BROKER_CONFIG, **topic.config}
            new = FoundTopic(topic.name, f"id-{next(self._ids)}", topic.partitions, topic.replication, config)
            self.found[topic.name] = new
            self.partitions[topic.name] = [Partition() for _ in range(topic.partitions)]

    def set_topic_config(self, name: str, settings: Mapping[str, str]) -> None:
        found = self._known(name)
        self.found[name] = replace(found, config={**found.config, **settings})

    def grow_topic(self, name: str, partitions: int) -> None:
        found = self._known(name)
        if partitions <= found.partitions:
            raise TopicError(f"topic {name}: it has {found.partitions} partitions already")
        self.found[name] = replace(found, partitions=partitions)
        self.partitions[name] += [Partition() for _ in range(partitions - found.partitions)]

    def wait_for_leaders(self, partitions: Mapping[str, int]) -> None:
        missing = [name for name, wanted in partitions.items() if self._known(name).partitions < wanted]
        if missing:
            raise TopicError(f"topics {', '.join(missing)} have no leader")

    def rights(self) -> set[Right]:
        return set(self.held)

    def grant(self, rights: Iterable[Right]) -> None:
        self.held |= set(rights)

    def take_back(self, rights: Iterable[Right]) -> None:
        self.held -= set(rights)

    def set_passwords(self, passwords: Mapping[str, str]) -> None:
        self.passwords |= passwords

    # OffsetReader

    def read(self, topic: str, group: str) -> TopicOffsets:
        if topic not in self.found:
            raise KafkaAnswerError(f"topic {topic}: unknown topic")
        partitions = {
            number: PartitionOffsets(
                first=where.first,
                end=where.end,
                committed=self.committed.get((topic, group, number)),
                newest_ms=max((record.timestamp_ms for record in where.records), default=None),
            )
            for number, where in enumerate(self.partitions[topic])
        }
        return TopicOffsets(topic, self.found[topic].topic_id, partitions)

    def _known(self, name: str) -> FoundTopic:
        if name not in self.found:
            raise TopicError(f"topic {name}: unknown topic")
        return self.found[name]


class RecordsTwin:
    """A RecordReader on a KafkaTwin."""

    def __init__(self, kafka: KafkaTwin) -> None:
        self._kafka = kafka

    def __enter__(self) -> RecordsTwin:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def ranges(self, topic: str) -> dict[int, Retained]:
        partitions = self._kafka.partitions.get(topic, [])
        return {number: Retained(where.first, where.end) for number, where in enumerate(partitions)}

    def read(self, topic: str, ranges: Iterable[Range]) -> Iterator[KafkaRecord]:
        for wanted in ranges:
            for record in self._kafka.partitions[topic][wanted.partition].records:
                if wanted.start <= record.offset < wanted.end:
                    yield record

    def at(self, topic: str, partition: int, offset: int) -> KafkaRecord | None:
        records = self._kafka.partitions[topic][partition].records
        return next((record for record in records if record.offset >= offset), None)

    def newest(self, topic: str, count: int) -> Iterator[KafkaRecord]:
        for where in self._kafka.partitions.get(topic, []):
            yield from where.records[-count:]

    def oldest(self, topic: str) -> list[KafkaRecord]:
        return [where.records[0] for where in self._kafka.partitions.get(topic, []) if where.records]


class DeadLettersTwin:
    """The topic of the dead letters on a KafkaTwin."""

    def __init__(self, kafka: KafkaTwin, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic

    def send(self, bad: Iterable[tuple[KafkaRecord, str]]) -> None:
        for record, reason in bad:
            headers = dict(dead_letter_headers(record, reason))
            self._kafka.write(self._topic, record.value or b"", key=record.key or b"unknown", headers=headers)
