"""Kafka: topics, rights, offsets, records by their offsets, dead letters; on three brokers and in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Protocol

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.contract.pair import BOTH, TWIN
from tests.harness.home import Home
from tests.harness.waiting import until
from tests.integration.access import grant
from tests.integration.control_plane import copied_contract, engines_of
from tests.twins.engines import twin_engines
from tests.twins.kafka import KafkaTwin
from upbit_lake.contract.model import Contract, Topic
from upbit_lake.engines.kafka.admin import ConfluentAdmin, KafkaAdmin, Right, TopicError, topic_ids
from upbit_lake.engines.kafka.dead_letters import DeadLetters
from upbit_lake.engines.kafka.offsets import KafkaAnswerError, OffsetReader, TopicOffsets, group_of
from upbit_lake.engines.kafka.records import KafkaRecord, Range, RecordReader

NAME = "kct"
GROUP = group_of("contract")
PATIENCE_S = 30.0


class Means(Protocol):
    """What a test does to Kafka that the control plane never does."""

    def write(
        self,
        topic: str,
        value: bytes,
        partition: int = 0,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
    ) -> object: ...

    def commit(self, topic: str, group: str, partition: int, offset: int) -> None: ...

    def delete_records(self, topic: str, partition: int, before: int) -> None: ...


def when_the_group_is_known(read: Callable[[], TopicOffsets]) -> TopicOffsets:
    """A group's coordinator loads for a moment before it answers the first time: worth a retry, as the error says."""

    def answer() -> TopicOffsets | None:
        with suppress(KafkaAnswerError):
            return read()
        return None

    found = until("the group's coordinator answers", answer, PATIENCE_S, 0.2)
    assert found is not None
    return found


@dataclass
class Scene:
    """Kafka as the control plane sees it (`root`: as `up` does, which may change rights), and the means of a test."""

    contract: Contract
    admin: KafkaAdmin
    root: KafkaAdmin
    offsets: OffsetReader
    records: Callable[[], AbstractContextManager[RecordReader]]
    dead_letters: DeadLetters
    means: Means
    topic: Topic
    grant: Callable[[Set[Right]], None]

    def read(self, *ranges: Range) -> list[KafkaRecord]:
        with self.records() as reader:
            return list(reader.read(self.topic.name, ranges))


class RealMeans:
    """The means of a test on real brokers, logged in as their super user."""

    def __init__(self, home: Home) -> None:
        self._login = {**home.setting.kafka_client(), "log_level": 0}
        self._admin = home.kafka_admin

    def write(
        self,
        topic: str,
        value: bytes,
        partition: int = 0,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        producer = Producer({**self._login, "acks": "all"})
        producer.produce(topic, value, key=key, partition=partition, headers=list((headers or {}).items()))
        assert producer.flush(PATIENCE_S) == 0

    def commit(self, topic: str, group: str, partition: int, offset: int) -> None:
        consumer = Consumer({**self._login, "group.id": group, "enable.auto.commit": False})
        consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
        consumer.close()

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        for future in self._admin.delete_records([TopicPartition(topic, partition, before)]).values():
            future.result()


@pytest.fixture(scope="module")
def numbers() -> Callable[[], int]:
    return partial(next, count())


@pytest.fixture(scope="module")
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Scene]:
    """Made when a test asks for it: the twin's tests start no engine."""
    made: list[Scene] = []

    def scene() -> Scene:
        if not made:
            home: Home = request.getfixturevalue("engines")
            contract = copied_contract(tmp_path_factory.mktemp(NAME), NAME)
            engines = engines_of(home, contract)
            dead = contract.topics[contract.dead_letter.topic]
            engines.kafka.create_topic(dead)
            engines.kafka.wait_for_leaders({dead.name: dead.partitions})
            root, read, means = ConfluentAdmin(home.kafka_admin), engines.records, RealMeans(home)
            letters, granting = engines.dead_letters, partial(grant, home)
            seen = Scene(contract, engines.kafka, root, engines.offsets, read, letters, means, dead, granting)
            made.append(seen)
        return made[0]

    return scene


@pytest.fixture(params=BOTH)
def scene(request: pytest.FixtureRequest, numbers: Callable[[], int]) -> Scene:
    """A topic of the test's own, with two partitions."""
    if request.param == TWIN:
        kafka = KafkaTwin()
        engines = twin_engines(kafka=kafka)
        contract = engines.contract
        dead = contract.topics[contract.dead_letter.topic]
        kafka.create_topic(dead)
        made = Scene(contract, kafka, kafka, kafka, engines.records, engines.dead_letters, kafka, dead, kafka.grant)
    else:
        made = request.getfixturevalue("real")()
    stream = next(iter(made.contract.streams.values()))
    pattern = made.contract.topics[stream.topic]
    topic = replace(pattern, name=f"{pattern.name}-{numbers()}", partitions=2)
    # The rights of the contract are granted by the names of its topics, and this one is no topic of the contract.
    made.root.create_topic(topic)
    made.root.wait_for_leaders({topic.name: 2})
    operations = ("read", "alter", "alter_configs", "describe_configs", "create")
    made.grant({Right("User:airflow", operation, "topic", topic.name) for operation in operations})
    return replace(made, topic=topic)


def test_a_topic_that_is_not_there_is_left_out(scene: Scene) -> None:
    assert scene.root.topics(["kct-nosuch"]) == {}
    assert set(topic_ids(scene.root, [scene.topic.name, "kct-nosuch"])) == {scene.topic.name}
    assert scene.root.brokers() == 3


def test_a_topic_is_as_it_was_created_and_stays(scene: Scene) -> None:
    found = scene.admin.topics([scene.topic.name])[scene.topic.name]
    assert (found.partitions, found.replication) == (2, scene.topic.replication)
    assert scene.topic.config.items() <= found.config.items()
    scene.admin.create_topic(replace(scene.topic, partitions=1, config={}))
    assert scene.admin.topics([scene.topic.name])[scene.topic.name] == found


def test_a_setting_is_changed_alone(scene: Scene) -> None:
    name = scene.topic.name
    before = scene.admin.topics([name])[name].config
    scene.admin.set_topic_config(name, {"retention.ms": "123456789"})

    def changed() -> bool:
        return scene.admin.topics([name])[name].config["retention.ms"] == "123456789"

    until("the setting is known", changed, PATIENCE_S, 0.2)
    after = scene.admin.topics([name])[name].config
    assert {key for key in after if after[key] != before.get(key)} == {"retention.ms"}


def test_a_topic_grows_and_never_shrinks(scene: Scene) -> None:
    name = scene.topic.name
    scene.admin.grow_topic(name, 3)
    scene.admin.wait_for_leaders({name: 3})
    until("it has grown", lambda: scene.admin.topics([name])[name].partitions == 3, PATIENCE_S, 0.2)
    with pytest.raises(TopicError, match=f"topic {name}: "):
        scene.admin.grow_topic(name, 2)


def test_what_is_not_there_cannot_be_changed(scene: Scene) -> None:
    with pytest.raises(TopicError, match="topic kct-nosuch: "):
        scene.root.set_topic_config("kct-nosuch", {"retention.ms": "1"})
    with pytest.raises(TopicError, match="topic kct-nosuch: "):
        scene.root.grow_topic("kct-nosuch", 9)


def test_rights_are_granted_and_taken_back_one_by_one(scene: Scene) -> None:
    rights = {
        Right("User:contract", "write", "topic", scene.topic.name),
        Right("User:contract", "read", "group", "upbit-lake-contract", prefixed=True),
        Right("User:contract", "describe", "cluster", "kafka-cluster"),
    }

    def held() -> set[Right]:
        return {right for right in scene.root.rights() if right.principal == "User:contract"}

    scene.root.grant(rights)
    scene.root.grant(rights)
    until("they are granted", lambda: held() == rights, PATIENCE_S, 0.2)
    gone = next(right for right in rights if right.operation == "write")
    scene.root.take_back([gone, replace(gone, operation="delete")])
    until("one is taken back", lambda: held() == rights - {gone}, PATIENCE_S, 0.2)
    scene.root.take_back(rights)
    until("all are taken back", lambda: not held(), PATIENCE_S, 0.2)


def test_an_empty_topic_has_offsets_and_nothing_committed(scene: Scene) -> None:
    found = when_the_group_is_known(lambda: scene.offsets.read(scene.topic.name, GROUP))
    assert found.topic_id == topic_ids(scene.admin, [scene.topic.name])[scene.topic.name]
    assert {number: (p.first, p.end, p.committed, p.newest_ms) for number, p in found.partitions.items()} == {
        0: (0, 0, None, None),
        1: (0, 0, None, None),
    }


def test_the_offsets_of_an_unknown_topic_are_an_error(scene: Scene) -> None:
    with pytest.raises(KafkaAnswerError, match="topic kct-nosuch: "):
        scene.offsets.read("kct-nosuch", GROUP)


def test_offsets_follow_what_is_written_committed_and_deleted(scene: Scene) -> None:
    name = scene.topic.name
    for number in range(4):
        scene.means.write(name, b"%d" % number)
    scene.means.commit(name, GROUP, 0, 2)
    scene.means.delete_records(name, 0, 1)
    found = when_the_group_is_known(lambda: scene.offsets.read(name, GROUP)).partitions
    first, second = found[0], found[1]
    assert (first.first, first.end, first.committed, first.consumed) == (1, 4, 2, False)
    assert first.newest_ms is not None
    assert (second.end, second.committed, second.consumed) == (0, None, True)
    scene.means.commit(name, GROUP, 0, 4)
    assert scene.offsets.read(name, GROUP).partitions[0].consumed


def test_records_are_read_by_their_offsets(scene: Scene) -> None:
    name = scene.topic.name
    for number in range(5):
        scene.means.write(name, b"%d" % number, key=b"KRW-BTC", headers={"source": b"ws"})
    scene.means.write(name, b"other", partition=1)
    found = scene.read(Range(0, 1, 3), Range(1, 0, 9), Range(0, 4, 5))
    assert [(r.partition, r.offset, r.value) for r in found] == [
        *((0, 1, b"1"), (0, 2, b"2")),
        *((1, 0, b"other"), (0, 4, b"4")),
    ]
    assert (found[0].topic, found[0].key, found[0].headers) == (name, b"KRW-BTC", {"source": b"ws"})
    assert (found[2].key, found[2].headers) == (None, {})
    scene.means.delete_records(name, 0, 2)
    assert [record.offset for record in scene.read(Range(0, 0, 4))] == [2, 3]


def test_single_records_are_found_from_both_ends(scene: Scene) -> None:
    name = scene.topic.name
    for number in range(5):
        scene.means.write(name, b"%d" % number)
    scene.means.write(name, b"other", partition=1)
    scene.means.delete_records(name, 0, 2)
    with scene.records() as reader:
        assert {number: (kept.low, kept.high) for number, kept in reader.ranges(name).items()} == {0: (2, 5), 1: (0, 1)}
        assert reader.ranges("kct-nosuch") == {}
        assert [record.value for record in reader.oldest(name)] == [b"2", b"other"]
        assert [record.value for record in reader.newest(name, 2)] == [b"3", b"4", b"other"]
        at = [reader.at(name, 0, offset) for offset in (0, 3, 5)]
        assert [record.offset if record else None for record in at] == [2, 3, None]


def test_a_dead_letter_carries_its_bytes_its_reason_and_where_it_stood(scene: Scene) -> None:
    dead = scene.contract.dead_letter.topic
    with scene.records() as reader:
        before = reader.ranges(dead)
        bad = KafkaRecord(scene.topic.name, 1, 7, 99, b"KRW-BTC", b"{", {"source": b"ws", "other": b"left out"})
        scene.dead_letters.send([(bad, "not\n valid JSON")])
        ranges = [Range(number, before[number].high, kept.high) for number, kept in reader.ranges(dead).items()]
        [letter] = reader.read(dead, [item for item in ranges if item.end > item.start])
    assert (letter.key, letter.value) == (b"KRW-BTC", b"{")
    assert letter.headers == {
        "source": b"ws",
        "reason": b"not valid JSON",
        "origin_topic": scene.topic.name.encode(),
        "origin_partition": b"1",
        "origin_offset": b"7",
        "origin_timestamp": b"99",
    }
