"""The control database before and after an upgrade: saved to a file, brought to this code's schema.

`python -m upbit_lake upgrade` is the way in for `./pipeline up` and the containers' init; the database is the one of
AIRFLOW_CONN_PIPELINE_DB, which Airflow's tasks use too.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from upbit_lake.contract.settings import SettingsError, control_database_url
from upbit_lake.engines.postgres import Connection, connect
from upbit_lake.state.schema import FOLDER, migrate, migrations, refuse_newer, version

NOT_SAVED = "the control database was not upgraded, because it could not be saved"


class UpgradeError(RuntimeError):
    """The database does not answer, or could not be saved: it was not changed. One line: what, why."""


class NoAnswerError(UpgradeError):
    """PostgreSQL does not answer. One line: what it or the network says."""


def upgrade(environment: Mapping[str, str], save_in: Path | None = None, pg_dump: Path | None = None) -> str:
    """Bring the database to the newest schema; gives one line on what was done, "" when nothing was to be saved.

    With `save_in` and `pg_dump` (PostgreSQL's program, not older than the server) it is saved before it changes.

    Raises:
        SchemaError, UpgradeError: it is as it was.
    """
    dsn = _dsn(environment)
    saved: list[Path] = []

    def save(found: int) -> None:
        if save_in is not None and pg_dump is not None:
            saved.append(dump(dsn, pg_dump, save_in, found))

    with _connected(dsn) as connection:
        before = migrate(connection, save)
    newest = migrations(FOLDER)[-1].number
    if before in (0, newest):
        return ""
    where = f", saved before in {saved[0]}" if saved else ""
    return f"control database: schema {before} upgraded to {newest}{where}"


def check(environment: Mapping[str, str]) -> None:
    """Refuse a database that is newer than this code, and say nothing of one that does not answer.

    Raises:
        SchemaError: it is newer, or not known.
    """
    try:
        with _connected(_dsn(environment)) as connection:
            refuse_newer(version(connection), migrations(FOLDER)[-1].number)
    except NoAnswerError:
        return


def dump(dsn: str, pg_dump: Path, folder: Path, found: int) -> Path:
    """Save the database of schema `found` below `folder`, readable by its owner only, as SQL for `psql`.

    Raises:
        UpgradeError: the folder cannot be written, or pg_dump fails.
    """
    path = folder / f"control-schema-{found:03d}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.sql"
    # A file by the final name is whole; what a failed dump leaves, the next one writes over.
    partial = folder / "unfinished"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            done = subprocess.run(
                [str(pg_dump), "--no-owner", "--no-privileges"],
                env={**os.environ, **_libpq(dsn)},
                stdout=file,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            os.fsync(file.fileno())
        if done.returncode != 0:
            raise UpgradeError(f"{NOT_SAVED} to {folder}: {(done.stderr.strip().splitlines() or [str(pg_dump)])[-1]}")
        partial.replace(path)
    except OSError as error:
        raise UpgradeError(f"{NOT_SAVED} to {folder}: {error}") from None
    return path


def _dsn(environment: Mapping[str, str]) -> str:
    try:
        return control_database_url(environment)
    except SettingsError as error:
        raise UpgradeError(str(error)) from None


def _libpq(dsn: str) -> dict[str, str]:
    """The connection as libpq's variables: an argument could be read by every process."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    given = conninfo_to_dict(dsn)
    return {names[key]: str(value) for key, value in given.items() if key in names and value is not None}


@contextmanager
def _connected(dsn: str) -> Iterator[Connection]:
    """A connection to the database, closed at the end."""
    try:
        connection = connect(dsn)
    except psycopg.OperationalError as error:
        raise NoAnswerError(f"the control database does not answer: {str(error).splitlines()[0]}") from None
    try:
        yield connection
    finally:
        connection.close()
