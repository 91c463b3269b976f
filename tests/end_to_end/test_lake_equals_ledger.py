"""The promise of the whole: what the exchange published is in the lake, exactly once, exact to the digit."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from pathlib import Path

import jsonschema
import pytest

from local.commands.airflow_api import AirflowApi
from local.commands.query import rows
from local.home.places import REPOSITORY
from local.processes.supervisor import Supervisor
from tests.end_to_end.conftest import (
    CATCH_UP_S,
    GRACE_MS,
    assert_no_trade_is_missing,
    bootstrap,
    clock_ms,
    close_hours,
    job_names,
    restored_jobs,
    run_dag,
    start_with_two_closed_hours,
)
from tests.harness import truth
from tests.harness.home import Home
from tests.harness.waiting import until

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def closed_hours(pipeline: Home) -> list[truth.Hour]:
    """Two hours that the exchange's clock has passed, closed and verified by Airflow's own DAGs."""
    setting = pipeline.setting
    began = datetime.fromisoformat(setting.source.start)
    assert began <= start_with_two_closed_hours()
    first_ms = int(began.timestamp() * 1000)
    end_ms = first_ms + 80 * 60_000
    until("exchange clock past both hours", lambda: clock_ms(setting) > end_ms + GRACE_MS, CATCH_UP_S)
    hours = [truth.hour_of(first_ms), truth.hour_of(end_ms - 1)]
    close_hours(AirflowApi.of(setting), truth.lake_of(setting), hours, CATCH_UP_S)
    return hours


def test_airflow_takes_the_password_and_imports_every_dag(pipeline: Home) -> None:
    api = AirflowApi.of(pipeline.setting)
    assert api.ask("GET", "/importErrors")["import_errors"] == []
    found = {dag["dag_id"] for dag in api.ask("GET", "/dags")["dags"]}
    assert found == {path.stem for path in (REPOSITORY / "dags").glob("*.py")} - {"conftest"}


def test_every_table_has_rows(pipeline: Home) -> None:
    done = pipeline.run("query", "SELECT count(*) AS n FROM candle_1m", "--format", "csv")
    header, number = done.stdout.split()
    assert header == "n"
    assert int(number) > 0


def test_the_sql_client_reads_the_lake(pipeline: Home, tmp_path: Path) -> None:
    settings = ("SET 'execution.runtime-mode' = 'batch';", "SET 'sql-client.execution.result-mode' = 'tableau';")
    # A statement begins on a line of its own.
    (tmp_path / "count.sql").write_text("\n".join([*settings, "SELECT COUNT(*) AS n FROM candle_1m;"]))
    said = pipeline.run("sql", "-f", str(tmp_path / "count.sql")).stdout
    assert re.search(r"\| +[1-9]\d* +\|", said), said


def test_trades_and_candles_equal_the_ledger(pipeline: Home, closed_hours: list[truth.Hour]) -> None:
    setting = pipeline.setting
    ledger = truth.published(setting.places.data / "ledger")
    for hour in closed_hours:
        truth.assert_trades_and_candles_are_exact(truth.lake_of(setting), ledger, hour)


@pytest.mark.parametrize("stream", ["ticker", "orderbook"])
def test_tickers_and_books_equal_the_ledger(pipeline: Home, closed_hours: list[truth.Hour], stream: str) -> None:
    setting = pipeline.setting
    ledger = truth.published(setting.places.data / "ledger")
    for hour in closed_hours:
        truth.assert_each_key_stands_once(truth.lake_of(setting), ledger, stream, hour)


def test_nothing_was_quarantined(pipeline: Home, closed_hours: list[truth.Hour]) -> None:
    done = pipeline.run("query", "SELECT count(*) AS n FROM dead_letter", "--format", "csv")
    assert done.stdout.split() == ["n", "0"]


def test_verdicts_are_not_red(pipeline: Home, closed_hours: list[truth.Hour]) -> None:
    run_dag(AirflowApi.of(pipeline.setting), "verify_paimon_partitions")
    done = pipeline.run("status", "--json", check=False)
    assert '"red"' not in done.stdout
    assert '"green"' in done.stdout


def test_a_second_bootstrap_changes_nothing(pipeline: Home) -> None:
    began = time.monotonic()
    said = bootstrap(AirflowApi.of(pipeline.setting))
    print(f"a second bootstrap took {time.monotonic() - began:.0f} s")
    for step, lines in said.items():
        outcomes = [line for line in lines if line.startswith("outcome: ")]
        assert outcomes == ["outcome: unchanged"], f"{step}: {lines}"
        looked_at = [line for line in lines if line.endswith(": unchanged") and line not in outcomes]
        assert looked_at, f"{step} looked at nothing: {lines}"


def test_down_and_up_keep_the_lake_and_go_on_where_they_stopped(pipeline: Home) -> None:
    setting = pipeline.setting
    before = {stream: set(truth.lake_keys(truth.lake_of(setting), stream)) for stream in truth.STREAMS}
    stopped_ms = clock_ms(setting)
    pipeline.run("down")
    began = time.monotonic()
    pipeline.run("up")
    print(f"up after down took {time.monotonic() - began:.0f} s")
    for stream, keys in before.items():
        assert keys <= set(truth.lake_keys(truth.lake_of(setting), stream)), f"{stream} lost rows"
    assert restored_jobs(setting) == job_names(setting)
    newest = "SELECT max(trade_timestamp) AS t FROM trade"
    until("trades after the stop", lambda: rows(setting, newest)[0]["t"] > stopped_ms, 180, every_s=3)
    assert_no_trade_is_missing(setting)


def test_up_on_a_running_pipeline_restarts_nothing(pipeline: Home) -> None:
    supervisor = Supervisor(pipeline.setting.places)
    pids = {name: process["pid"] for name, process in supervisor.processes().items()}
    began = time.monotonic()
    said = pipeline.run("up").stdout
    print(f"up on a running pipeline took {time.monotonic() - began:.0f} s")
    assert "restarts" not in said
    assert "orphans" not in said
    assert {name: process["pid"] for name, process in supervisor.processes().items()} == pids
    done = pipeline.run("status", "--json")
    assert done.returncode == 0
    schema = json.loads((REPOSITORY / "docs" / "status.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads(done.stdout))
