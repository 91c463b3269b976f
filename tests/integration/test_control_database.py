"""The control database's schema on a real PostgreSQL: upgraded with every row, whole or not at all, saved before."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Barrier
from typing import Any

import psycopg
import pytest
from psycopg import sql

from local.home.places import REPOSITORY
from local.parts.postgres import binaries_folder
from tests.harness.home import Home
from upbit_lake.contract.settings import CONTROL_DATABASE
from upbit_lake.engines.postgres import Connection, connect
from upbit_lake.hours.hour import Hour
from upbit_lake.state import alarms, audits, hours, ingester_gaps, job_runs, leases, maintenance_runs, verdicts
from upbit_lake.state.schema import FOLDER, UNRECORDED, SchemaError, migrate, migrations, open_database, version
from upbit_lake.state.upgrade import NOT_SAVED, UpgradeError, upgrade
from upbit_lake.state.verdicts import HourVerdict, Level, Status

pytestmark = pytest.mark.engines

FIXTURES = REPOSITORY / "tests" / "fixtures" / "control_database"
MADE_BY_8AFB9C2 = FIXTURES / "8afb9c2.sql"
NEWEST = migrations(FOLDER)[-1].number
NOW = datetime(2026, 11, 23, 13, tzinfo=UTC)

Rows = dict[str, list[dict[str, Any]]]
MakeDatabase = Callable[..., str]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home of its own with PostgreSQL alone: its control database is put back and forth."""
    home = Home(tmp_path_factory.mktemp("control") / "home", port_offset=2000)
    home.up_only("postgres")
    yield home
    home.down()


@pytest.fixture
def make_database(postgres: Home) -> Iterator[MakeDatabase]:
    """Gives the URL of a new database of the role `pipeline`, with what the given dump holds."""
    made: list[str] = []
    numbers = count()

    def make(dump: Path | None = None) -> str:
        name = f"control_{next(numbers)}"
        with superuser(postgres) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER pipeline").format(sql.Identifier(name)))
        made.append(name)
        url = postgres.setting.database_url("pipeline").removesuffix("/pipeline") + f"/{name}"
        restore(postgres, url, *([dump] if dump else []))
        return url

    yield make
    with superuser(postgres) as connection:
        for name in made:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def superuser(home: Home) -> psycopg.Connection[Any]:
    password = home.setting.credentials.postgres_password
    port = home.setting.ports["postgres"]
    return psycopg.connect(
        host="127.0.0.1", port=port, user="postgres", password=password, dbname="postgres", autocommit=True
    )


def restore(home: Home, url: str, *dumps: Path) -> None:
    """Empty the database and put back what was dumped, as docs/runbook.md says it."""
    psql = binaries_folder(home.places) / "psql"
    empty = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
    files = [option for dump in dumps for option in ("-f", str(dump))]
    options = ("--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-1", "-c", empty, *files)
    subprocess.run([psql, url, *options], check=True, capture_output=True)


def schema_of(home: Home, url: str) -> str:
    """Everything but the rows, as pg_dump writes it."""
    pg_dump = binaries_folder(home.places) / "pg_dump"
    text = subprocess.run(
        [pg_dump, url, "--schema-only", "--no-owner"], check=True, capture_output=True, text=True
    ).stdout
    return re.sub(r"\\(un)?restrict \w+", "", text)


def rows_of(url: str) -> Rows:
    """Every row of every table, in an order of its own text."""
    with connect(url) as db:
        names = [row["tablename"] for row in db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        found: Rows = {}
        for name in names:
            statement = sql.SQL("SELECT to_jsonb(t) AS row FROM {} t ORDER BY to_jsonb(t)::text")
            found[name] = [row["row"] for row in db.execute(statement.format(sql.Identifier(name)))]
    return found


def upgraded(url: str, folder: Path = FOLDER) -> int:
    with closing(connect(url)) as db:
        return migrate(db, folder=folder)


def test_a_database_of_8afb9c2_keeps_every_row_and_a_second_upgrade_is_none(
    make_database: MakeDatabase,
) -> None:
    url = make_database(MADE_BY_8AFB9C2)
    before = rows_of(url)
    assert set(before) == UNRECORDED[0] | UNRECORDED[1]
    assert all(before.values()), "the dump has a row for every table"

    assert upgraded(url) == 2
    after = rows_of(url)
    assert [row["version"] for row in after.pop("schema_version")] == list(range(1, NEWEST + 1))
    assert after["verdict"] == [{**row, "market": ""} for row in before["verdict"]]
    later = after.keys() - before.keys()
    assert not any(after.pop(table) for table in later), "a table that came later begins empty"
    assert {**after, "verdict": 0} == {**before, "verdict": 0}

    once = rows_of(url)
    assert upgraded(url) == NEWEST
    assert rows_of(url) == once


def test_what_8afb9c2_remembered_is_read_and_goes_on(make_database: MakeDatabase) -> None:
    url = make_database(MADE_BY_8AFB9C2)
    upgraded(url)
    nine, ten = Hour("2026-11-23", "09"), Hour("2026-11-23", "10")
    with open_database(url) as db:
        assert job_runs.bootstrapped(db)
        assert [run.job_id[:1] for run in job_runs.runs_of(db, "upbit-trade")] == ["b", "a"]
        assert job_runs.runs_of(db, "upbit-ticker")[0].table_ids == {"ticker": 1763881202000}
        assert len(hours.closed(db)) == 13
        assert len(hours.verified(db)) == 10
        assert hours.closed(db)["trade", nine] == hours.verified(db)["trade", nine]
        assert maintenance_runs.last_run(db, "orphans") == datetime(2026, 11, 23, 3, 5, 31, 250000, tzinfo=UTC)
        assert maintenance_runs.last_run(db, "never") is None
        assert [row["subject"] for row in alarms.open_alarms(db)] == ["verification", "ingester"]
        assert not alarms.open_alarm(db, "verification", "still")
        assert alarms.close_alarm(db, "verification")
        assert alarms.open_alarm(db, "verification", "again"), "the numbers of alarms go on"
        gap = ingester_gaps.IngesterGap("KRW-BTC", 1763888100000, 1763888161000, "unreachable")
        assert ingester_gaps.missing(db, "trade") == [gap]
        windows, gaps = audits.read_windows(db, "upbit-trade"), audits.read_gaps(db, "upbit-trade")
        assert [(w.partition, w.end) for w in windows] == [(0, 9000), (0, 40411), (1, 40412), (2, 40413)]
        assert [(g.kind, g.first_hour, g.last_hour) for g in gaps] == [
            ("log_expired", nine, ten), ("loss", ten, ten), ("bad", nine, nine)
        ]  # fmt: skip
        audits.save_audit(db, "upbit-trade", windows, gaps, NOW)
        assert audits.read_windows(db, "upbit-trade")[0] == windows[0]
        assert audits.read_gaps(db, "upbit-trade") == gaps
        assert leases.holder(db, leases.INGESTER, "another run") == ""
        found = verdicts.read_verdicts(db)
        assert len(found) == 18
        assert {v.market for v in found} == {""}
        red = [v for v in found if v.status is Status.RED]
        assert [(v.table, v.hour, v.details) for v in red] == [("trade", ten, {"loss": [["KRW-BTC|17639", 1, 40411]]})]


def test_a_market_has_a_verdict_of_its_own_beside_its_hour_s(make_database: MakeDatabase) -> None:
    hour = Hour("2026-11-23", "09")
    whole = HourVerdict(Level.COVERAGE, "trade", hour, Status.GREEN, "whole", {"offsets": 7})
    market = HourVerdict(Level.COVERAGE, "trade", hour, Status.LATE, "one market", {}, "KRW-BTC")
    with open_database(make_database()) as db:
        verdicts.save_verdicts(db, [whole, market], NOW)
        assert verdicts.read_verdicts(db, Level.COVERAGE) == [whole, market]
        again = HourVerdict(Level.COVERAGE, "trade", hour, Status.RED, "again", {}, "KRW-BTC")
        verdicts.save_verdicts(db, [again], NOW)
        assert verdicts.read_verdicts(db) == [whole, again]
        assert verdicts.read_verdicts(db, Level.STRUCTURAL) == []


def test_an_upgraded_database_and_a_new_one_have_the_same_schema(postgres: Home, make_database: MakeDatabase) -> None:
    new, old = make_database(), make_database(MADE_BY_8AFB9C2)
    assert upgraded(new) == 0
    upgraded(old)
    assert schema_of(postgres, old) == schema_of(postgres, new)


def test_a_home_that_never_closed_an_hour_is_recognised(postgres: Home, make_database: MakeDatabase) -> None:
    """8afb9c2 made the tables of the verification only when it first ran."""
    url, new = make_database(MADE_BY_8AFB9C2), make_database()
    with connect(url) as db:
        for name in UNRECORDED[1]:
            db.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        before = rows_of(url)
        assert migrate(db) == 1
    after = rows_of(url)
    assert {name: after[name] for name in before} == before
    upgraded(new)
    assert schema_of(postgres, url) == schema_of(postgres, new)


def test_a_database_that_is_none_of_ours_is_left_alone(make_database: MakeDatabase) -> None:
    url = make_database(MADE_BY_8AFB9C2)
    with connect(url) as db:
        db.execute("DROP TABLE ingester_gap")
        before = rows_of(url)
        with pytest.raises(SchemaError, match="older than commit 8afb9c2 or damaged, it has no ingester_gap: let"):
            migrate(db)
    assert rows_of(url) == before


def test_of_two_that_migrate_at_once_one_does_it_and_the_other_waits(make_database: MakeDatabase) -> None:
    url = make_database(MADE_BY_8AFB9C2)
    both = Barrier(4)
    saved: list[int] = []

    def upgrade_one(_: int) -> int:
        with closing(connect(url)) as db:
            both.wait(20)
            return migrate(db, saved.append)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(upgrade_one, range(4))) == [2, NEWEST, NEWEST, NEWEST]
    assert saved == [2]
    assert len(rows_of(url)["verdict"]) == 18


def test_tasks_that_open_an_empty_database_at_once_all_get_it(make_database: MakeDatabase) -> None:
    url = make_database()
    both = Barrier(4)

    def opened(_: int) -> int:
        both.wait(20)
        with open_database(url) as db:
            return version(db)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(opened, range(4))) == [NEWEST] * 4


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    postgres: Home, make_database: MakeDatabase, tmp_path: Path
) -> None:
    url = make_database(MADE_BY_8AFB9C2)
    before = rows_of(url), schema_of(postgres, url)
    folder = tmp_path / "schema"
    shutil.copytree(FOLDER, folder)
    broken = folder / f"{NEWEST + 1:03d}_broken.sql"
    broken.write_text("ALTER TABLE alarm ADD COLUMN note text;\nDELETE FROM verdict;\nSELECT 1 / 0;\n")
    said = rf"^{broken.name} failed, the control database is as it was: division by zero$"
    with pytest.raises(SchemaError, match=said):
        upgraded(url, folder)
    assert (rows_of(url), schema_of(postgres, url)) == before
    # Without it, the upgrade goes on as if nothing had been tried.
    broken.unlink()
    assert upgraded(url, folder) == 2


def test_a_database_that_cannot_be_saved_is_not_changed(make_database: MakeDatabase, tmp_path: Path) -> None:
    url = make_database(MADE_BY_8AFB9C2)
    before = rows_of(url)
    (tmp_path / "file").touch()
    for folder, pg_dump in (("dumps", "/bin/false"), ("dumps", str(tmp_path / "none")), ("file", "/bin/true")):
        with pytest.raises(UpgradeError, match=rf"^{NOT_SAVED} to {tmp_path / folder}: .+$"):
            upgrade({CONTROL_DATABASE: url}, tmp_path / folder, Path(pg_dump))
    assert rows_of(url) == before
    assert list(tmp_path.rglob("*.sql")) == []


def test_an_older_database_is_refused_by_whoever_may_not_upgrade_it(make_database: MakeDatabase) -> None:
    url = make_database(MADE_BY_8AFB9C2)
    before = rows_of(url)
    with pytest.raises(SchemaError, match=f"has schema 2, this code needs {NEWEST}: run ./pipeline up, or docker"):
        open_database(url)
    assert rows_of(url) == before


@pytest.fixture
def control(postgres: Home) -> Iterator[Connection]:
    """The home's own control database; empty again afterwards."""
    with connect(postgres.setting.database_url("pipeline")) as db:
        yield db
        db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


def test_code_older_than_the_home_s_schema_refuses_to_start(postgres: Home, control: Connection) -> None:
    postgres.up_only("postgres")
    control.execute("INSERT INTO schema_version (version, name) VALUES (999, '999_of_tomorrow.sql')")
    said = f"the control database has schema 999, this code knows {NEWEST}: update this code, or restore the dump"
    with pytest.raises(SchemaError, match=said):
        open_database(postgres.setting.database_url("pipeline"))
    for command in (["up", "--source", "exchange", "--only", "postgres"], ["status"]):
        done = postgres.run(*command, check=False)
        assert done.returncode == 1
        assert [line for line in done.stderr.splitlines() if said in line] == done.stderr.splitlines()
        assert len(done.stderr.splitlines()) == 1


def test_up_saves_the_database_beside_the_home_before_it_upgrades_it(
    postgres: Home, control: Connection, make_database: MakeDatabase
) -> None:
    url = postgres.setting.database_url("pipeline")
    restore(postgres, url, MADE_BY_8AFB9C2)
    before, schema = rows_of(url), schema_of(postgres, url)
    dumps = postgres.places.home.with_name("home-dumps")
    assert not dumps.exists(), "a new database is nothing to save"

    said = postgres.run("up", "--source", "exchange", "--only", "postgres").stdout
    (saved,) = dumps.iterdir()
    assert f"control database: schema 2 upgraded to {NEWEST}, saved before in {saved}" in said
    assert saved.stat().st_mode & 0o777 == 0o600
    assert dumps.stat().st_mode & 0o777 == 0o700
    assert version(control) == NEWEST

    again = make_database(saved)
    assert (rows_of(again), schema_of(postgres, again)) == (before, schema)
    assert "upgraded" not in postgres.run("up", "--source", "exchange", "--only", "postgres").stdout
    assert list(dumps.iterdir()) == [saved]
