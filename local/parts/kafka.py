"""Three Kafka brokers, each also a KRaft controller."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from confluent_kafka.admin import AdminClient

from local.errors import PipelineError, last_words
from local.part import Part, nothing
from local.ports import LOOPBACK
from local.setting import BROKER, Setting
from local.surroundings import for_parts

NODES = (1, 2, 3)
SERVICES = ("ingester", "flink", "airflow")  # who logs in; what each may do stands in the contract
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


def grant_access(setting: Setting) -> None:
    """Users and access rights as the contract's [access] says; what was different is printed.

    Raises:
        PipelineError: Kafka refuses; in the words of `upbit_lake.kafka_access`.
    """
    places = setting.places
    environment = {
        **for_parts(os.environ),
        **setting.kafka_environment(BROKER),
        "PIPELINE_CONTRACT": str(setting.contract),
        "PYTHONPATH": str(places.repository / "plugins"),
        **{f"KAFKA_{name.upper()}_PASSWORD": setting.kafka_password(name) for name in SERVICES},
    }
    command = [sys.executable, "-m", "upbit_lake.kafka_access"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PipelineError(f"Kafka's users and access rights: {last_words(done)}; run up again")
    print(done.stdout, end="", flush=True)


def _properties(setting: Setting, node: int) -> str:
    ports = setting.ports
    broker, controller = ports[f"kafka_{node}"], ports[f"controller_{node}"]
    voters = ",".join(f"{n}@{LOOPBACK}:{ports[f'controller_{n}']}" for n in NODES)
    return "\n".join(
        [
            "process.roles=broker,controller",
            f"node.id={node}",
            f"controller.quorum.voters={voters}",
            f"listeners=CLIENT://{LOOPBACK}:{broker},CONTROLLER://{LOOPBACK}:{controller}",
            f"advertised.listeners=CLIENT://{LOOPBACK}:{broker}",
            "inter.broker.listener.name=CLIENT",
            "controller.listener.names=CONTROLLER",
            *_access(setting),
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


def _access(setting: Setting) -> list[str]:
    """Everybody logs in, nobody may do what no rule allows.

    SCRAM users lie in the cluster's metadata, which controllers and brokers can only read once they have logged in to
    each other: these log in with the password of their own configuration (PLAIN), and PLAIN knows nobody else.
    """
    password = setting.kafka_password(BROKER)
    modules = "org.apache.kafka.common.security"
    plain = f"{modules}.plain.PlainLoginModule required"
    own = f'{plain} username="{BROKER}" password="{password}" user_{BROKER}="{password}";'
    return [
        "listener.security.protocol.map=CONTROLLER:SASL_PLAINTEXT,CLIENT:SASL_PLAINTEXT",
        "sasl.mechanism.controller.protocol=PLAIN",
        "sasl.mechanism.inter.broker.protocol=PLAIN",
        "listener.name.controller.sasl.enabled.mechanisms=PLAIN",
        f"listener.name.controller.plain.sasl.jaas.config={own}",
        "listener.name.client.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN",
        f"listener.name.client.plain.sasl.jaas.config={own}",
        f"listener.name.client.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found=false",
        f"super.users=User:{BROKER}",
    ]


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
