"""A control plane of one test module's own on the session's engines: its own topics, database and jobs."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from local.home.places import REPOSITORY
from tests.harness.home import Home
from tests.integration.access import grant_rights
from upbit_lake.contract.model import Contract
from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import Settings
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.gateway import FlinkGateway
from upbit_lake.engines.flink.jobmanager import FlinkRest
from upbit_lake.engines.flink.session import BATCH, lake_session
from upbit_lake.state.schema import open_database


def copied_contract(folder: Path, name: str, interval_s: int = 2) -> Contract:
    """The repository's contract and SQL with topics `<name>-…` and database `<name>`, changeable by a test.

    `interval_s`: seconds between checkpoints.
    """
    shutil.copytree(REPOSITORY / "sql", folder / "sql")
    for path in (folder / "sql").rglob("*.sql"):
        path.write_text(path.read_text(encoding="utf-8").replace("lake.upbit.", f"lake.{name}."), encoding="utf-8")
    text = (REPOSITORY / "pipeline.toml").read_text(encoding="utf-8")
    text = text.replace("upbit-", f"{name}-").replace('database = "upbit"', f'database = "{name}"')
    (folder / "pipeline.toml").write_text(
        re.sub(r"interval_s = 10", f"interval_s = {interval_s}", text), encoding="utf-8"
    )
    return load_contract(folder / "pipeline.toml")


def engines_of(home: Home, contract: Contract) -> Engines:
    """The clients that a DAG task would get, on `contract`."""
    grant_rights(home, contract)
    settings = Settings.from_environment(home.task_environment)
    return Engines(
        contract=contract,
        settings=settings,
        gateway=FlinkGateway(settings.flink_gateway_url),
        flink=FlinkRest(settings.flink_rest_url),
        kafka=_kafka(settings),
        s3=boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint,
            aws_access_key_id=settings.s3_access_key,
            aws_secret_access_key=settings.s3_secret_key,
            region_name=settings.s3_region,
        ),
        db=open_database(home.task_environment["AIRFLOW_CONN_PIPELINE_DB"]),
    )


def fresh_clients(engines: Engines, contract: Contract) -> Engines:
    """The same engines on another contract, with a Kafka client that has cached nothing."""
    return replace(engines, contract=contract, kafka=_kafka(engines.settings))


def _kafka(settings: Settings) -> AdminClient:
    # Brokers that a test has stopped would fill its output, line by line.
    return AdminClient({**settings.kafka.client, "log_level": 0})


def set_topic_config(kafka: AdminClient, topic: str, key: str, value: str) -> None:
    """Change one setting of a topic behind the contract's back."""
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    kafka.incremental_alter_configs([changed])[changed].result()


def rows(engines: Engines, query: str) -> list[dict[str, Any]]:
    """The rows of a batch query; `{db}` in it is the lake's database."""
    contract = engines.contract
    with lake_session(engines.gateway, contract, engines.settings, "test query", BATCH) as session:
        return session.run(query.format(db=f"{contract.lake.catalog}.{contract.lake.database}")).dicts()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def trade(code: str, sequential_id: int, event_ms: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "trade",
        "code": code,
        "timestamp": event_ms,
        "trade_timestamp": event_ms,
        "trade_price": 100,
        "trade_volume": 0.5,
        "ask_bid": "ASK",
        "sequential_id": sequential_id,
        "stream_type": "REALTIME",
        **more,
    }


class Sender:
    """Writes records into the topics as the ingester does."""

    def __init__(self, home: Home) -> None:
        self._producer = Producer({**home.setting.kafka_client("ingester"), "acks": "all"})

    def send(
        self, topic: str, key: str, value: Mapping[str, Any] | bytes, headers: Mapping[str, bytes] | None = None
    ) -> None:
        """One record; without `headers` those of a frame received now, with `{}` none."""
        default = {"source": b"ws", "conn": b"c", "frame": b"1", "recv_ns": str(time.time_ns()).encode()}
        chosen = default if headers is None else dict(headers)
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        self._producer.produce(topic, raw, key=key, headers=list(chosen.items()))

    def flush(self) -> None:
        assert self._producer.flush(30) == 0
