"""The statements that a SQL client starts with: the catalog and the Kafka sources."""

from __future__ import annotations

from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import load_settings
from upbit_lake.contract.sql_files import load_statements, sql_variables
from upbit_lake.engines.flink.session import Startup, source_statements


def statements() -> list[str]:
    """Every statement of sql/catalog.sql and sql/sources/, in an order that works, sources read from the start."""
    contract, settings = load_contract(), load_settings()
    catalog = load_statements(contract.root / "sql" / "catalog.sql", sql_variables(contract, settings))
    sources = source_statements(contract, settings, Startup())
    lake = contract.lake
    return [*catalog, *sources, f"USE CATALOG {lake.catalog}", f"USE {lake.database}"]
