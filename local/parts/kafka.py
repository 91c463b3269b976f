"""Three Kafka brokers, each also a KRaft controller."""

from __future__ import annotations

import json

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from local import door
from local.errors import PipelineError
from local.home.ports import LOOPBACK
from local.home.setting import BROKER, Setting
from local.parts.part import Part, nothing

NODES = (1, 2, 3)
SERVICES = ("ingester", "flink", "airflow", "reader")  # who logs in; what each may do stands in the contract
NAMES = tuple(f"kafka-{node}" for node in NODES)


def parts(setting: Setting) -> list[Part]:
    return [_broker(setting, node) for node in NODES]


def _broker(setting: Setting, node: int) -> Part:
    places, name = setting.places, f"kafka-{node}"
    properties = places.conf / "kafka" / f"node{node}.properties"
    logging = places.conf / "kafka" / "log4j2.yaml"
    data = places.data / name
    classpath = f"{places.kafka_jars}/*"
    java = f"{setting.java_home}/bin/java"
    format_once = (
        f'[ -f "{data}/meta.properties" ] || "{java}" -cp "{classpath}" kafka.tools.StorageTool format '
        f'-t {setting.credentials.kafka_cluster_id} -c "{properties}" || exit 1; '
    )
    # Only the first compiler: the second one took more than a broker's own work in its first minutes on two cores.
    start = (
        f'exec "{java}" -XX:TieredStopAtLevel=1 -Xms128m -Xmx384m -XX:+UseG1GC -XX:MaxGCPauseMillis=50 '
        f'-Duser.timezone=UTC -Dlog4j2.configurationFile="{logging}" -cp "{classpath}" kafka.Kafka "{properties}"'
    )
    return Part(
        name=name,
        command=("/bin/bash", "-c", format_once + start),
        files={properties: _properties(setting, node), logging: _LOGGING},
        ports=(f"kafka_{node}", f"controller_{node}"),
        ready=lambda: all_brokers_answer(setting),
        settle=(lambda: grant_access(setting)) if node == NODES[0] else nothing,
        software=("kafka", "java"),
        stop_s=60,
    )


def all_brokers_answer(setting: Setting) -> bool:
    """True when the cluster's metadata names all three brokers."""
    client = AdminClient({**setting.kafka_client(), "log_level": 0, "socket.timeout.ms": 3000})
    try:
        return len(client.list_topics(timeout=3).brokers) == len(NODES)
    except Exception:
        return False


def end_offsets(setting: Setting, topic: str) -> dict[int, int]:
    """Returns the end offset of each partition, {} for a topic that is not there."""
    consumer = Consumer({**setting.kafka_client(), "group.id": "status", "log_level": 0})
    try:
        known = consumer.list_topics(topic, timeout=3).topics[topic]
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=3)[1] for p in known.partitions}
    except Exception:
        return {}
    finally:
        consumer.close()


def grant_access(setting: Setting) -> None:
    """Creates the users and access rights of the contract's [access] and prints what differed.

    Raises:
        PipelineError: Kafka refuses; in the control plane's words.
    """
    passwords = {f"KAFKA_{name.upper()}_PASSWORD": setting.kafka_password(name) for name in SERVICES}
    try:
        said = door.bare(setting.places, {**setting.kafka_environment(BROKER), **passwords}).ask("access")
    except PipelineError as error:
        raise PipelineError(f"Kafka's users and access rights: {error}; run up again") from None
    print(said, end="", flush=True)


def _properties(setting: Setting, node: int) -> str:
    """The file that containers are given too, and what differs from broker to broker."""
    ports, places = setting.ports, setting.places
    broker, controller = ports[f"kafka_{node}"], ports[f"controller_{node}"]
    voters = ",".join(f"{n}@{LOOPBACK}:{ports[f'controller_{n}']}" for n in NODES)
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    password = setting.kafka_password(BROKER)
    own = f'{plain} username="{BROKER}" password="{password}" user_{BROKER}="{password}";'
    return "\n".join(
        [
            (places.repository / "deploy" / "shared" / "kafka" / "server.properties").read_text(),
            f"node.id={node}",
            f"controller.quorum.voters={voters}",
            f"listeners=CLIENT://{LOOPBACK}:{broker},CONTROLLER://{LOOPBACK}:{controller}",
            f"advertised.listeners=CLIENT://{LOOPBACK}:{broker}",
            f"listener.name.controller.plain.sasl.jaas.config={own}",
            f"listener.name.client.plain.sasl.jaas.config={own}",
            # Kafka reads the file as Latin-1: other letters of a path are escaped, as JSON does it.
            f"log.dirs={json.dumps(str(places.data / f'kafka-{node}'))[1:-1]}",
            "",
        ]
    )


_LOGGING = """Configuration:
  Appenders:
    Console:
      name: out
      PatternLayout:
        pattern: "%d{ISO8601}{UTC} %p %c{1} %m%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        - ref: out
    Logger:
      - name: kafka.server.KafkaRaftServer
        level: INFO
"""
