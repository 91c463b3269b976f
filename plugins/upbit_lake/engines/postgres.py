"""The control plane's own tables in PostgreSQL's database `pipeline`: leases, alarms, job runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

from upbit_lake.contract.model import CONTRACT_FILE

SQL = CONTRACT_FILE.parent / "sql" / "control"
# Any constant of our own: two connections must not create the same tables at once.
SCHEMA_LOCK = 0x75706269

Row = dict[str, Any]
Connection = psycopg.Connection[Row]


def connect(dsn: str) -> Connection:
    """Open the database `pipeline` (autocommit) with its schema in place; raises psycopg.OperationalError."""
    connection = psycopg.connect(dsn, autocommit=True, row_factory=dict_row, connect_timeout=10)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [SCHEMA_LOCK])
        connection.execute(_text("schema"))
    return connection


def query(connection: Connection, name: str, values: Mapping[str, Any]) -> list[Row]:
    """Run `sql/control/<name>.sql` and give its rows (none for a statement without a result)."""
    cursor = connection.execute(_text(name), values)
    return cursor.fetchall() if cursor.description else []


def _text(name: str) -> str:
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")
