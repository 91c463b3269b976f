"""The control database: what `state` writes is what it reads, on PostgreSQL and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.contract.pair import BOTH, TWIN
from tests.harness.home import Home
from tests.twins.database import DatabaseTwin
from upbit_lake.engines.postgres import Database
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.partitions import PartitionState
from upbit_lake.state import alarms, audits, hours, job_runs, leases, maintenance_runs, verdicts
from upbit_lake.state.audits import Gap, Window
from upbit_lake.state.job_runs import JobRun
from upbit_lake.state.schema import open_database
from upbit_lake.state.verdicts import HourVerdict, Level, Status

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NINE = Hour("2026-11-23", "09")


@pytest.fixture(params=BOTH)
def db(request: pytest.FixtureRequest) -> Iterator[Database]:
    if request.param == TWIN:
        yield DatabaseTwin()
        return
    home: Home = request.getfixturevalue("home")
    home.up_only("postgres")
    with open_database(home.task_environment["AIRFLOW_CONN_PIPELINE_DB"]) as connection:
        yield connection


@pytest.fixture
def name() -> str:
    """Of this test alone: the database is the session's."""
    return f"contract-{uuid4().hex[:8]}"


def test_the_database_says_which_it_is(db: Database) -> None:
    assert db.name() == "pipeline"


def test_an_alarm_is_opened_once_and_closed_once(db: Database, name: str) -> None:
    assert alarms.open_alarm(db, name, "first")
    assert not alarms.open_alarm(db, name, "second")
    assert [row["text"] for row in alarms.open_alarms(db) if row["subject"] == name] == ["first"]
    assert alarms.close_alarm(db, name)
    assert not alarms.close_alarm(db, name)
    assert alarms.open_alarm(db, name, "again")
    alarms.settle(db, name, None)
    assert name not in [row["subject"] for row in alarms.open_alarms(db)]


def test_a_lease_excludes_others_until_it_is_released_or_has_expired(db: Database, name: str) -> None:
    leases.acquire(db, name, "a", 60)
    leases.acquire(db, name, "a", 60)
    assert leases.holder(db, name, "a") == ""
    assert leases.holder(db, name, "b").startswith(f"{name} is being changed by a until ")
    with pytest.raises(leases.LeaseHeldError):
        leases.acquire(db, name, "b", 60)
    leases.release(db, name, "b")
    assert leases.holder(db, name, "b"), "only its owner gives it back"
    leases.release(db, name, "a")
    leases.acquire(db, name, "b", -1)
    leases.acquire(db, name, "a", 60)
    assert leases.holder(db, name, "b")
    leases.release(db, name, "a")


def test_runs_are_remembered_newest_first_and_forgotten(db: Database, name: str) -> None:
    first = JobRun(uuid4().hex, name, "first start", "f1", {"t": "1"}, {"trade": 100})
    second = replace(first, job_id=uuid4().hex, started_from="checkpoint")
    job_runs.remember(db, first)
    job_runs.remember(db, second)
    assert job_runs.runs_of(db, name) == [second, first]
    # Remembered again: where it stands now counts, where it came from stays.
    job_runs.remember(db, replace(first, started_from="adopted", fingerprint="f2", topic_ids={"t": "2"}))
    assert job_runs.runs_of(db, name)[1] == replace(first, fingerprint="f2", topic_ids={"t": "2"})
    job_runs.forget(db, second.job_id)
    assert [run.job_id for run in job_runs.runs_of(db, name)] == [first.job_id]
    assert job_runs.bootstrapped(db)


def test_an_hour_is_closed_and_verified_apart(db: Database, name: str) -> None:
    state = PartitionState(name, NINE, 1, 2, 3, NOW)
    hours.set_closed(db, [state], NOW)
    assert (hours.closed(db).get((name, NINE)), hours.verified(db).get((name, NINE))) == (state.fingerprint, None)
    later = replace(state, record_count=9)
    hours.set_verified(db, [later], NOW)
    hours.set_closed(db, [later], NOW)
    assert hours.closed(db)[(name, NINE)] == hours.verified(db)[(name, NINE)] == later.fingerprint


def test_windows_grow_and_gaps_are_replaced(db: Database, name: str) -> None:
    window = Window(name, "id", 0, 10, 20, 5, NOW)
    gap = Gap(name, "id", 0, 12, 13, audits.GapKind.LOSS, NINE, NINE, "KRW-BTC 1")
    audits.save_audit(db, name, [window, replace(window, partition=1)], [gap], NOW)
    assert audits.read_windows(db, name) == [window, replace(window, partition=1)]
    assert audits.read_gaps(db, name) == [gap]
    # A window is written again with another end: it never shrinks, and begins when it began.
    later, other = NOW + timedelta(hours=1), replace(gap, start=15, end=17)
    audits.save_audit(db, name, [replace(window, end=15, began_ms=9)], [other], later)
    assert audits.read_windows(db, name)[-1] == window
    assert audits.read_gaps(db, name) == [other]


def test_verdicts_replace_those_of_their_place(db: Database, name: str) -> None:
    red = HourVerdict(Level.COVERAGE, name, NINE, Status.RED, "lost", {"lost": 2})
    verdicts.save_verdicts(db, [red, replace(red, level=Level.STRUCTURAL, hour=NINE.shifted(-1))], NOW)
    green = replace(red, status=Status.GREEN, details={})
    verdicts.save_verdicts(db, [green], NOW)
    found = [verdict for verdict in verdicts.read_verdicts(db) if verdict.table == name]
    assert [(v.level, v.status) for v in found] == [(Level.STRUCTURAL, Status.RED), (Level.COVERAGE, Status.GREEN)]
    assert [v for v in verdicts.read_verdicts(db, Level.COVERAGE) if v.table == name] == [green]


def test_daily_work_is_remembered_by_its_last_time(db: Database, name: str) -> None:
    assert maintenance_runs.last_run(db, name) is None
    maintenance_runs.set_run(db, name, NOW)
    maintenance_runs.set_run(db, name, NOW + timedelta(days=1))
    assert maintenance_runs.last_run(db, name) == NOW + timedelta(days=1)


def test_a_block_that_raises_leaves_nothing(db: Database, name: str) -> None:
    def half() -> None:
        with db.transaction():
            maintenance_runs.set_run(db, name, NOW)
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        half()
    assert maintenance_runs.last_run(db, name) is None
