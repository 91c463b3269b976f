"""Reads the few records of the coverage's gaps from Kafka, and sends what cannot be stored to the dead letters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from upbit_lake.contract.settings import KafkaLogin
from upbit_lake.engines.kafka.offsets import KafkaAnswerError
from upbit_lake.verify.coverage import Range
from upbit_lake.verify.expected import Record, dead_letter_headers

SILENCE_S = 30.0
POLL_S = 1.0
BATCH = 1000


def read_records(kafka: KafkaLogin, topic: str, ranges: Iterable[Range]) -> Iterator[Record]:
    """The records of `ranges` in order. Offsets that Kafka has deleted meanwhile are left out.

    No group is joined and nothing is committed. Raises KafkaAnswerError when Kafka falls silent for 30 s.
    """
    consumer = Consumer(
        {
            **kafka.client,
            "group.id": "upbit-lake-coverage",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    try:
        for wanted in ranges:
            yield from _read_range(consumer, topic, wanted)
    finally:
        consumer.close()


def _read_range(
    consumer: Consumer, topic: str, wanted: Range, clock: Callable[[], float] = time.monotonic
) -> Iterator[Record]:
    consumer.assign([TopicPartition(topic, wanted.partition, wanted.start)])
    deadline = clock() + SILENCE_S
    while True:
        messages = consumer.consume(min(BATCH, wanted.end - wanted.start), POLL_S)
        for message in messages:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return
            if error is not None and not error.retriable():
                raise KafkaAnswerError(f"topic {topic}[{wanted.partition}]: {error.str()}")
            if error is not None:
                continue
            record = record_of(message)
            if record.offset >= wanted.end:
                return
            yield record
            if record.offset == wanted.end - 1:
                return
            deadline = clock() + SILENCE_S
        if clock() > deadline:
            raise KafkaAnswerError(f"topic {topic}[{wanted.partition}]: no record for {SILENCE_S:.0f} s")


def record_of(message: Any) -> Record:
    """A message of confluent-kafka as a Record."""
    headers = {name: value for name, value in message.headers() or [] if value is not None}
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers,
    )


def send_dead_letters(kafka: KafkaLogin, topic: str, bad: Iterable[tuple[Record, str]]) -> None:
    """Send records with their bytes, key and reason to the dead-letter `topic`; raises KafkaAnswerError.

    Sending one twice is harmless: the lake keeps it under its origin's place.
    """
    failed: list[str] = []
    producer = Producer(
        {
            **kafka.client,
            "enable.idempotence": True,
            "message.max.bytes": 9 << 20,
            "message.timeout.ms": 60_000,
        }
    )

    def delivered(error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            failed.append(error.str())

    try:
        for record, reason in bad:
            headers: list[tuple[str, str | bytes | None]] = [*dead_letter_headers(record, reason)]
            key = record.key or b"unknown"
            producer.produce(topic, value=record.value, key=key, headers=headers, on_delivery=delivered)
            producer.poll(0)
        waiting = producer.flush(90)
    except (KafkaException, BufferError) as error:
        raise KafkaAnswerError(f"topic {topic}: a dead letter was refused ({error})") from None
    if failed or waiting:
        raise KafkaAnswerError(f"topic {topic}: {len(failed) + waiting} dead letters were not acknowledged")
