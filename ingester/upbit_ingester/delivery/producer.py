"""Delivery takes the spools' records into Kafka: an idempotent producer that never gives up and never drops.

A record leaves its spool only by an acknowledgement. Whatever else comes back (topic missing, queue purged, fatal
error) stops that topic's lane, waits until nothing of it is in flight, puts its cursor back to the oldest
unacknowledged record and tries again after a back-off: the order per key holds and the other topics go on.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from upbit_ingester.backoff import Backoff
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.log import Spool
from upbit_ingester.spool.record import Record
from upbit_ingester.spool.segment import Entry, Segment

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 10 * 1024 * 1024  # above the largest frame the socket accepts (8 MiB) plus key and headers
MAX_IN_FLIGHT = 400_000  # below the producer's own bound of messages
SAY_AGAIN_S = 60.0
REFUSED = "kafka: %s: correct KAFKA_USERNAME, KAFKA_PASSWORD; everything stays in the spool"


def producer_settings(kafka: Mapping[str, str], on_error: Callable[[KafkaError], None]) -> dict[str, Any]:
    """librdkafka gets these settings, so that nothing is dropped (docs/decisions/0011). `kafka`: those that connect."""
    return {
        **kafka,
        "client.id": "upbit-ingester",
        "enable.idempotence": True,
        "acks": "all",
        "message.timeout.ms": 0,  # the default drops what an outage of five minutes has queued
        "linger.ms": 5,  # the pump brings a batch at a time: waiting longer for company is in vain
        "compression.type": "lz4",
        "partitioner": "murmur2_random",  # the same partition for a key as Java's clients
        "queue.buffering.max.kbytes": 256 * 1024,
        "queue.buffering.max.messages": 500_000,
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "batch.size": 512 * 1024,
        "reconnect.backoff.max.ms": 5_000,
        "log.connection.close": False,
        "log_level": 4,  # warnings; what fails comes by error_cb, once
        "error_cb": on_error,
    }


class Lane:
    """A lane is one topic's way: its spool, and what of it is in flight."""

    def __init__(self, name: str, topic: str, spool: Spool, backoff: Backoff) -> None:
        self.name = name
        self.topic = topic
        self.spool = spool
        self.backoff = backoff
        self.in_flight = 0
        self.in_flight_bytes = 0
        self.failed = False
        self.retry_at_s = 0.0


class Delivery:
    """Delivery produces what the lanes' spools hold and acknowledges it there. Owned by one thread."""

    def __init__(
        self,
        lanes: list[Lane],
        make_producer: Callable[[Callable[[KafkaError], None]], Producer],
        metrics: Metrics,
        clock: Callable[[], float],
        in_flight_max_bytes: int,
        refuse: Callable[[Record, str], bool],
    ) -> None:
        """`refuse` keeps a record that its topic will never take, and says whether it could."""
        self._lanes = lanes
        self._make_producer = make_producer
        self._metrics = metrics
        self._clock = clock
        # A share each: a topic that takes nothing must not use up what the others need.
        self._lane_max_bytes = in_flight_max_bytes // len(lanes)
        self._lane_max_records = MAX_IN_FLIGHT // len(lanes)
        self._refuse = refuse
        self._generation = 0
        self._said_s: dict[str, float] = {}
        self._fatal: str | None = None
        self._login_refused = False
        self._producer = make_producer(self._on_error)

    @property
    def in_flight(self) -> int:
        """Records handed to the producer and not reported on yet."""
        return sum(lane.in_flight for lane in self._lanes)

    @property
    def login_refused(self) -> bool:
        """Kafka has refused our user name or password, and nothing was acknowledged since."""
        return self._login_refused

    def wait(self, seconds: float) -> None:
        """Serve callbacks as they come, for so long: an acknowledgement does not wait for the next cycle."""
        until_s = self._clock() + seconds
        while (left_s := until_s - self._clock()) > 0:
            self._producer.poll(left_s)

    def step(self) -> None:
        """Serve callbacks, then send what may be sent. Never blocks."""
        self._producer.poll(0)
        if self._fatal is not None:
            self._rebuild(self._fatal)
        for lane in self._lanes:
            self._recover(lane)
            if not lane.failed:
                self._send(lane)

    def _recover(self, lane: Lane) -> None:
        if lane.failed and not lane.in_flight and self._clock() >= lane.retry_at_s:
            lane.spool.rewind()
            lane.failed = False

    def _send(self, lane: Lane) -> None:
        for entry in lane.spool.unsent():
            if lane.in_flight_bytes >= self._lane_max_bytes or lane.in_flight >= self._lane_max_records:
                return
            if not self._produce(lane, entry):
                return
            lane.spool.sent(entry)

    def _produce(self, lane: Lane, entry: Entry) -> bool:
        record = entry.record
        try:
            self._producer.produce(
                lane.topic,
                value=record.value,
                key=record.key,
                headers=list(record.headers),
                on_delivery=partial(self._on_delivery, self._generation, lane, entry.segment, entry.number, record),
            )
        except BufferError:
            return False  # the producer's queue is full: the record waits in the spool
        except KafkaException as failure:
            return self._not_queued(lane, entry, failure.args[0])
        lane.in_flight += 1
        lane.in_flight_bytes += len(record.value)
        self._metrics.produced[lane.name] += 1
        return True

    def _not_queued(self, lane: Lane, entry: Entry, error: KafkaError) -> bool:
        self._not_taken(lane, entry.segment, entry.number, entry.record, error)
        return not lane.failed

    def _on_delivery(
        self,
        generation: int,
        lane: Lane,
        segment: Segment,
        number: int,
        record: Record,
        error: KafkaError | None,
        _message: Message,
    ) -> None:
        if generation != self._generation:
            return  # a report of a producer that was given up; its records are sent again
        lane.in_flight -= 1
        lane.in_flight_bytes -= len(record.value)
        if error is None:
            self._login_refused = False
            self._metrics.acknowledged[lane.name] += 1
            lane.backoff.reset()
            lane.spool.acknowledge(segment, number)
        else:
            self._not_taken(lane, segment, number, record, error)

    def _not_taken(self, lane: Lane, segment: Segment, number: int, record: Record, error: KafkaError) -> None:
        too_large = error.code() == KafkaError.MSG_SIZE_TOO_LARGE
        # A record that its topic will never take must not block those behind it: it becomes a dead letter.
        if too_large and self._refuse(record, f"{len(record.value)} bytes are more than topic {lane.topic} takes"):
            self._metrics.kafka_errors[error.name()] += 1
            lane.spool.acknowledge(segment, number)
        else:
            self._fail(lane, error)

    def _fail(self, lane: Lane, error: KafkaError) -> None:
        self._metrics.kafka_errors[error.name()] += 1
        if error.fatal():
            self._fatal = str(error)
        if lane.failed:
            return  # one failure fails the whole lane; the reports behind it say the same
        wait = 1.0 + lane.backoff.next_s()
        lane.failed = True
        lane.retry_at_s = self._clock() + wait
        log.warning("topic %s: %s; its records stay in the spool, next try in %.1f s", lane.topic, error.str(), wait)

    def _on_error(self, error: KafkaError) -> None:
        self._metrics.kafka_errors[error.name()] += 1
        if error.fatal():
            self._fatal = str(error)
        if error.code() == KafkaError._AUTHENTICATION:
            self._login_refused = True
            self._say(error, logging.ERROR, REFUSED)
        elif not error.fatal() and not (self._login_refused and error.code() == KafkaError._ALL_BROKERS_DOWN):
            self._say(error, logging.WARNING, "kafka: %s")

    def _say(self, error: KafkaError, level: int, text: str) -> None:
        # An outage repeats the same words several times a second; the metric counts them.
        if self._clock() - self._said_s.get(error.name(), -SAY_AGAIN_S) >= SAY_AGAIN_S:
            self._said_s[error.name()] = self._clock()
            log.log(level, text, error.str())

    def _rebuild(self, reason: str) -> None:
        log.error(
            "kafka producer: fatal error (%s); starting a new one, everything unacknowledged is sent again", reason
        )
        self._generation += 1
        self._fatal = None
        self._producer.purge()
        self._producer = self._make_producer(self._on_error)
        for lane in self._lanes:
            lane.in_flight = 0
            lane.in_flight_bytes = 0
            lane.failed = True
            lane.retry_at_s = self._clock() + 1.0
