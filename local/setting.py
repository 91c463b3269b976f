"""Everything a part's configuration is rendered from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.credentials import Credentials
from local.places import Places
from local.ports import LOOPBACK, Ports
from local.source import Source


@dataclass(frozen=True)
class Setting:
    """
    Attributes:
        ingester: UPBIT_* and INGESTER_* settings that the user gave, see `local.kept`.
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
            "CATALOG_PASSWORD": self.credentials.paimon_db_password,
        }

    @property
    def service_environment(self) -> dict[str, str]:
        """Endpoints and secrets of the services, by the names that every reader of the contract uses."""
        return {
            "PIPELINE_CONTRACT": str(self.contract),
            "KAFKA_BOOTSTRAP_SERVERS": self.ports.kafka_bootstrap,
            "FLINK_REST_URL": self.ports.url("flink_rest"),
            "FLINK_GATEWAY_URL": self.ports.url("gateway"),
            "INGESTER_URL": self.ports.url("ingester"),
            **self.s3_environment,
            **self.catalog_environment,
        }

    def database_url(self, database: str, scheme: str = "postgresql") -> str:
        password = getattr(self.credentials, f"{database}_db_password")
        return f"{scheme}://{database}:{password}@{LOOPBACK}:{self.ports['postgres']}/{database}"
