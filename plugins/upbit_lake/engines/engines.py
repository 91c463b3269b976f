"""The clients of all engines in one frozen bundle: what the procedures of the control plane work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from upbit_lake.contract.model import Contract
from upbit_lake.contract.settings import Settings
from upbit_lake.engines.flink.gateway import FlinkGateway
from upbit_lake.engines.flink.jobmanager import FlinkRest
from upbit_lake.engines.postgres import Connection


@dataclass(frozen=True)
class Engines:
    """Clients, contract and settings.

    Args:
        kafka: a confluent_kafka AdminClient.
        s3: a boto3 S3 client.
        db: a connection to the database `pipeline`, with its schema in place.
    """

    contract: Contract
    settings: Settings
    gateway: FlinkGateway
    flink: FlinkRest
    kafka: Any
    s3: Any
    db: Connection
