"""PostgreSQL's database `pipeline`, where the control plane keeps what outlives a run: its connection, its statements.

Each statement is a file below `sql/postgres`; values are always parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from upbit_lake.contract.model import CONTRACT_FILE

SQL = CONTRACT_FILE.parent / "sql" / "postgres"

Row = dict[str, Any]
Connection = psycopg.Connection[Row]


def connect(dsn: str) -> Connection:
    """Open the database (autocommit), whatever is in it; raises psycopg.OperationalError."""
    return psycopg.connect(dsn, autocommit=True, row_factory=dict_row, connect_timeout=10)


def query(connection: Connection, name: str, values: Mapping[str, Any] | None = None) -> list[Row]:
    """Run `sql/postgres/<name>.sql` and give its rows (none for a statement without a result)."""
    cursor = connection.execute(_text(name), values)
    return cursor.fetchall() if cursor.description else []


def query_each(connection: Connection, name: str, values: Iterable[Mapping[str, Any]]) -> None:
    """Run `sql/postgres/<name>.sql` once for each of `values`, all of them in one transaction."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_text(name), list(values))


def as_json(value: Any) -> Jsonb:
    """The parameter for a column of type jsonb."""
    return Jsonb(value)


def _text(name: str) -> str:
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")
