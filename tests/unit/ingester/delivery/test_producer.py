"""The delivery against a producer of the test's own: nothing leaves a spool unacknowledged, no lane blocks another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from upbit_ingester.backoff import Backoff
from upbit_ingester.delivery.producer import Delivery, Lane
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.log import Spool
from upbit_ingester.spool.record import Record

NOT_THERE = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
LOGIN_REFUSED = KafkaError(KafkaError._AUTHENTICATION, "SASL authentication error")
ALL_DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN)
FATAL = KafkaError(KafkaError._FATAL, "out of order", fatal=True)


class Producer:
    """Takes everything; reports when the test says so."""

    def __init__(self, on_error: Callable[[KafkaError], None]) -> None:
        self.on_error = on_error
        self.taken: list[tuple[str, bytes, Callable[[Any, Any], None]]] = []
        self.purged = False

    def produce(self, topic: str, value: bytes, on_delivery: Callable[[Any, Any], None], **_: Any) -> None:
        self.taken.append((topic, value, on_delivery))

    def poll(self, timeout: float) -> None:
        """Reports come from the test."""
        self.on_poll(timeout)

    def on_poll(self, timeout: float) -> None:
        """For the test to replace."""

    def purge(self) -> None:
        self.purged = True

    def report(self, error: KafkaError | None, topic: str | None = None) -> None:
        """Report on everything (of `topic`) that was taken."""
        due = [taken for taken in self.taken if topic in (None, taken[0])]
        self.taken = [taken for taken in self.taken if taken not in due]
        for _, _, on_delivery in due:
            on_delivery(error, None)

    def values(self, topic: str) -> list[bytes]:
        return [value for name, value, _ in self.taken if name == topic]


class Setting:
    """Lanes `a` and `b`, 100 bytes in flight each."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 1000.0
        self.producers: list[Producer] = []
        self.refused: list[bytes] = []
        self.lanes = {
            name: Lane(name, name, Spool(folder / name, lambda: self.now_s), Backoff(lambda: 0.0)) for name in "ab"
        }
        self.metrics = Metrics()
        self.delivery = Delivery(
            list(self.lanes.values()), self._producer, self.metrics, lambda: self.now_s, 200, self._refuse
        )

    def _producer(self, on_error: Callable[[KafkaError], None]) -> Any:
        self.producers.append(Producer(on_error))
        return self.producers[-1]

    def _refuse(self, record: Record, _reason: str) -> bool:
        self.refused.append(record.value)
        return True

    def append(self, lane: str, *values: bytes) -> None:
        self.lanes[lane].spool.append([Record(b"KRW-BTC", (), value) for value in values])


def test_only_an_acknowledgement_empties_a_spool(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    setting.append("a", b"1", b"2")
    setting.delivery.step()
    assert setting.producers[0].values("a") == [b"1", b"2"]
    assert (setting.lanes["a"].spool.unacknowledged, setting.delivery.in_flight) == (2, 2)
    setting.producers[0].report(None)
    assert (setting.lanes["a"].spool.unacknowledged, setting.delivery.in_flight) == (0, 0)
    assert setting.metrics.acknowledged["a"] == 2


def test_acknowledgements_are_taken_while_it_waits(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    setting.append("a", b"1")
    setting.delivery.step()
    asked: list[float] = []

    def polled(timeout: float) -> None:
        """librdkafka comes back as soon as it has something to say."""
        asked.append(timeout)
        setting.now_s += min(timeout, 0.5)
        setting.producers[0].report(None)

    setting.producers[0].on_poll = polled  # type: ignore[method-assign]
    setting.delivery.wait(1.25)
    assert asked == [1.25, 0.75, 0.25]
    assert setting.lanes["a"].spool.unacknowledged == 0


def test_a_failed_lane_waits_and_sends_again_in_order_while_the_other_goes_on(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    setting.append("a", b"1", b"2")
    setting.delivery.step()
    setting.producers[0].report(NOT_THERE)
    setting.append("a", b"3")
    setting.append("b", b"x")
    setting.delivery.step()
    assert (setting.producers[0].values("a"), setting.producers[0].values("b")) == ([], [b"x"])
    setting.now_s += 1.5
    setting.delivery.step()
    assert setting.producers[0].values("a") == [b"1", b"2", b"3"]


def test_a_topic_that_takes_nothing_leaves_the_others_their_share(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    setting.append("a", *[b"x" * 60] * 10)
    setting.append("b", b"y" * 60)
    setting.delivery.step()
    assert (len(setting.producers[0].values("a")), len(setting.producers[0].values("b"))) == (2, 1)
    setting.producers[0].report(None, "b")
    setting.append("b", b"z")
    setting.delivery.step()
    assert setting.producers[0].values("b") == [b"z"]


def test_a_fatal_error_starts_a_new_producer_that_sends_everything_again(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    setting.append("a", b"1", b"2")
    setting.delivery.step()
    old = setting.producers[0]
    old.on_error(FATAL)
    setting.delivery.step()
    assert old.purged
    assert len(setting.producers) == 2
    old.report(None)  # a late report of the producer that was given up
    assert (setting.lanes["a"].spool.unacknowledged, setting.delivery.in_flight) == (2, 0)
    setting.now_s += 1.5
    setting.delivery.step()
    assert setting.producers[1].values("a") == [b"1", b"2"]


def test_what_a_topic_will_never_take_is_refused_and_blocks_nothing(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    setting.append("a", b"large")
    setting.delivery.step()
    setting.producers[0].report(TOO_LARGE)
    assert setting.refused == [b"large"]
    assert setting.lanes["a"].spool.unacknowledged == 0
    setting.append("a", b"next")
    setting.delivery.step()
    assert setting.producers[0].values("a") == [b"next"]


def test_a_refused_login_is_one_line_until_something_is_acknowledged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    setting = Setting(tmp_path)
    setting.append("a", b"1")
    setting.delivery.step()
    for _ in range(3):  # brokers
        setting.producers[0].on_error(LOGIN_REFUSED)
    setting.producers[0].on_error(ALL_DOWN)
    (line,) = caplog.messages
    assert "SASL authentication error: correct KAFKA_USERNAME, KAFKA_PASSWORD" in line
    assert setting.delivery.login_refused
    assert setting.lanes["a"].spool.unacknowledged == 1
    setting.producers[0].report(None)
    assert not setting.delivery.login_refused
