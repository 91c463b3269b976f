"""Kafka asks each client for a login and allows no more than the contract says; the ingester outlives a wrong one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from tests.harness.home import Home
from tests.harness.waiting import until
from tests.integration.ingester_invariants import assert_heals
from tests.integration.ingester_setup import Setup
from upbit_lake.contract.model import Contract
from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import Settings
from upbit_lake.engines.kafka.admin import AccessError, ConfluentAdmin
from upbit_lake.engines.kafka.dead_letters import DeadLetterTopic
from upbit_lake.engines.kafka.offsets import ConfluentOffsets, group_of
from upbit_lake.engines.kafka.records import KafkaRecord, Range, TopicReader
from upbit_lake.reconcile.access import access_drift, wanted_rights
from upbit_lake.reconcile.outcome import CREATED, UNCHANGED, Outcome, State
from upbit_lake.reconcile.topics import reconcile_topics

pytestmark = pytest.mark.engines
SOURCE = ("--codes", "20", "--rate", "300")


@pytest.fixture(scope="module")
def contract(kafka: Home) -> Contract:
    """The repository's, with its topics made by the control plane's own principal."""
    contract = load_contract()
    admin = ConfluentAdmin(AdminClient(login(kafka, "airflow")))
    assert set(reconcile_topics(admin, contract.topics.values()).values()) <= {CREATED, UNCHANGED}
    return contract


def login(home: Home, principal: str, **changes: str) -> dict[str, Any]:
    return {**home.setting.kafka_client(principal), "log_level": 0, **changes}


def refusal(settings: dict[str, Any]) -> int:
    """How the client learns that it may not come in: by a word, or by a closed connection."""
    heard: list[int] = []
    client = Producer({**settings, "error_cb": lambda error: heard.append(error.code())})
    with pytest.raises(KafkaException) as refused:
        client.list_topics(timeout=5)
    client.poll(0)
    answer: int = refused.value.args[0].code()
    return KafkaError._AUTHENTICATION if KafkaError._AUTHENTICATION in heard else answer


@pytest.mark.parametrize(
    ("changes", "heard"),
    [
        pytest.param({"security.protocol": "PLAINTEXT"}, KafkaError._TRANSPORT, id="none"),
        pytest.param({"sasl.password": "wrong"}, KafkaError._AUTHENTICATION, id="wrong-password"),
        pytest.param({"sasl.username": "stranger"}, KafkaError._AUTHENTICATION, id="unknown-user"),
        pytest.param({"sasl.mechanism": "PLAIN"}, KafkaError._AUTHENTICATION, id="not-a-brokers-login"),
        pytest.param({"sasl.username": "broker"}, KafkaError._AUTHENTICATION, id="the-brokers-name"),
    ],
)
def test_without_its_login_no_client_is_let_in(kafka: Home, changes: dict[str, str], heard: int) -> None:
    assert len(Producer(login(kafka, "ingester")).list_topics(timeout=20).brokers) == 3
    assert refusal(login(kafka, "ingester", **changes)) == heard


def test_the_controllers_let_only_the_brokers_in(kafka: Home) -> None:
    servers = {"bootstrap.servers": f"127.0.0.1:{kafka.setting.ports['controller_1']}"}
    assert refusal(login(kafka, "airflow", **servers)) == KafkaError._AUTHENTICATION
    assert refusal(login(kafka, "broker", **servers, **{"sasl.password": "wrong"})) == KafkaError._AUTHENTICATION
    # Let in, this client learns that a controller has no topics to tell of.
    assert refusal(login(kafka, "broker", **servers)) == KafkaError._UNSUPPORTED_FEATURE


def read_one(settings: dict[str, Any], topic: str) -> Any:
    """The first record of a partition that has one, or the code of the brokers' error."""
    consumer = Consumer({**settings, "group.id": "upbit-lake-test", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(3)])
        return until("a record or a refusal", lambda: read(consumer), 30, 0)
    finally:
        consumer.close()


def read(consumer: Consumer) -> Any:
    """None for nothing, and for what is said of connections and of the group."""
    message = consumer.poll(1)
    if message is None:
        return None
    error = message.error()
    if error is None:
        return message.value()
    return error.code() if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED else None


def write_one(settings: dict[str, Any], topic: str, idempotent: bool = True) -> int | None:
    """The code of the error, None when it is acknowledged."""
    answers: list[int | None] = []
    producer = Producer({**settings, "enable.idempotence": idempotent})
    producer.produce(
        topic, b"{}", key=b"k", on_delivery=lambda error, _: answers.append(error.code() if error else None)
    )
    producer.flush(30)
    return answers[0]


def create(settings: dict[str, Any], topic: str) -> Any:
    admin = AdminClient(settings)
    return admin.create_topics([NewTopic(topic, 1, 3)])[topic].result()


def test_the_ingester_writes_and_does_nothing_else(kafka: Home, contract: Contract) -> None:
    ingester = login(kafka, "ingester")
    assert [write_one(ingester, topic) for topic in contract.topics] == [None] * 4
    assert read_one(ingester, "upbit-trade") == KafkaError.TOPIC_AUTHORIZATION_FAILED
    for name in ("upbit-trade", "foreign"):
        with pytest.raises(KafkaException) as refused:
            create(ingester, name)
        assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    # Other modules' topics, on which they have granted it rights, may be there too.
    kafka.kafka_admin.create_topics([NewTopic("foreign", 1, 3)])["foreign"].result()
    until("the topic is there", lambda: "foreign" in kafka.kafka_admin.list_topics(timeout=10).topics, 30)
    seen = AdminClient(ingester).list_topics(timeout=10).topics.keys()
    assert contract.topics.keys() <= seen
    assert "foreign" not in seen


def test_flink_reads_and_does_not_write(kafka: Home, contract: Contract) -> None:
    assert write_one(login(kafka, "ingester"), "upbit-ticker") is None
    flink = login(kafka, "flink")
    assert read_one(flink, "upbit-ticker") == b"{}"
    assert write_one(flink, "upbit-ticker", idempotent=False) == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_the_control_plane_reads_and_sends_dead_letters_and_grants_itself_nothing(
    kafka: Home, contract: Contract
) -> None:
    airflow = login(kafka, "airflow")
    assert write_one(login(kafka, "ingester"), "upbit-orderbook") is None
    assert read_one(airflow, "upbit-orderbook") == b"{}"
    assert write_one(airflow, "upbit-orderbook") == KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(AccessError, match="not for this login"):
        ConfluentAdmin(AdminClient(airflow)).grant(wanted_rights(contract))
    with pytest.raises(AccessError, match="not for this login"):
        ConfluentAdmin(AdminClient(airflow)).set_passwords({"airflow": "stolen"})


def test_the_control_planes_own_reading_and_writing_works(kafka: Home, contract: Contract) -> None:
    """What the coverage audit does; its topics, jobs and hours have tests of their own, with the same login."""
    settings = Settings.from_environment(kafka.task_environment)
    record = KafkaRecord("upbit-trade", 0, 7, 1, b"KRW-BTC", b"{", {})
    DeadLetterTopic(settings.kafka, contract.topics["upbit-dead-letter"]).send([(record, "broken")])
    with TopicReader(settings.kafka) as reader:
        ranges = reader.ranges("upbit-dead-letter")
        wanted = [Range(partition, kept.low, kept.high) for partition, kept in ranges.items() if kept.high > kept.low]
        assert b"{" in [found.value for found in reader.read("upbit-dead-letter", wanted)]
    client = AdminClient(login(kafka, "airflow"))
    offsets = ConfluentOffsets(client, settings.kafka).read("upbit-trade", group_of("trade"))
    assert offsets.partitions.keys() == {0, 1, 2}


def test_rights_that_differ_are_named_by_the_control_plane_and_repaired_by_up(kafka: Home, contract: Contract) -> None:
    client = kafka.kafka_admin
    admin, airflow = ConfluentAdmin(client), ConfluentAdmin(AdminClient(login(kafka, "airflow")))
    settings = Settings.from_environment(kafka.task_environment)
    kafka.up_only("kafka")
    whole = {UNCHANGED}
    until("it is whole", lambda: set(access_drift(airflow, contract, settings.kafka).values()) == whole, 20, 0.2)
    assert "Kafka:" not in kafka.run("up", "--source", "exchange", "--only", "kafka").stdout

    reading = replace(contract.access["ingester"], topics=frozenset({"read"}))
    admin.grant(wanted_rights(replace(contract, access={"ingester": reading})))
    for gone in client.delete_acls([only_right("ingester", "WRITE", "upbit-ticker")]).values():
        gone.result()
    differs = (
        "may not write topic upbit-ticker, may read topic upbit-dead-letter, may read topic upbit-orderbook, "
        "may read topic upbit-ticker, may read topic upbit-trade"
    )
    drift = {f"access of {name}": UNCHANGED for name in contract.access}
    drift["access of ingester"] = Outcome(State.DRIFT, drift=(differs,), note="./pipeline up repairs it")
    until("every broker knows", lambda: access_drift(airflow, contract, settings.kafka) == drift, 20, 0.2)
    said = kafka.run("up", "--source", "exchange", "--only", "kafka").stdout
    assert f"  Kafka: access of ingester repaired: {differs}\n" in said
    until("the rights are as before", lambda: admin.rights() == wanted_rights(contract), 20, 0.2)


def only_right(principal: str, operation: str, topic: str) -> AclBindingFilter:
    kind, how = ResourceType.TOPIC, ResourcePatternType.LITERAL
    return AclBindingFilter(
        kind, topic, how, f"User:{principal}", "*", AclOperation[operation], AclPermissionType.ALLOW
    )


def test_a_wrong_password_costs_the_ingester_nothing(setup: Setup) -> None:
    setup.start_ingester(KAFKA_PASSWORD="wrong")
    until("records wait", lambda: setup.metric("spool_records") > 500, 60, 0.5)
    until("it learns that it may not come in", lambda: "_AUTHENTICATION" in setup.get("/metrics")[1], 30, 0.5)
    assert setup.get("/livez")[0] == 200
    status, said = setup.get("/readyz")
    assert (status, json.loads(said)["checks"]["kafka"]) == (503, "failed: login refused")
    lines = (setup.folder / "ingester.log").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if "kafka" in line]
    assert re.search(r"SASL authentication error: .*: correct KAFKA_USERNAME, KAFKA_PASSWORD", line)
    assert setup.stop_ingester() == 1, "it says that not everything was delivered"
    setup.start_ingester()
    assert setup.metric("replayed_total") > 500
    until("it is let in", lambda: setup.get("/readyz")[0] == 200, 60, 0.5)
    assert_heals(setup)


def test_a_password_that_changed_meanwhile_needs_no_restart_of_kafka(setup: Setup) -> None:
    """What `up` does with a new password in credentials.json; connections that are open stay."""
    setup.start_ingester()
    until("frames are acknowledged", lambda: setup.metric("acknowledged_total", "trade") > 50, 60, 0.5)
    ConfluentAdmin(setup.home.kafka_admin).set_passwords({"ingester": "rotated"})
    try:
        before = setup.metric("acknowledged_total", "trade")
        until("frames go on", lambda: setup.metric("acknowledged_total", "trade") > before + 50, 60, 0.5)
        assert setup.stop_ingester() == 0
        setup.start_ingester(KAFKA_PASSWORD="rotated")
        setup.let_pass(5)
        assert_heals(setup)
    finally:
        ConfluentAdmin(setup.home.kafka_admin).set_passwords(
            {"ingester": setup.home.setting.kafka_password("ingester")}
        )
