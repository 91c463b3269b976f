"""PostgreSQL's database `pipeline`, where the control plane keeps what outlives a run: its connection, its statements.

Each statement is a file below `sql/postgres`; values are always parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from upbit_lake.contract.model import CONTRACT_FILE

SQL = CONTRACT_FILE.parent / "sql" / "postgres"

Row = dict[str, Any]


class Database(Protocol):
    """What `state` asks of the database `pipeline`. Each call is a transaction of its own, unless one is open."""

    def name(self) -> str:
        """The database returns its name."""

    def query(self, name: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """The database runs `sql/postgres/<name>.sql` and returns its rows (none for a statement without a result)."""

    def query_each(self, name: str, values: Iterable[Mapping[str, Any]]) -> None:
        """The database runs `sql/postgres/<name>.sql` once for each of `values`, all of them in one transaction."""

    def transaction(self) -> AbstractContextManager[object]:
        """The database keeps all that is done in the block, or nothing when the block raises."""

    def close(self) -> None:
        """The connection to the database ends."""


class Connection(psycopg.Connection[Row]):
    """A connection to the database."""

    def name(self) -> str:
        """The database returns its name."""
        return self.info.dbname

    def query(self, name: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """The database runs `sql/postgres/<name>.sql` and returns its rows (none for a statement without a result)."""
        cursor = self.execute(_text(name), values)
        return cursor.fetchall() if cursor.description else []

    def query_each(self, name: str, values: Iterable[Mapping[str, Any]]) -> None:
        """The database runs `sql/postgres/<name>.sql` once for each of `values`, all of them in one transaction."""
        with self.transaction(), self.cursor() as cursor:
            cursor.executemany(_text(name), list(values))


def connect(dsn: str) -> Connection:
    """Open the database (autocommit), whatever is in it; raises psycopg.OperationalError."""
    return Connection.connect(dsn, autocommit=True, row_factory=dict_row, connect_timeout=10)


def as_json(value: Any) -> Jsonb:
    """The parameter for a column of type jsonb."""
    return Jsonb(value)


def _text(name: str) -> str:
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")
