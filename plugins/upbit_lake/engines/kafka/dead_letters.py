"""Sends what cannot be stored to the topic of the dead letters, with its bytes, its reason and where it stood."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from upbit_lake.contract.model import Topic
from upbit_lake.contract.settings import KafkaLogin
from upbit_lake.engines.kafka.offsets import KafkaAnswerError
from upbit_lake.engines.kafka.records import KafkaRecord

# A record that is not acknowledged in this time is given up: a leader that died is replaced within some 10 s.
DELIVERY_S = 60.0
# All have been acknowledged or given up by then, whatever the last retry still waits for.
FLUSH_S = DELIVERY_S + 30.0


class DeadLetters(Protocol):
    """Who takes the records that cannot be stored."""

    def send(self, bad: Iterable[tuple[KafkaRecord, str]]) -> None:
        """The topic takes each record with its reason; raises KafkaAnswerError unless all are acknowledged.

        Sending one twice is harmless: the lake keeps it under its origin's place.
        """


class DeadLetterTopic:
    """The dead letters' topic as the contract says it; nothing is contacted before the first `send`."""

    def __init__(self, kafka: KafkaLogin, topic: Topic) -> None:
        self._kafka = kafka
        self._topic = topic

    def send(self, bad: Iterable[tuple[KafkaRecord, str]]) -> None:
        """The topic takes each record with its reason; raises KafkaAnswerError unless all are acknowledged."""
        name, refused = self._topic.name, list[str]()
        producer = Producer(self._settings())

        def delivered(error: KafkaError | None, _message: Any) -> None:
            if error is not None:
                refused.append(error.str())

        try:
            for record, reason in bad:
                headers: list[tuple[str, str | bytes | None]] = [*dead_letter_headers(record, reason)]
                key = record.key or b"unknown"
                producer.produce(name, value=record.value, key=key, headers=headers, on_delivery=delivered)
                producer.poll(0)
            waiting = producer.flush(FLUSH_S)
        except (KafkaException, BufferError) as error:
            raise KafkaAnswerError(f"topic {name}: a dead letter was refused ({error})") from None
        if refused or waiting:
            raise KafkaAnswerError(f"topic {name}: {len(refused) + waiting} dead letters were not acknowledged")

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            **self._kafka.client,
            "enable.idempotence": True,
            "message.timeout.ms": int(DELIVERY_S * 1000),
        }
        # The client refuses what is longer than its own bound before the topic can take it.
        longest = self._topic.config.get("max.message.bytes")
        return settings | ({"message.max.bytes": int(longest)} if longest else {})


def dead_letter_headers(record: KafkaRecord, reason: str) -> list[tuple[str, bytes]]:
    """The headers of the dead letter that carries `record`: its own, the reason, and where it stood."""
    kept = [(name, record.headers[name]) for name in ("source", "conn", "frame", "recv_ns") if name in record.headers]
    return [
        *(kept or [("source", b"unknown")]),
        ("reason", " ".join(reason.split()).encode()),
        ("origin_topic", record.topic.encode()),
        ("origin_partition", str(record.partition).encode()),
        ("origin_offset", str(record.offset).encode()),
        ("origin_timestamp", str(record.timestamp_ms).encode()),
    ]
