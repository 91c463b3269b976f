"""Clients of the engines from Airflow's connections and the environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from upbit_lake.contract.model import Contract
from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import Settings, load_settings
from upbit_lake.engines.engines import Engines, connect
from upbit_lake.engines.postgres import Connection
from upbit_lake.state.schema import open_database as open_control_database

KAFKA_CONNECTION = "kafka_default"
S3_CONNECTION = "s3_default"
DATABASE_CONNECTION = "pipeline_db"


def kafka_client() -> Any:
    """A confluent_kafka AdminClient of connection `kafka_default`."""
    from airflow.providers.apache.kafka.hooks.client import KafkaAdminClientHook

    return KafkaAdminClientHook(kafka_config_id=KAFKA_CONNECTION).get_conn


def s3_client() -> Any:
    """A boto3 S3 client of connection `s3_default`."""
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    return S3Hook(aws_conn_id=S3_CONNECTION).get_conn()


def database_dsn() -> str:
    """The libpq URL of connection `pipeline_db` (holds its password: never log it)."""
    from urllib.parse import quote

    from airflow.sdk import BaseHook

    found = BaseHook.get_connection(DATABASE_CONNECTION)
    user, password = quote(found.login or "", safe=""), quote(found.password or "", safe="")
    return f"postgresql://{user}:{password}@{found.host}:{found.port or 5432}/{found.schema}"


@contextmanager
def open_database() -> Iterator[Connection]:
    """The control database, closed at the end; raises SchemaError when its schema is not this code's."""
    connection = open_control_database(database_dsn())
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def open_engines() -> Iterator[Engines]:
    """The clients of all engines; the database connection is closed at the end."""
    contract, settings = contract_and_settings()
    with open_database() as db:
        yield connect(contract, settings, kafka_client(), s3_client(), db)


def contract_and_settings() -> tuple[Contract, Settings]:
    """The contract and the settings of this task's environment; raises ContractError or SettingsError."""
    settings = load_settings()
    return load_contract(settings.contract_path), settings
