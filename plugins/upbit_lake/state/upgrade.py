"""The upgrade of the control database as a command: `python -m upbit_lake.state.upgrade`.

The database is the one of AIRFLOW_CONN_PIPELINE_DB, which Airflow's tasks use too. With `--save-in` and `--pg-dump` it
is saved before it changes; with `--check` it does not change.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from upbit_lake.engines.postgres import connect
from upbit_lake.state.schema import FOLDER, SchemaError, migrate, migrations, refuse_newer, version

CONNECTION = "AIRFLOW_CONN_PIPELINE_DB"
NOT_REACHED = 2
NOT_SAVED = "the control database was not upgraded, because it could not be saved"


class DumpError(RuntimeError):
    """The database could not be saved, so it was not changed either. One line: which file, why."""


def dump(dsn: str, pg_dump: Path, folder: Path, found: int) -> Path:
    """Save the database of schema `found` below `folder`, readable by its owner only, as SQL for `psql`.

    Raises:
        DumpError: the folder cannot be written, or pg_dump fails.
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
            raise DumpError(f"{NOT_SAVED} to {folder}: {(done.stderr.strip().splitlines() or [str(pg_dump)])[-1]}")
        partial.replace(path)
    except OSError as error:
        raise DumpError(f"{NOT_SAVED} to {folder}: {error}") from None
    return path


def _libpq(dsn: str) -> dict[str, str]:
    """The connection as libpq's variables: an argument could be read by every process."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    given = conninfo_to_dict(dsn)
    return {names[key]: str(value) for key, value in given.items() if key in names and value is not None}


def _upgrade(dsn: str, options: argparse.Namespace) -> None:
    newest = migrations(FOLDER)[-1].number
    with connect(dsn) as connection:
        if options.check:
            return refuse_newer(version(connection), newest)
        saved: list[Path] = []
        save = None
        if options.save_in is not None:
            save = lambda found: saved.append(dump(dsn, options.pg_dump, options.save_in, found))  # noqa: E731
        before = migrate(connection, save)
    if before not in (0, newest):
        where = f", saved before in {saved[0]}" if saved else ""
        sys.stdout.write(f"  control database: schema {before} upgraded to {newest}{where}\n")
    return None


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Upgrade, or check; 1 when it must not be used, 2 when it does not answer, with one line that says why."""
    parser = argparse.ArgumentParser(prog="upbit_lake.state.upgrade", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only refuse a database that is newer than this code")
    parser.add_argument("--save-in", type=Path, help="folder for a dump before an upgrade; wants --pg-dump")
    parser.add_argument("--pg-dump", type=Path, help="PostgreSQL's pg_dump, not older than the server")
    options = parser.parse_args(arguments)
    if (options.save_in is None) != (options.pg_dump is None):
        parser.error("--save-in and --pg-dump are given together")
    dsn = environment.get(CONNECTION, "")
    if not dsn:
        parser.error(f"{CONNECTION} is not set: it names the control database")
    try:
        _upgrade(dsn, options)
    except (SchemaError, DumpError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except psycopg.Error as error:
        sys.stderr.write(f"the control database does not answer: {str(error).splitlines()[0]}\n")
        return NOT_REACHED
    return 0


if __name__ == "__main__":
    sys.exit(main())
