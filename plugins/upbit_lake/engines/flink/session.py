"""A gateway session that knows the lake: catalog created, Kafka sources declared, time zone UTC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from upbit_lake.contract.model import Contract
from upbit_lake.contract.settings import Settings
from upbit_lake.contract.sql_files import load_statements, sql_variables
from upbit_lake.engines.flink.gateway import Gateway, GatewaySession


@dataclass(frozen=True)
class Startup:
    """Where the Kafka sources begin when no checkpoint is restored. `timestamp_ms` counts for mode `timestamp`.

    Dead letters are few and their rows idempotent: they are always read from the start, so that a replay need not date
    them.
    """

    mode: str = "earliest-offset"
    timestamp_ms: int = 0


BATCH = {"execution.runtime-mode": "batch", "table.dml-sync": "true"}
STREAMING = {"execution.runtime-mode": "streaming"}


@contextmanager
def lake_session(
    gateway: Gateway,
    contract: Contract,
    settings: Settings,
    name: str,
    properties: Mapping[str, str] | None = None,
) -> Iterator[GatewaySession]:
    """A session in which `lake.<database>.<table>` resolves. `properties` override the defaults.

    Raises:
        GatewayError: the gateway does not answer or the catalog cannot be opened.
    """
    defaults = {"table.local-time-zone": "UTC", "pipeline.name": name}
    with gateway.session(name, {**defaults, **(properties or {})}) as session:
        session.run_all(load_statements(contract.root / "sql" / "catalog.sql", sql_variables(contract, settings)))
        yield session


def declare_sources(session: GatewaySession, contract: Contract, settings: Settings, startup: Startup) -> None:
    """Declare the temporary tables `kafka_*` of `sql/sources/` in `session`, starting as `startup` says."""
    session.run_all(source_statements(contract, settings, startup))


def source_statements(contract: Contract, settings: Settings, startup: Startup) -> list[str]:
    """The statements that declare the Kafka sources, starting as `startup` says."""
    variables = sql_variables(contract, settings) | {
        "STARTUP_MODE": startup.mode,
        "STARTUP_TIMESTAMP_MS": str(startup.timestamp_ms),
    }
    files = sorted((contract.root / "sql" / "sources").glob("*.sql"))
    return [statement for path in files for statement in load_statements(path, variables)]
