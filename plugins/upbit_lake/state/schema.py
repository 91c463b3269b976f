"""The schema of the control database: the numbered files of `sql/postgres/schema`, applied in order, never taken back.

One transaction applies all that are missing, so one that fails leaves the database as it was. Only `./pipeline up` and
the containers' init upgrade a database that holds something, because they save it first; whoever else opens it refuses
one of another version.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from upbit_lake.engines.postgres import SQL, Connection, connect

FOLDER = SQL / "schema"
# Any constant of our own: two connections must not migrate at the same time.
LOCK = 0x75706269

# What commit 8afb9c2 made without recording a version: the tables of 001 at the first task, of 002 at the first hour.
UNRECORDED = (
    frozenset({"lease", "alarm", "job_run", "ingester_gap"}),
    frozenset({"hour_state", "verdict", "coverage_window", "coverage_gap", "maintenance_run"}),
)
VERSIONS = "schema_version"


class SchemaError(RuntimeError):
    """The control database cannot be used by this code. One line: what its schema is, what to do."""


@dataclass(frozen=True)
class Migration:
    """One file of the schema. `number`: the version that the database has after it."""

    number: int
    path: Path


def open_database(dsn: str) -> Connection:
    """Open the control database at this code's schema; an empty one gets its tables.

    Raises:
        SchemaError: its schema is older or newer than this code.
        psycopg.OperationalError: it cannot be reached.
    """
    connection = connect(dsn)
    try:
        newest = migrations(FOLDER)[-1].number
        found = version(connection)
        if found == 0:
            migrate(connection)
        elif found < newest:
            raise SchemaError(
                f"the control database has schema {found}, this code needs {newest}: run ./pipeline up, "
                "or docker compose up -d, which save and upgrade it"
            )
        refuse_newer(found, newest)
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: Connection, save: Callable[[int], None] | None = None, folder: Path = FOLDER) -> int:
    """Bring the database to the newest schema of `folder`; gives the version that it had (0 = it was empty).

    `save` is called with that version before anything changes in a database that holds something. Meanwhile no other
    migration runs: whoever comes second waits and finds nothing left to do.

    Raises:
        SchemaError: the schema is newer than `folder`, or not known, or a migration failed: nothing has changed.
    """
    steps = migrations(folder)
    try:
        with connection.transaction():
            connection.query("versions/lock", {"lock": LOCK})
            found = version(connection)
            refuse_newer(found, steps[-1].number)
            missing = [step for step in steps if step.number > found]
            if missing and found and save is not None:
                save(found)
            for step in missing:
                _apply(connection, step)
            if missing:
                # All of them: what was there before versions were recorded is recorded now.
                for step in steps:
                    connection.query("versions/record", {"version": step.number, "name": step.path.name})
    except psycopg.Error as error:
        raise SchemaError(f"the control database was not upgraded: {_reason(error)}; run up again") from None
    return found


def migrations(folder: Path) -> list[Migration]:
    """The files `NNN_*.sql` of `folder`, in the order of their numbers."""
    return [Migration(int(path.name[:3]), path) for path in sorted(folder.glob("[0-9][0-9][0-9]_*.sql"))]


def version(connection: Connection) -> int:
    """The number of the newest migration that the database has seen, 0 for an empty one; raises SchemaError."""
    tables = {row["name"] for row in connection.query("versions/tables")}
    if VERSIONS in tables:
        return int(connection.query("versions/newest")[0]["version"])
    return unrecorded_version(tables)


def unrecorded_version(tables: set[str]) -> int:
    """The version of a database with these tables and no record of it; raises SchemaError when it is none of ours."""
    control, verdicts = UNRECORDED
    for found, expected in ((0, frozenset()), (1, control), (2, control | verdicts)):
        if tables & (control | verdicts) == expected:
            return found
    lacking = ", ".join(sorted((control | verdicts) - tables))
    raise SchemaError(
        f"the control database is older than commit 8afb9c2 or damaged, it has no {lacking}: "
        "let that commit's bootstrap_pipeline run once, or restore a dump"
    )


def refuse_newer(found: int, newest: int) -> None:
    """Raise SchemaError when the database's schema `found` is newer than the `newest` that this code knows."""
    if found > newest:
        raise SchemaError(
            f"the control database has schema {found}, this code knows {newest}: "
            "update this code, or restore the dump that was saved before the upgrade"
        )


def _apply(connection: Connection, step: Migration) -> None:
    try:
        connection.execute(step.path.read_text(encoding="utf-8"))
    except psycopg.Error as error:
        raise SchemaError(f"{step.path.name} failed, the control database is as it was: {_reason(error)}") from None


def _reason(error: psycopg.Error) -> str:
    """What PostgreSQL says, in one line."""
    return re.sub(r"\s+", " ", error.diag.message_primary or str(error)).strip()
