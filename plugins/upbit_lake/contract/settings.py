"""Endpoints and secrets of the control plane, from the environment, checked once.

Endpoints have safe local defaults; secrets have none: a pipeline that starts with a default password is refused.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from upbit_lake.contract.model import CONTRACT_FILE

CONTROL_DATABASE = "AIRFLOW_CONN_PIPELINE_DB"
SUPERVISOR, DOCKER = "supervisor", "docker"
# What the control plane's names were before they had a prefix of their own. They are still read; the new name wins.
FORMER_NAMES = {
    "INGESTER_CONTROL": "CONTROL_INGESTER_BY",
    "INGESTER_URL": "CONTROL_INGESTER_URL",
    "INGESTER_SUPERVISOR_SOCKET": "CONTROL_INGESTER_SUPERVISOR_SOCKET",
    "INGESTER_DOCKER_URL": "CONTROL_INGESTER_DOCKER_URL",
    "INGESTER_PROCESS": "CONTROL_INGESTER_PROCESS",
}
PLAINTEXT = "PLAINTEXT"
KAFKA_PROTOCOLS = (PLAINTEXT, "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")

log = logging.getLogger(__name__)


class SettingsError(ValueError):
    """The environment cannot be used. The message is one line that names the variable and the cure."""


@dataclass(frozen=True)
class KafkaLogin:
    """Where Kafka is and who we are there; without a user name Kafka is taken for one that asks for none."""

    bootstrap_servers: str
    security_protocol: str = PLAINTEXT
    sasl_mechanism: str = SASL_MECHANISMS[0]
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> KafkaLogin:
        """Read KAFKA_*; raises SettingsError."""
        servers = _servers(env, "127.0.0.1:19092,127.0.0.1:19093,127.0.0.1:19094")
        protocol = _choice(env, "KAFKA_SECURITY_PROTOCOL", KAFKA_PROTOCOLS)
        if protocol != PLAINTEXT:
            mechanism = _choice(env, "KAFKA_SASL_MECHANISM", SASL_MECHANISMS)
            return cls(servers, protocol, mechanism, _required(env, "KAFKA_USERNAME"), _required(env, "KAFKA_PASSWORD"))
        if env.get("KAFKA_USERNAME") or env.get("KAFKA_PASSWORD"):
            raise SettingsError("KAFKA_USERNAME, KAFKA_PASSWORD: set KAFKA_SECURITY_PROTOCOL too, e.g. SASL_PLAINTEXT")
        return cls(servers)

    @property
    def client(self) -> dict[str, str]:
        """What a client of confluent_kafka needs to connect (holds the password: never log it)."""
        found = {"bootstrap.servers": self.bootstrap_servers, "security.protocol": self.security_protocol}
        if self.security_protocol == PLAINTEXT:
            return found
        login = {"sasl.username": self.username, "sasl.password": self.password}
        return {**found, "sasl.mechanism": self.sasl_mechanism, **login}


@dataclass(frozen=True)
class S3Access:
    """Where the S3 store is and the key for it; the URL carries no trailing slash."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> S3Access:
        """Read S3_*; raises SettingsError."""
        return cls(
            endpoint=_url(env, "S3_ENDPOINT", "http://127.0.0.1:18333"),
            access_key=_required(env, "S3_ACCESS_KEY"),
            secret_key=_required(env, "S3_SECRET_KEY"),
            region=env.get("S3_REGION") or "us-east-1",
        )


@dataclass(frozen=True)
class SupervisorSettings:
    """supervisord controls the ingester: `socket` is its unix socket (empty: not given), `process` its name there."""

    socket: str
    process: str


@dataclass(frozen=True)
class DockerSettings:
    """A Docker engine controls the ingester: `url` is that of the engine's proxy."""

    url: str
    container: str


@dataclass(frozen=True)
class Settings:
    """Where the engines are. URLs carry no trailing slash; `repr` never shows a secret."""

    kafka: KafkaLogin
    s3: S3Access
    flink_rest_url: str
    flink_gateway_url: str
    catalog_jdbc_url: str
    catalog_user: str
    ingester_url: str
    ingester_control: SupervisorSettings | DockerSettings
    contract_path: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the variables of `environment` (default: the process's own); raises SettingsError."""
        env = with_new_names(os.environ if environment is None else environment)
        return cls(
            kafka=KafkaLogin.from_environment(env),
            s3=S3Access.from_environment(env),
            flink_rest_url=_url(env, "FLINK_REST_URL", "http://127.0.0.1:18081"),
            flink_gateway_url=_url(env, "FLINK_GATEWAY_URL", "http://127.0.0.1:18083"),
            catalog_jdbc_url=_jdbc(env, "jdbc:postgresql://127.0.0.1:15432/paimon"),
            catalog_user=env.get("CATALOG_USER") or "paimon",
            ingester_url=_url(env, "CONTROL_INGESTER_URL", "http://127.0.0.1:18090"),
            ingester_control=_ingester_control(env),
            contract_path=Path(env.get("PIPELINE_CONTRACT") or CONTRACT_FILE),
        )


def control_database_url(environment: Mapping[str, str]) -> str:
    """The libpq URL of the control database (holds its password: never log it), as Airflow is given it too.

    Raises:
        SettingsError: AIRFLOW_CONN_PIPELINE_DB is not a URL of PostgreSQL.
    """
    url = environment.get(CONTROL_DATABASE, "")
    if not url.startswith("postgresql://"):
        raise SettingsError(f"{CONTROL_DATABASE} is not set to postgresql://…, the URL of the control database")
    return url


def load_settings() -> Settings:
    """The settings of this process's environment; raises SettingsError."""
    return Settings.from_environment()


def with_new_names(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment in which a value under a former name stands under its new one, unless that has one of its own."""
    former = {old: new for old, new in FORMER_NAMES.items() if environment.get(old)}
    if not former:
        return environment
    warn_of_former_names(tuple(former))
    return {**environment, **{new: environment.get(new) or environment[old] for old, new in former.items()}}


@cache
def warn_of_former_names(names: tuple[str, ...]) -> None:
    """One line a process, however often the settings are read."""
    log.warning("%s; rename what is set", ", ".join(f"{name} is now {FORMER_NAMES[name]}" for name in names))


def _ingester_control(env: Mapping[str, str]) -> SupervisorSettings | DockerSettings:
    process = env.get("CONTROL_INGESTER_PROCESS") or "ingester"
    if _choice(env, "CONTROL_INGESTER_BY", (SUPERVISOR, DOCKER)) == DOCKER:
        return DockerSettings(_url(env, "CONTROL_INGESTER_DOCKER_URL", "http://socket-proxy:2375"), process)
    return SupervisorSettings(env.get("CONTROL_INGESTER_SUPERVISOR_SOCKET", ""), process)


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set; `./pipeline up` generates it, or set it in the environment")
    return value


def _url(env: Mapping[str, str], name: str, default: str) -> str:
    value = (env.get(name) or default).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{name}={value!r} is not a URL; it looks like {default}")
    return value


def _jdbc(env: Mapping[str, str], default: str) -> str:
    value = env.get("CATALOG_JDBC_URL") or default
    if not value.startswith("jdbc:postgresql://"):
        raise SettingsError(f"CATALOG_JDBC_URL={value!r} is not a PostgreSQL JDBC URL; it looks like {default}")
    return value


def _servers(env: Mapping[str, str], default: str) -> str:
    value = env.get("KAFKA_BOOTSTRAP_SERVERS") or default
    for server in value.split(","):
        host, colon, port = server.strip().rpartition(":")
        if not (host and colon and port.isdigit()):
            raise SettingsError(f"KAFKA_BOOTSTRAP_SERVERS: {server!r} is not host:port; it looks like {default}")
    return value


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = env.get(name) or choices[0]
    if value not in choices:
        raise SettingsError(f"{name}={value!r} is unknown; one of: {', '.join(choices)}")
    return value
