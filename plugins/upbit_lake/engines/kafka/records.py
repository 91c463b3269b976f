"""Reads records of a topic by their offsets: ranges of them, the newest, the oldest, the one at an offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, TopicPartition

from upbit_lake.contract.settings import KafkaLogin
from upbit_lake.engines.clock import SYSTEM, Clock
from upbit_lake.engines.kafka.admin import ADMIN_TIMEOUT_S
from upbit_lake.engines.kafka.offsets import GROUP_PREFIX, KafkaAnswerError

# A record that is retained arrives within a second; a leader that moves, and its clients with it, takes some.
SILENCE_S = 30.0
POLL_S = 1.0
# Records of one call of the client: enough that the calls cost nothing beside the records.
BATCH = 1000


@dataclass(frozen=True)
class Retained:
    """The offsets a partition retains: [low, high)."""

    low: int
    high: int


@dataclass(frozen=True)
class Range:
    """Offsets [start, end) of a Kafka partition."""

    partition: int
    start: int
    end: int


@dataclass(frozen=True)
class KafkaRecord:
    """A record of Kafka: its place, Kafka's time (epoch ms), its key, bytes and headers."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]

    @property
    def received_ms(self) -> int:
        """When the ingester received it (header recv_ns), else Kafka's time, as the jobs compute `received_at`."""
        header = self.headers.get("recv_ns", b"")
        return int(header) // 1_000_000 if header.isdigit() else self.timestamp_ms


class RecordReader(Protocol):
    """Who reads single records; nothing is committed, and no place is remembered between two calls."""

    def ranges(self, topic: str) -> dict[int, Retained]:
        """The reader returns the retained offsets of each partition; empty when the topic does not exist."""

    def read(self, topic: str, ranges: Iterable[Range]) -> Iterator[KafkaRecord]:
        """The reader returns the records of `ranges` in order, without those that Kafka has deleted meanwhile.

        Raises:
            KafkaAnswerError: Kafka refuses, or sends nothing for 30 s.
        """

    def at(self, topic: str, partition: int, offset: int) -> KafkaRecord | None:
        """The reader returns the first record at or after `offset`, or None when there is none yet."""

    def newest(self, topic: str, count: int) -> Iterator[KafkaRecord]:
        """The reader returns the newest `count` records (at most) of each partition, oldest first within each."""

    def oldest(self, topic: str) -> list[KafkaRecord]:
        """The reader returns the oldest retained record of each partition that has one."""


class TopicReader:
    """Reads through one consumer, which joins no group; to be used as a context manager."""

    def __init__(self, kafka: KafkaLogin, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._consumer = Consumer(
            {
                **kafka.client,
                "group.id": f"{GROUP_PREFIX}reader",  # required by the client; nothing is committed to it
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            }
        )

    def __enter__(self) -> TopicReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self._consumer.close()

    def ranges(self, topic: str) -> dict[int, Retained]:
        """The reader returns the retained offsets of each partition; empty when the topic does not exist."""
        metadata = self._consumer.list_topics(topic, timeout=ADMIN_TIMEOUT_S).topics[topic]
        if metadata.error is not None:
            return {}
        ranges = {}
        for partition in metadata.partitions:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ADMIN_TIMEOUT_S)
            ranges[partition] = Retained(low, high)
        return ranges

    def read(self, topic: str, ranges: Iterable[Range]) -> Iterator[KafkaRecord]:
        """The reader returns the records of `ranges` in order, without those that Kafka has deleted meanwhile.

        Raises:
            KafkaAnswerError: Kafka refuses, or sends nothing for 30 s.
        """
        for wanted in ranges:
            for record in self._from(topic, wanted.partition, wanted.start, wanted.end - wanted.start):
                if record.offset < wanted.end:
                    yield record
                if record.offset >= wanted.end - 1:
                    break

    def at(self, topic: str, partition: int, offset: int) -> KafkaRecord | None:
        """The reader returns the first record at or after `offset`, or None when there is none yet."""
        with suppress(KafkaAnswerError):
            return next(self._from(topic, partition, offset, 1), None)
        return None

    def newest(self, topic: str, count: int) -> Iterator[KafkaRecord]:
        """The reader returns the newest `count` records (at most) of each partition, oldest first within each."""
        for partition, retained in self.ranges(topic).items():
            first = max(retained.low, retained.high - count)
            if first < retained.high:
                # A look at what is there: what cannot be read is left out.
                with suppress(KafkaAnswerError):
                    yield from self.read(topic, [Range(partition, first, retained.high)])

    def oldest(self, topic: str) -> list[KafkaRecord]:
        """The reader returns the oldest retained record of each partition that has one."""
        firsts = (
            self.at(topic, partition, retained.low)
            for partition, retained in self.ranges(topic).items()
            if retained.high > retained.low
        )
        return [record for record in firsts if record is not None]

    def _from(self, topic: str, partition: int, start: int, count: int) -> Iterator[KafkaRecord]:
        """The records of a partition from offset `start` to its present end; `count` are asked for at a time."""
        self._consumer.assign([TopicPartition(topic, partition, start)])
        deadline = self._clock.monotonic() + SILENCE_S
        # Not a wait_until: a record that comes is handed on, and moves the deadline.
        while self._clock.monotonic() <= deadline:
            for message in self._consumer.consume(min(BATCH, count), POLL_S):
                error = message.error()
                if error is None:
                    yield record_of(message)
                    deadline = self._clock.monotonic() + SILENCE_S
                elif error.code() == KafkaError._PARTITION_EOF:
                    return
                elif not error.retriable():
                    raise KafkaAnswerError(f"topic {topic}[{partition}]: {error.str()}")
        raise KafkaAnswerError(f"topic {topic}[{partition}]: no record for {SILENCE_S:.0f} s")


def record_of(message: Any) -> KafkaRecord:
    """A message of confluent-kafka as a KafkaRecord."""
    headers = {name: value for name, value in message.headers() or [] if value is not None}
    return KafkaRecord(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers,
    )
