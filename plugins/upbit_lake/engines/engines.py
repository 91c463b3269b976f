"""The clients of all engines in one frozen bundle: what the procedures of the control plane work on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from upbit_lake.contract.model import Contract
from upbit_lake.contract.settings import Settings
from upbit_lake.engines.clock import SYSTEM, Clock
from upbit_lake.engines.flink.gateway import FlinkGateway, Gateway
from upbit_lake.engines.flink.jobmanager import FlinkRest, JobManager
from upbit_lake.engines.kafka.admin import ConfluentAdmin, KafkaAdmin
from upbit_lake.engines.kafka.dead_letters import DeadLetters, DeadLetterTopic
from upbit_lake.engines.kafka.offsets import ConfluentOffsets, OffsetReader
from upbit_lake.engines.kafka.records import RecordReader, TopicReader
from upbit_lake.engines.lake.reader import LakeReader, ProcessReader
from upbit_lake.engines.postgres import Database
from upbit_lake.engines.s3 import ObjectStore, S3Store


@dataclass(frozen=True)
class Engines:
    """Clients, contract, settings and the clock that all of them wait by.

    Args:
        records: opens a reader of single records, to be used as a context manager.
        db: a connection to the database `pipeline`, with its schema in place.
    """

    contract: Contract
    settings: Settings
    gateway: Gateway
    flink: JobManager
    kafka: KafkaAdmin
    offsets: OffsetReader
    records: Callable[[], AbstractContextManager[RecordReader]]
    dead_letters: DeadLetters
    lake: LakeReader
    s3: ObjectStore
    db: Database
    clock: Clock = SYSTEM


def connect(contract: Contract, settings: Settings, kafka_client: Any, s3_client: Any, db: Database) -> Engines:
    """The clients of the engines that `settings` names; nothing is contacted yet.

    Args:
        kafka_client: a confluent_kafka AdminClient.
        s3_client: a boto3 S3 client.
    """
    return Engines(
        contract=contract,
        settings=settings,
        gateway=FlinkGateway(settings.flink_gateway_url),
        flink=FlinkRest(settings.flink_rest_url),
        kafka=ConfluentAdmin(kafka_client),
        offsets=ConfluentOffsets(kafka_client, settings.kafka),
        records=lambda: TopicReader(settings.kafka),
        dead_letters=DeadLetterTopic(settings.kafka, contract.topics[contract.dead_letter.topic]),
        lake=ProcessReader.connect(contract, settings),
        s3=S3Store(s3_client),
        db=db,
    )
