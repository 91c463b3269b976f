"""The clients of all engines in one frozen bundle: what the procedures of the control plane work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from upbit_lake.contract import Contract
from upbit_lake.control_db import Connection
from upbit_lake.flink_gateway import FlinkGateway
from upbit_lake.flink_rest import FlinkRest
from upbit_lake.settings import Settings


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
