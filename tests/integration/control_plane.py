"""A control plane of one test module's own on the session's engines: its own topics, database and jobs."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from local.home.places import REPOSITORY
from tests.harness.home import Home
from tests.integration.access import grant_rights
from upbit_lake.contract.model import Contract
from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import Settings
from upbit_lake.engines import engines
from upbit_lake.engines.engines import Engines
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
    db = open_database(home.task_environment["AIRFLOW_CONN_PIPELINE_DB"])
    return engines.connect(contract, settings, kafka_client(settings), s3_client(settings), db)


def fresh_clients(old: Engines, contract: Contract) -> Engines:
    """The same engines on another contract, with clients that have cached nothing."""
    settings = old.settings
    return engines.connect(contract, settings, kafka_client(settings), s3_client(settings), old.db)


def s3_client(settings: Settings) -> Any:
    """A boto3 client with the control plane's key."""
    return boto3.client(
        "s3",
        endpoint_url=settings.s3.endpoint,
        aws_access_key_id=settings.s3.access_key,
        aws_secret_access_key=settings.s3.secret_key,
        region_name=settings.s3.region,
    )


def kafka_client(settings: Settings) -> AdminClient:
    """An admin client with the control plane's login."""
    # Brokers that a test has stopped would fill its output, line by line.
    return AdminClient({**settings.kafka.client, "log_level": 0})


def rows(plane: Engines, query: str) -> list[dict[str, Any]]:
    """The rows of a batch query; `{db}` in it is the lake's database."""
    contract = plane.contract
    with lake_session(plane.gateway, contract, plane.settings, "test query", BATCH) as session:
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
