"""A setting holds everything that a part's configuration is rendered from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.home.credentials import Credentials
from local.home.places import Places
from local.home.ports import LOOPBACK, Ports
from local.home.source import Source

# Kafka's only super user: the brokers themselves, and the runner when it makes users, asks or tests.
BROKER = "broker"


@dataclass(frozen=True)
class Setting:
    """A home's setting: its places, ports, secrets and source, and the Java that the engines run on.

    Attributes:
        ingester: UPBIT_* and INGESTER_* settings that the user gave, see `local.home.ingester_settings`.
    """

    places: Places
    ports: Ports
    credentials: Credentials
    source: Source
    java_home: Path
    ingester: Mapping[str, str] = field(default_factory=dict)

    @property
    def contract(self) -> Path:
        return self.places.repository / "pipeline.toml"

    @property
    def s3_environment(self) -> dict[str, str]:
        return {
            "S3_ENDPOINT": self.ports.url("s3"),
            "S3_ACCESS_KEY": self.credentials.s3_access_key,
            "S3_SECRET_KEY": self.credentials.s3_secret_key,
            "S3_REGION": "us-east-1",
        }

    @property
    def catalog_environment(self) -> dict[str, str]:
        return {
            "CATALOG_JDBC_URL": f"jdbc:postgresql://{LOOPBACK}:{self.ports['postgres']}/paimon",
            "CATALOG_USER": "paimon",
        }

    def kafka_environment(self, principal: str) -> dict[str, str]:
        """Returns how `principal` reaches Kafka, by the names that every one of its clients reads."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.ports.kafka_bootstrap,
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            # The brokers' own login must work before any metadata, and so any SCRAM user, can be read.
            "KAFKA_SASL_MECHANISM": "PLAIN" if principal == BROKER else "SCRAM-SHA-512",
            "KAFKA_USERNAME": principal,
            "KAFKA_PASSWORD": self.kafka_password(principal),
        }

    def kafka_client(self, principal: str = BROKER) -> dict[str, str]:
        """Returns how `principal` reaches Kafka, by librdkafka's names."""
        login = self.kafka_environment(principal)
        return {
            "bootstrap.servers": login["KAFKA_BOOTSTRAP_SERVERS"],
            "security.protocol": login["KAFKA_SECURITY_PROTOCOL"],
            "sasl.mechanism": login["KAFKA_SASL_MECHANISM"],
            "sasl.username": login["KAFKA_USERNAME"],
            "sasl.password": login["KAFKA_PASSWORD"],
        }

    def kafka_password(self, principal: str) -> str:
        return str(getattr(self.credentials, f"kafka_{principal}_password"))

    @property
    def service_environment(self) -> dict[str, str]:
        """Returns endpoints and secrets of the control plane, by the names that every reader of the contract uses."""
        return {
            "PIPELINE_CONTRACT": str(self.contract),
            **self.kafka_environment("airflow"),
            "FLINK_REST_URL": self.ports.url("flink_rest"),
            "FLINK_GATEWAY_URL": self.ports.url("gateway"),
            "CONTROL_INGESTER_URL": self.ports.url("ingester"),
            **self.s3_environment,
            **self.catalog_environment,
        }

    def database_url(self, database: str, scheme: str = "postgresql") -> str:
        password = getattr(self.credentials, f"{database}_db_password")
        return f"{scheme}://{database}:{password}@{LOOPBACK}:{self.ports['postgres']}/{database}"
