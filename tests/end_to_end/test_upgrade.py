"""A running home of an older release goes on under this one: `git pull`, then `./pipeline up`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from local.commands.airflow_api import AirflowApi
from local.home.setting import Setting
from local.parts.http import get_json
from tests.end_to_end.conftest import (
    CATCH_UP_S,
    GRACE_MS,
    PORT_OFFSET,
    SMALL_MARKET,
    SPEED,
    assert_missing_only_in_gaps,
    assert_no_trade_is_missing,
    clock_ms,
    close_hours,
    job_names,
    restored_jobs,
    run_dag,
    start_with_two_closed_hours,
)
from tests.harness import kept, truth
from tests.harness.home import Home
from tests.harness.older import checkout_of, move_to_this_release
from tests.harness.waiting import until

pytestmark = [pytest.mark.engines, pytest.mark.nightly]


@dataclass(frozen=True)
class Before:
    """What the older release left when the newer one came."""

    home: Home
    hours: tuple[truth.Hour, ...]
    rows: kept.Rows
    jobs: dict[str, str]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that stands on the last release before the control database had migrations."""
    return checkout_of("8afb9c2", tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def before(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Before]:
    """Two hours closed and verified by the older release, which runs on while the checkout moves to this one."""
    folder = tmp_path_factory.mktemp("older")
    home = Home(folder / "home", PORT_OFFSET, SMALL_MARKET, repository=checkout, parts=folder / "parts")
    start = start_with_two_closed_hours()
    with home.running("--source", "exchange", "--speed", str(SPEED), "--start", start.isoformat()):
        setting = home.setting
        end_ms = int(start.timestamp() * 1000) + 80 * 60_000
        until("exchange clock past both hours", lambda: clock_ms(setting) > end_ms + GRACE_MS, CATCH_UP_S)
        hours = (truth.hour_of(end_ms - 80 * 60_000), truth.hour_of(end_ms - 1))
        api = AirflowApi.of(setting)
        close_hours(api, lake_of(home), hours, CATCH_UP_S)
        run_dag(api, "verify_paimon_partitions")
        rows, jobs = control_rows(setting), running_jobs(setting)
        move_to_this_release(checkout)
        print(home.run("up").stdout)
        yield Before(home, hours, rows, jobs)


def test_what_was_proved_and_done_is_still_there(before: Before) -> None:
    kept.assert_all_are_there(before.rows, control_rows(before.home.setting))


def test_the_control_database_was_saved_before_it_was_changed(before: Before) -> None:
    saved = [path.read_text() for path in before.home.places.dumps.iterdir()]
    assert len(saved) == 1
    assert all(f"CREATE TABLE public.{table}" in saved[0] for table in kept.COLUMNS)


def test_the_jobs_run_or_were_resumed_from_their_own_state(before: Before) -> None:
    setting = before.home.setting
    expected = job_names(setting)
    assert set(before.jobs) == expected
    going_on = {name for name, job_id in running_jobs(setting).items() if before.jobs.get(name) == job_id}
    assert going_on | restored_jobs(setting) == expected


def test_nothing_that_did_not_change_is_verified_again(before: Before) -> None:
    setting = before.home.setting
    run_dag(AirflowApi.of(setting), "verify_paimon_partitions")
    kept.assert_nothing_was_verified_again(before.rows, control_rows(setting))


def test_no_key_is_lost(before: Before) -> None:
    setting = before.home.setting
    lake, ledger = lake_of(before.home), truth.published(setting.places.data / "ledger")
    for hour in before.hours:
        truth.assert_trades_and_candles_are_exact(lake, ledger, hour)
    assert_no_trade_is_missing(setting)
    for stream in ("ticker", "orderbook"):
        assert_missing_only_in_gaps(setting, stream)


def lake_of(home: Home) -> truth.Lake:
    """The lake by the command that both releases have."""
    return lambda statement: list(json.loads(home.run("query", "--format", "json", statement).stdout))


def control_rows(setting: Setting) -> kept.Rows:
    """The control database's rows by table."""
    with psycopg.connect(setting.database_url("pipeline"), row_factory=dict_row) as connection:
        return kept.rows(lambda query: connection.execute(query).fetchall())


def running_jobs(setting: Setting) -> dict[str, str]:
    """Name → id of the Flink jobs that run."""
    found = (get_json(f"{setting.ports.url('flink_rest')}/jobs/overview") or {})["jobs"]
    return {job["name"]: job["jid"] for job in found if job["state"] == "RUNNING"}
