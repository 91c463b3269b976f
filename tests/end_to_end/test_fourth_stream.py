"""To add a stream is one section of the contract, one table, one source, one job, one struct, and nothing else.

A copy of the repository gets them for `candle.1s`, the exchange's own candles of a second, and runs.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from local.commands.airflow_api import AirflowApi
from local.home.places import REPOSITORY
from local.home.setting import Setting
from local.parts.exchange import exchange_status
from local.parts.http import get_json
from tests.end_to_end.conftest import PORT_OFFSET, WHOLE_LEDGER, run_dag
from tests.harness import truth
from tests.harness.home import Home
from tests.harness.waiting import until

ADDED = REPOSITORY / "tests" / "fixtures" / "fourth_stream"
STREAM, TABLE = "candle.1s", "candle_1s"
CHANGED = {"pipeline.toml", "ingester/upbit_ingester/gate/frames.py"}
NEW = {f"sql/tables/{TABLE}.sql", f"sql/sources/kafka_{TABLE}.sql", f"sql/jobs/{TABLE}.sql"}

# The tests that hold the parts of a stream to each other: contract, tables, sources, jobs, gate.
HELD_TOGETHER = (
    *("tests/unit/upbit_lake/contract", "tests/unit/upbit_lake/jobs", "tests/unit/upbit_lake/reconcile"),
    *("tests/unit/upbit_lake/supervise", "tests/unit/upbit_lake/overview", "tests/unit/exchange/journal"),
    *("tests/unit/ingester/gate/test_gate.py", "tests/unit/ingester/test_contract.py"),
    *("tests/unit/ingester/test_settings.py", "tests/unit/test_readers_of_the_contract.py"),
    *("tests/unit/local/commands", "tests/unit/local/parts"),
)

# Ten codes; an exchange second of 12 events, thirty of them in a second of ours until the present is reached.
MARKET = {"EXCHANGE_CODES": "10", "EXCHANGE_RATE": "12", "EXCHANGE_SEED": "23", **WHOLE_LEDGER}
SPEED = 30
GRACE_MS = 3 * 60_000
PATIENCE_S = 600

# (table, level) -> status of an hour.
Verdicts = dict[tuple[str, str], str]
LEVELS = {"structural", "coverage"}


def tracked() -> list[str]:
    """The repository's files, new ones that are not ignored included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in names if (REPOSITORY / name).is_file()]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the fourth stream."""
    copy = tmp_path_factory.mktemp("repository")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, copy / name)
    for name in NEW:
        shutil.copy2(ADDED / name, copy / name)
    for name, added in (
        ("pipeline.toml", "pipeline.toml"),
        ("ingester/upbit_ingester/gate/frames.py", "frames.py.txt"),
    ):
        with (copy / name).open("a", encoding="utf-8") as file:
            file.write((ADDED / added).read_text(encoding="utf-8"))
    return copy


def test_a_stream_is_a_section_a_table_a_source_a_job_and_a_struct(repository: Path) -> None:
    before = set(tracked())
    after = {path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file()}
    assert after - before == NEW
    assert before <= after
    assert set(filecmp.cmpfiles(REPOSITORY, repository, before, shallow=False)[1]) == CHANGED


def test_the_parts_of_the_new_stream_agree(repository: Path) -> None:
    command = [sys.executable, "-m", "pytest", *HELD_TOGETHER, "-q", "-m", "not nightly", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.fixture(scope="module")
def hour() -> truth.Hour:
    """The last whole hour before this one."""
    return truth.hour_of(int((datetime.now(UTC) - timedelta(hours=1)).timestamp() * 1000))


@pytest.fixture(scope="module")
def home(repository: Path, hour: truth.Hour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The copy's pipeline, whose exchange starts five minutes before `hour`, so that the hour is whole."""
    made = Home(tmp_path_factory.mktemp("fourth"), PORT_OFFSET, MARKET, repository)
    start = _start(hour) - timedelta(minutes=5)
    with made.running("--source", "exchange", "--speed", str(SPEED), "--start", start.isoformat()):
        yield made


@pytest.fixture(scope="module")
def verified(home: Home, hour: truth.Hour) -> Verdicts:
    """The verdicts on the hour's tables, once the new one is closed and verified by Airflow's own DAGs."""
    setting = home.setting
    end_ms = int(_start(hour).timestamp() * 1000) + 3_600_000
    until("the hour over", lambda: exchange_status(setting)["clock_ms"] > end_ms + GRACE_MS, PATIENCE_S)
    api = AirflowApi.of(setting)

    def verdicts() -> Verdicts:
        run_dag(api, "compact_paimon_partitions")
        run_dag(api, "verify_paimon_partitions")
        found = verdicts_on(setting, hour)
        print(f"  {found}")
        return found if {level for table, level in found if table == TABLE} == LEVELS else {}

    return until("verdicts on the new table", verdicts, PATIENCE_S, every_s=5)


def verdicts_on(setting: Setting, hour: truth.Hour) -> Verdicts:
    """The verdicts that are not to be made again by a later run."""
    query = "SELECT table_name, level, status FROM verdict WHERE dt = %s AND hh = %s AND status <> 'late'"
    with psycopg.connect(setting.database_url("pipeline")) as connection:
        return {(table, level): status for table, level, status in connection.execute(query, hour).fetchall()}


def _start(hour: truth.Hour) -> datetime:
    return datetime.fromisoformat(f"{hour[0]}T{hour[1]}:00:00+00:00")


@pytest.mark.engines
@pytest.mark.nightly
def test_the_new_job_has_a_slot_and_batch_work_keeps_one(home: Home) -> None:
    overview = get_json(f"{home.setting.ports.url('flink_rest')}/overview") or {}
    assert overview["slots-total"] == 5
    assert overview["jobs-running"] >= 4


@pytest.mark.engines
@pytest.mark.nightly
def test_the_new_table_is_verified_structurally_and_by_coverage(verified: Verdicts) -> None:
    assert {level for (table, level), status in verified.items() if table == TABLE and status == "green"} == LEVELS
    assert set(verified.values()) == {"green"}


@pytest.mark.engines
@pytest.mark.nightly
def test_the_new_table_equals_the_ledger(home: Home, hour: truth.Hour, verified: Verdicts) -> None:
    setting = home.setting
    expected = truth.candles(truth.published(setting.places.data / "ledger").trades[hour], length_ms=1000)
    found = candles_of(truth.lake_of(setting), hour)
    print(f"  {len(expected)} candles of a second in {hour[0]}T{hour[1]}")
    assert expected, "the exchange published no trade: the test shows nothing"
    # The exchange's candle does not say how many trades it holds.
    assert found == {key: replace(candle, count=0) for key, candle in expected.items()}


def candles_of(lake: truth.Lake, hour: truth.Hour) -> dict[truth.Key, truth.Candle]:
    """The newest frame of each candle of an hour, by (code, start in ms)."""
    numbers = (
        *("opening_price", "high_price", "low_price", "trade_price"),
        *("candle_acc_trade_volume", "candle_acc_trade_price"),
    )
    columns = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in numbers)
    # Its last frame may be stamped after the hour, and so stand in the next one's partition.
    of_hour = f"candle_date_time_utc LIKE '{hour[0]}T{hour[1]}:%'"
    newest: dict[truth.Key, tuple[int, truth.Candle]] = {}
    for row in lake(f"SELECT code, candle_date_time_utc, timestamp, {columns} FROM {TABLE} WHERE {of_hour}"):
        start = datetime.fromisoformat(row["candle_date_time_utc"]).replace(tzinfo=UTC)
        key = row["code"], int(start.timestamp() * 1000)
        opening, high, low, closing, volume, value = (Decimal(row[name]) for name in numbers)
        shown = int(row["timestamp"]), truth.Candle(opening, high, low, closing, volume, value, 0)
        newest[key] = max(newest.get(key, shown), shown, key=lambda item: item[0])
    return {key: candle for key, (_, candle) in newest.items()}
