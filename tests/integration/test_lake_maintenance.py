"""Hours on real engines: closed and compacted while a job streams, expired, verified; every planted fault is named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.harness.home import Home
from tests.harness.waiting import until
from tests.integration.control_plane import Sender, copied_contract, engines_of, trade
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.session import BATCH, lake_session
from upbit_lake.engines.lake.files import latest_snapshot
from upbit_lake.engines.lake.reader import LakeReader
from upbit_lake.engines.postgres import connect
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.progress import read_lake
from upbit_lake.jobs.facts import live_jobs
from upbit_lake.jobs.stop import cancel_all
from upbit_lake.maintain.compaction import close_hours
from upbit_lake.maintain.plan import Closing, plan_closing
from upbit_lake.reconcile.buckets import reconcile_buckets
from upbit_lake.reconcile.jobs import reconcile_job
from upbit_lake.reconcile.tables import reconcile_database, reconcile_tables
from upbit_lake.reconcile.topics import reconcile_topics
from upbit_lake.state.hours import closed
from upbit_lake.state.verdicts import HourVerdict, Level, Status
from upbit_lake.tasks import compact
from upbit_lake.verify.run import Verification, red_reasons

pytestmark = pytest.mark.engines
NAME = "lkm"
PATIENCE_S = 90.0
CODES = [f"KRW-M{number}" for number in range(12)]  # enough for each of the three partitions
# Each is a commit of its own: two hours of two buckets get a file each, more than 100 in all.
BURSTS = 26


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Lake:
    """A lake with two whole hours and the beginning of a third. `sent`: (code, id) → trade."""

    engines: Engines
    first: Hour
    sent: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    @property
    def reader(self) -> LakeReader:
        return self.engines.lake

    @property
    def second(self) -> Hour:
        return self.first.shifted(1)

    def send(self, sender: Sender, burst: int) -> None:
        """Some trades of each code in both hours; the last burst also speaks past their end and grace."""
        moments = [hour.start_ms + burst * 130_000 + 7 for hour in (self.first, self.second)]
        if burst == BURSTS - 1:
            moments.append(self.second.end_ms + 200_000)
        for code in CODES:
            for moment in moments:
                # Two trades in one millisecond: the higher id comes first, and still closes the minute.
                for step in (1, 0):
                    number = moment * 10 + step
                    price = 100 + burst + step
                    value = trade(code, number, moment, trade_price=price, trade_volume=1e-8 * (number % 97 + 1))
                    self.sent[(code, number)] = value
                    sender.send(f"{NAME}-trade", code, value)
        sender.flush()
        until("the burst is committed", lambda: self.physical_rows() == len(self.sent), PATIENCE_S, every_s=0.2)

    def physical_rows(self) -> int:
        found = latest_snapshot(self.engines.s3, self.engines.contract.lake, "trade")
        return found.records if found else 0

    def count(self) -> int:
        return int(self.reader.rows("SELECT count(*) AS n FROM trade")[0]["n"])

    def plan(self) -> Closing:
        state = read_lake(self.engines, now())
        return plan_closing(self.engines.contract, state, closed(self.engines.db))

    def verify(self, hour: Hour | None = None) -> list[HourVerdict]:
        return Verification(self.engines).run(now(), hour)

    def flink(self, *statements: str) -> None:
        engines = self.engines
        with lake_session(engines.gateway, engines.contract, engines.settings, "planted", BATCH) as session:
            for statement in statements:
                session.run(statement.replace("{db}", f"lake.{NAME}"), 120)


@pytest.fixture(scope="module")
def lake(engines: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    made = engines_of(engines, copied_contract(tmp_path_factory.mktemp(NAME), NAME, interval_s=1))
    reconcile_buckets(made.s3, made.contract.buckets)
    reconcile_topics(made.kafka, made.contract.topics.values())
    with lake_session(made.gateway, made.contract, made.settings, NAME) as session:
        reconcile_database(session, made.contract)
        reconcile_tables(session, made.contract, made.settings, made.s3)
    # The engines are the session's: whatever another lake left behind is not ours.
    with connect(engines.task_environment["AIRFLOW_CONN_PIPELINE_DB"]) as db:
        db.execute("TRUNCATE hour_state, verdict, coverage_window, coverage_gap, maintenance_run")
    lake = Lake(made, Hour.of(now() - timedelta(hours=6)))
    reconcile_job(made, made.contract.jobs["trade"])
    sender = Sender(engines)
    for burst in range(BURSTS):
        lake.send(sender, burst)
    yield lake
    for job in made.contract.jobs.values():
        cancel_all(made, live_jobs(made, job))
    made.db.close()


def files(lake: Lake, hour: Hour) -> list[dict[str, Any]]:
    place = f"{{{hour.dt}, {hour.hh}}}"
    return lake.reader.rows(f"""SELECT bucket, level FROM "trade$files" WHERE "partition" = '{place}'""")


def expected_candles(lake: Lake, hour: Hour) -> dict[tuple[str, int], tuple[Any, ...]]:
    minutes: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for (code, _), item in lake.sent.items():
        if Hour.of_ms(item["trade_timestamp"]) == hour:
            minutes.setdefault((code, item["trade_timestamp"] // 60_000), []).append(item)
    found = {}
    for key, trades in minutes.items():
        ordered = sorted(trades, key=lambda item: (item["trade_timestamp"], item["sequential_id"]))
        prices = [Decimal(item["trade_price"]) for item in ordered]
        volumes = [Decimal(str(item["trade_volume"])).quantize(Decimal("1e-8")) for item in ordered]
        value = sum((price * volume for price, volume in zip(prices, volumes, strict=True)), Decimal(0))
        found[key] = (prices[0], max(prices), min(prices), prices[-1], sum(volumes), value, len(ordered), 1)
    return found


def test_only_closed_hours_are_closed_once_and_the_job_streams_on(lake: Lake) -> None:
    before = {hour: files(lake, hour) for hour in (lake.first, lake.second)}
    assert sum(map(len, before.values())) >= 100
    trades = lake.reader.rows("SELECT * FROM trade ORDER BY code, sequential_id")
    (job,) = live_jobs(lake.engines, lake.engines.contract.jobs["trade"])

    closing = lake.plan()
    assert sorted(closing.compact["trade"]) == [lake.first, lake.second]
    assert close_hours(lake.engines, closing, now())

    for hour in (lake.first, lake.second):
        found = files(lake, hour)
        # Far below the target size: one file in each of the two buckets.
        assert sorted(item["bucket"] for item in found) == [0, 1]
        assert all(item["level"] > 0 for item in found)
    assert lake.reader.rows("SELECT * FROM trade ORDER BY code, sequential_id") == trades
    assert live_jobs(lake.engines, lake.engines.contract.jobs["trade"])[0].jid == job.jid
    assert lake.engines.flink.restarts(job.jid) == 0
    assert not lake.plan(), "a second run must have nothing to do"


def test_candles_of_closed_hours_are_exact(lake: Lake) -> None:
    for hour in (lake.first, lake.second):
        stored = lake.reader.rows(f"SELECT * FROM candle_1m WHERE dt = '{hour.dt}' AND hh = '{hour.hh}'")
        found = {
            (row["code"], int(row["candle_start"].replace(tzinfo=UTC).timestamp()) // 60): (
                row["opening_price"],
                row["high_price"],
                row["low_price"],
                row["closing_price"],
                row["acc_trade_volume"],
                row["acc_trade_price"],
                row["trade_count"],
                row["revision"],
            )
            for row in stored
        }
        assert found == expected_candles(lake, hour)


def test_snapshots_expire_by_the_dag_s_parameter(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the task `expire` does, on this lake's engines; the first run of a day cleans up, too."""
    monkeypatch.setattr(compact, "open_engines", lambda: nullcontext(lake.engines))
    query = 'SELECT count(*) AS n FROM "trade$snapshots"'
    many = lake.reader.rows(query)[0]["n"]
    assert many >= BURSTS
    outcome = compact.expire("")
    assert "snapshots older than" not in outcome, "the contract keeps them for a day"
    assert "orphan files removed" in outcome
    assert compact.expire("1h") == "nothing to do"
    assert "trade: " in compact.expire("0s")
    # The newest stays, and what was committed in that very second.
    assert lake.reader.rows(query)[0]["n"] <= 3
    assert lake.count() == len(lake.sent)


def test_intact_hours_are_not_red(lake: Lake) -> None:
    verdicts = lake.verify()
    found = {(v.level, v.table, v.hour): v for v in verdicts}
    assert red_reasons(verdicts) is None
    for level, table in ((Level.STRUCTURAL, "trade"), (Level.STRUCTURAL, "candle_1m"), (Level.COVERAGE, "trade")):
        # The source began in the first hour.
        assert found[(level, table, lake.first)].status is Status.PARTIAL, found[(level, table, lake.first)].reason
        assert found[(level, table, lake.second)].status is Status.GREEN, found[(level, table, lake.second)].reason
    assert lake.verify() == [], "nothing changed, nothing to verify"


def test_a_bad_record_ends_in_dead_letter_with_its_bytes(lake: Lake, engines: Home) -> None:
    bad = {b'{"broken': "not valid JSON", b"\xff\xfe": "not valid UTF-8", b'{"code":"KRW-M0"}': "is missing or null"}
    sender = Sender(engines)
    for value in bad:
        sender.send(f"{NAME}-trade", "KRW-M0", value)
    # A SNAPSHOT is left out on purpose, a replayed trade replaces itself: neither is a loss.
    (code, number), again = next(iter(lake.sent.items()))
    sender.send(f"{NAME}-trade", code, {**again, "sequential_id": number + 5, "stream_type": "SNAPSHOT"})
    sender.send(f"{NAME}-trade", code, again)
    sender.flush()

    def audited() -> bool:
        assert red_reasons(lake.verify()) is None
        return len(lake.reader.rows(f"SELECT reason FROM dead_letter WHERE topic = '{NAME}-trade'")) == len(bad)

    until("the bad records are dead letters", audited, PATIENCE_S)
    stored = lake.reader.rows("SELECT topic, payload, reason, record_key FROM dead_letter")
    assert {row["payload"] for row in stored} == set(bad)
    assert all(bad[row["payload"]] in row["reason"] and row["record_key"] == "KRW-M0" for row in stored)


def reds(lake: Lake, hour: Hour) -> str:
    return red_reasons(lake.verify(hour), named=20) or ""


def test_a_key_in_two_hours_is_red(lake: Lake) -> None:
    code, number = next(key for key, item in lake.sent.items() if Hour.of_ms(item["trade_timestamp"]) == lake.first)
    columns = [row["column_name"] for row in lake.reader.rows("DESCRIBE trade")]
    names = ", ".join(f"`{name}`" for name in columns)
    # Both of dt and hh: the two hours may lie on either side of midnight.
    place = {"dt": f"'{lake.second.dt}'", "hh": f"'{lake.second.hh}'"}
    chosen = ", ".join(place.get(name, f"`{name}`") for name in columns)
    where = f"`code` = '{code}' AND sequential_id = {number}"
    lake.flink(f"INSERT INTO {{db}}.trade ({names}) SELECT {chosen} FROM {{db}}.trade WHERE {where}")
    assert f"trade {lake.second}: 1 keys with a time of another hour: {code} {number}" in reds(lake, lake.second)
    assert f"keys that stand in another hour too: {code} {number} {lake.second}" in reds(lake, lake.first)
    lake.flink(f"DELETE FROM {{db}}.trade WHERE {where} AND dt = {place['dt']} AND hh = {place['hh']}")
    assert reds(lake, lake.second) == ""


def test_a_candle_that_differs_from_its_trades_is_red(lake: Lake) -> None:
    columns = [row["column_name"] for row in lake.reader.rows("DESCRIBE candle_1m")]
    changed = {"low_price": "CAST(low_price - 0.00000001 AS DECIMAL(17, 8))", "revision": "2"}
    chosen = ", ".join(changed.get(name, f"`{name}`") for name in columns)
    place = f"dt = '{lake.first.dt}' AND hh = '{lake.first.hh}' AND `code` = 'KRW-M1'"
    close_hours(lake.engines, lake.plan(), now())
    lake.flink(f"INSERT INTO {{db}}.candle_1m SELECT {chosen} FROM {{db}}.candle_1m WHERE {place}")
    reason = reds(lake, lake.first)
    assert f"candle_1m {lake.first}: {BURSTS} rows that differ from trade: KRW-M1 {lake.first}:00 low_price" in reason


def test_a_missing_row_is_red_and_named(lake: Lake, engines: Home) -> None:
    code, number = next(key for key, item in lake.sent.items() if Hour.of_ms(item["trade_timestamp"]) == lake.second)
    lake.flink(f"DELETE FROM {{db}}.trade WHERE `code` = '{code}' AND sequential_id = {number}")
    assert f"trade {lake.second}: 1 records are missing in the lake: {code} {number}" in reds(lake, lake.second)
    # The replayed record heals it.
    sender = Sender(engines)
    sender.send(f"{NAME}-trade", code, lake.sent[(code, number)])
    sender.flush()
    until("the row is back", lambda: lake.count() == len(lake.sent), PATIENCE_S)
    assert "missing" not in reds(lake, lake.second)


def test_every_query_of_the_analyst_runs(lake: Lake) -> None:
    newest = lake.reader.rows('SELECT max(snapshot_id) AS id FROM "trade$snapshots"')[0]["id"]
    paths = sorted((lake.engines.contract.root / "sql" / "queries").glob("*.sql"))
    assert len(paths) >= 8
    for path in paths:
        text = path.read_text(encoding="utf-8").replace("VERSION AS OF 1", f"VERSION AS OF {newest}")
        found = lake.reader.rows(text)
        # This lake has no books.
        assert found or path.name == "spread_and_depth.sql", path.name
    [count] = lake.reader.rows(f"SELECT count(*) AS n FROM trade VERSION AS OF {newest}")
    assert count["n"] == len(lake.sent)


def test_the_lake_is_read_from_outside(lake: Lake) -> None:
    path = lake.engines.contract.root / "sql" / "queries" / "read_lake.py"
    text = path.read_text(encoding="utf-8").replace("lake.upbit.", f"lake.{NAME}.")
    settings = lake.engines.settings
    environment = {
        **os.environ,
        "S3_ENDPOINT": settings.s3.endpoint,
        "S3_ACCESS_KEY": settings.s3.access_key,
        "S3_SECRET_KEY": settings.s3.secret_key,
    }
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "{'code': 'KRW-M" in done.stdout
