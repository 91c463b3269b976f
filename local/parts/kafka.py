"""Three Kafka brokers, each also a KRaft controller."""

from __future__ import annotations

import json

from confluent_kafka.admin import AdminClient

from local.part import Part
from local.ports import LOOPBACK, Ports
from local.setting import Setting

NODES = (1, 2, 3)
NAMES = tuple(f"kafka-{node}" for node in NODES)

# The dead-letter topic takes the largest frame that the socket accepts (8 MiB) with its headers.
LARGEST_MESSAGE_BYTES = 9 * 2**20


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
        ready=lambda: all_brokers_answer(setting.ports),
        software=("kafka", "java"),
        stop_s=60,
    )


def all_brokers_answer(ports: Ports) -> bool:
    """True when the cluster's metadata names all three brokers."""
    client = AdminClient({"bootstrap.servers": ports.kafka_bootstrap, "log_level": 0, "socket.timeout.ms": 3000})
    try:
        return len(client.list_topics(timeout=3).brokers) == len(NODES)
    except Exception:
        return False


def _properties(setting: Setting, node: int) -> str:
    ports = setting.ports
    broker, controller = ports[f"kafka_{node}"], ports[f"controller_{node}"]
    voters = ",".join(f"{n}@{LOOPBACK}:{ports[f'controller_{n}']}" for n in NODES)
    return "\n".join(
        [
            "process.roles=broker,controller",
            f"node.id={node}",
            f"controller.quorum.voters={voters}",
            f"listeners=PLAINTEXT://{LOOPBACK}:{broker},CONTROLLER://{LOOPBACK}:{controller}",
            f"advertised.listeners=PLAINTEXT://{LOOPBACK}:{broker}",
            "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            # Kafka reads the file as Latin-1: other letters of a path are escaped, as JSON does it.
            f"log.dirs={json.dumps(str(setting.places.data / f'kafka-{node}'))[1:-1]}",
            "num.partitions=3",
            "default.replication.factor=3",
            "min.insync.replicas=2",
            "unclean.leader.election.enable=false",
            "offsets.topic.replication.factor=3",
            # A local cluster has few groups: 50 partitions of offsets would be 150 open logs.
            "offsets.topic.num.partitions=3",
            "transaction.state.log.replication.factor=3",
            "transaction.state.log.min.isr=2",
            "transaction.state.log.num.partitions=3",
            "share.coordinator.state.topic.replication.factor=3",
            "share.coordinator.state.topic.min.isr=2",
            "group.initial.rebalance.delay.ms=0",
            "auto.create.topics.enable=false",
            f"message.max.bytes={LARGEST_MESSAGE_BYTES}",
            f"replica.fetch.max.bytes={LARGEST_MESSAGE_BYTES}",
            # Retention deletes whole segments: what a partition may hold beyond its bound.
            "log.segment.bytes=67108864",
            "log.cleaner.dedupe.buffer.size=16777216",
            "num.network.threads=2",
            "num.io.threads=4",
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
