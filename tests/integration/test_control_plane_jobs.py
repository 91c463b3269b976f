"""Streaming jobs on real engines: what reaches the lake, and how a job comes back without losing or doubling a row."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
import requests

from tests.harness.home import Home
from tests.harness.waiting import until
from tests.integration.control_plane import (
    Sender,
    copied_contract,
    engines_of,
    fresh_clients,
    now_ms,
    rows,
    s3_client,
    trade,
)
from tests.twins.clock import HandClock
from upbit_lake.contract.model import Job
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.session import STREAMING, lake_session
from upbit_lake.engines.lake.files import latest_snapshot
from upbit_lake.engines.s3 import bucket_and_prefix
from upbit_lake.hours.stored import newest_file_event_ms
from upbit_lake.jobs import start
from upbit_lake.jobs.facts import gather, live_jobs, remembered_runs
from upbit_lake.jobs.identity import streams_of
from upbit_lake.jobs.replay_point import replay_from_ms
from upbit_lake.jobs.stop import cancel_all
from upbit_lake.reconcile.buckets import reconcile_buckets
from upbit_lake.reconcile.jobs import reconcile_job
from upbit_lake.reconcile.outcome import CREATED, UNCHANGED, State
from upbit_lake.reconcile.tables import reconcile_database, reconcile_tables
from upbit_lake.reconcile.topics import reconcile_topics
from upbit_lake.state import alarms
from upbit_lake.supervise.jobs import supervise_jobs
from upbit_lake.supervise.memory import JobsMemory

pytestmark = pytest.mark.engines
NAME = "cpj"
PATIENCE_S = 180.0


@dataclass
class Plane:
    """A lake of this module's own with its trade job. `ids`: every sequential_id sent so far."""

    engines: Engines
    sender: Sender
    ids: list[int]

    @property
    def job(self) -> Job:
        return self.engines.contract.jobs["trade"]

    def send_trades(self, count: int) -> None:
        for _ in range(count):
            self.ids.append(len(self.ids) + 1)
            # Three codes, so that more than one partition of the topic is used.
            code = f"KRW-T{self.ids[-1] % 3}"
            self.sender.send(f"{NAME}-trade", code, trade(code, self.ids[-1], now_ms()))
        self.sender.flush()

    def stored(self) -> list[int]:
        return [row["id"] for row in rows(self.engines, "SELECT sequential_id AS id FROM {db}.trade ORDER BY 1")]

    def wait_stored(self) -> None:
        """Until the lake holds every trade that was sent, each once."""

        def enough() -> bool:
            snapshot = latest_snapshot(self.engines.s3, self.engines.contract.lake, "trade")
            return snapshot is not None and snapshot.records >= len(self.ids) and self.stored() == self.ids

        until("all trades are in the lake", enough, PATIENCE_S)

    def live(self) -> str:
        (job,) = live_jobs(self.engines, self.job)
        return job.jid

    def cancel(self) -> None:
        cancel_all(self.engines, live_jobs(self.engines, self.job))


@pytest.fixture(scope="module")
def plane(engines: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    made = engines_of(engines, copied_contract(tmp_path_factory.mktemp(NAME), NAME))
    reconcile_buckets(made.s3, made.contract.buckets)
    reconcile_topics(made.kafka, made.contract.topics.values())
    with lake_session(made.gateway, made.contract, made.settings, NAME) as session:
        reconcile_database(session, made.contract)
        reconcile_tables(session, made.contract, made.settings, made.s3)
    plane = Plane(made, Sender(engines), [])
    yield plane
    for job in made.contract.jobs.values():
        cancel_all(made, live_jobs(made, job))
    made.db.close()


def test_a_job_is_started_once(plane: Plane) -> None:
    assert str(reconcile_job(plane.engines, plane.job)).startswith("created: job ")
    first = plane.live()
    assert reconcile_job(plane.engines, plane.job) == UNCHANGED
    assert plane.live() == first
    assert remembered_runs(plane.engines, plane.job)[0].job_id == first
    plane.send_trades(30)
    plane.wait_stored()


def test_no_login_is_on_a_page_of_flinks_or_in_a_log(plane: Plane, engines: Home) -> None:
    url, job = plane.engines.settings.flink_rest_url, plane.live()
    workers = [worker["id"] for worker in requests.get(f"{url}/taskmanagers", timeout=10).json()["taskmanagers"]]
    of_job = [f"jobs/{job}", f"jobs/{job}/config", f"jobs/{job}/plan", f"jobs/{job}/exceptions"]
    pages = ["config", "jobmanager/config", "jobmanager/environment", *of_job, *(f"taskmanagers/{w}" for w in workers)]
    texts = {page: requests.get(f"{url}/{page}", timeout=10).text for page in pages}
    assert job in texts[of_job[0]]
    assert "java.security.auth.login.config" in texts["jobmanager/environment"]
    logs = [path for path in engines.places.logs.rglob("*") if path.is_file()]
    texts |= {str(path): path.read_text(encoding="utf-8", errors="replace") for path in logs}
    assert any("gateway" in name for name in texts)
    passwords = [value for name, value in asdict(engines.setting.credentials).items() if name.endswith("_password")]
    assert not [name for name, text in texts.items() if any(password in text for password in passwords)]


def test_what_reaches_the_lake(plane: Plane) -> None:
    """Exact numbers, `market` for `code`, no headers, no SNAPSHOT, no broken record; dead letters with their bytes."""
    event, topic = now_ms() - 60_000, f"{NAME}-trade"
    exact = b'{"code":"KRW-X","trade_timestamp":%d,"trade_price":1.16539E8,"trade_volume":6E-8,"ask_bid":"BID",'
    exact += b'"sequential_id":17000000000000007,"stream_type":"REALTIME"}'
    plane.sender.send(topic, "KRW-X", exact % event)
    by_market = trade("", 17000000000000008, event)
    del by_market["code"]
    plane.sender.send(topic, "KRW-X", by_market | {"market": "KRW-X"}, headers={})
    plane.sender.send(topic, "KRW-X", trade("KRW-X", 17000000000000009, event, stream_type="SNAPSHOT"))
    plane.sender.send(topic, "KRW-X", trade("KRW-X", 17000000000000010, event, trade_price=None))
    plane.sender.send(topic, "KRW-X", trade("KRW-X", 17000000000000011, 9 * 10**30))
    plane.sender.send(topic, "KRW-X", b'{"broken')
    bad = b"\xff\xfe{bad"
    plane.sender.send(f"{NAME}-dead-letter", "unknown", bad, {"reason": "not UTF-8 é".encode()})
    origin = {"origin_topic": topic.encode(), "origin_partition": b"1", "origin_offset": b"77"}
    for _ in range(2):
        plane.sender.send(f"{NAME}-dead-letter", "KRW-X", b"bad2", {**origin, "origin_timestamp": str(event).encode()})
    plane.sender.flush()

    query = "SELECT * FROM {db}.trade WHERE `code` = 'KRW-X' ORDER BY sequential_id"
    first, second = until("both trades", lambda: (found := rows(plane.engines, query))[1:] and found, PATIENCE_S)
    assert (first["sequential_id"], second["sequential_id"]) == (17000000000000007, 17000000000000008)
    assert Decimal(first["trade_price"]) == Decimal("116539000")
    assert Decimal(first["trade_volume"]) == Decimal("0.00000006")
    assert (first["source"], second["source"]) == ("ws", "unknown")
    assert second["received_at"]

    query = "SELECT * FROM {db}.candle_1m WHERE `code` = 'KRW-X'"
    (candle,) = until("the candle", lambda: rows(plane.engines, query), PATIENCE_S)
    assert Decimal(candle["acc_trade_price"]) == Decimal("116539000") * Decimal("0.00000006") + 50
    assert (candle["trade_count"], candle["revision"]) == (2, 0)
    assert Decimal(candle["opening_price"]) == Decimal("116539000")
    assert Decimal(candle["closing_price"]) == Decimal("100")

    query = "SELECT * FROM {db}.dead_letter ORDER BY topic"
    own, placed = until("both dead letters", lambda: (found := rows(plane.engines, query))[1:] and found, PATIENCE_S)
    assert base64.b64decode(own["payload"]) == bad
    assert (own["topic"], own["reason"]) == (f"{NAME}-dead-letter", "not UTF-8 é")
    assert (placed["topic"], placed["partition"], placed["offset"]) == (topic, 1, 77)
    plane.ids.extend([17000000000000007, 17000000000000008])


def restored_from(plane: Plane) -> str | None:
    return plane.engines.flink.checkpoints(plane.live()).restored_path


def send_more(plane: Plane, count: int) -> None:
    """More trades with ids below the two long ones, so that the expected list stays sorted."""
    short = [number for number in plane.ids if number < 10**6]
    plane.ids[:] = short
    plane.send_trades(count)
    plane.ids.extend([17000000000000007, 17000000000000008])


def test_a_cancelled_job_resumes_from_its_newest_checkpoint(plane: Plane) -> None:
    cancelled = plane.live()
    plane.cancel()
    send_more(plane, 20)
    outcome = str(reconcile_job(plane.engines, plane.job))
    assert outcome.startswith("repaired: no job runs; ")
    assert f"checkpoint s3://flink/checkpoints/{cancelled}/chk-" in outcome
    assert cancelled in (restored_from(plane) or "")
    plane.wait_stored()


def test_changed_sql_is_replaced_from_a_savepoint(plane: Plane) -> None:
    path = plane.engines.contract.root / plane.job.sql
    path.write_text(path.read_text(encoding="utf-8") + "\n-- a change\n", encoding="utf-8")
    send_more(plane, 10)
    outcome = str(reconcile_job(plane.engines, plane.job))
    assert outcome.startswith("repaired: its SQL or settings changed; ")
    assert "savepoint s3://flink/savepoints/savepoint-" in outcome
    plane.wait_stored()


def test_without_any_checkpoint_the_job_replays_from_where_the_lake_ends(plane: Plane) -> None:
    plane.cancel()
    delete_restore_points(plane)
    send_more(plane, 10)
    outcome = str(reconcile_job(plane.engines, plane.job))
    assert "Kafka time " in outcome
    assert "before the lake's last commit" in outcome
    assert restored_from(plane) is None
    plane.wait_stored()


def test_a_lost_job_is_resubmitted_while_no_slot_is_free_for_a_batch_query(plane: Plane) -> None:
    plane.cancel()
    delete_restore_points(plane)
    send_more(plane, 10)
    flink, [stream] = plane.engines.flink, streams_of(plane.engines.contract, plane.job)
    with ThreadPoolExecutor(max_workers=1) as pool, occupied(plane.engines) as last_slot:
        assert flink.cluster().slots_available == 0
        assert replay_from_ms(plane.engines, stream) is not None
        # Files that Flink wrote carry what makes the question a small one.
        assert newest_file_event_ms(plane.engines.lake, plane.engines.contract, stream) is not None
        resumed = pool.submit(reconcile_job, plane.engines, plane.job)
        # The only slot that becomes free is the job's own.
        flink.cancel(last_slot)
        outcome = str(resumed.result())
    assert "before the lake's last commit" in outcome
    assert not {"replay point", "lost hours"} & {item.name for item in flink.jobs()}
    plane.wait_stored()


@contextmanager
def occupied(engines: Engines) -> Iterator[str]:
    """Every free slot is taken by jobs that do nothing; gives the Flink id of one that has a single slot."""
    held = list[str]()

    def take(slots: int) -> None:
        properties = {**STREAMING, "parallelism.default": str(slots), "pipeline.name": "slots taken by a test"}
        with lake_session(engines.gateway, engines.contract, engines.settings, NAME, properties) as session:
            session.run(
                "CREATE TEMPORARY TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1')"
            )
            session.run("CREATE TEMPORARY TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole')")
            held.append(session.run("INSERT INTO nowhere SELECT n FROM numbers").job_id or "")
        start.wait_running(engines, held[-1])

    try:
        until("a slot is free", lambda: engines.flink.cluster().slots_available, 60)
        take(1)
        if rest := engines.flink.cluster().slots_available:
            take(rest)
        yield held[0]
    finally:
        cancel_all(engines, [item for item in engines.flink.jobs() if item.jid in held and not item.final])


def delete_restore_points(plane: Plane) -> None:
    checkpoints, client = plane.engines.contract.checkpoints, s3_client(plane.engines.settings)
    ids = {run.job_id for run in remembered_runs(plane.engines, plane.job)}
    for url in (checkpoints.directory, checkpoints.savepoint_directory):
        bucket, prefix = bucket_and_prefix(url)
        for item in list(plane.engines.s3.objects(bucket, prefix)):
            if any(jid in item.key or f"savepoint-{jid[:6]}" in item.key for jid in ids):
                client.delete_object(Bucket=bucket, Key=item.key)


def test_a_job_that_runs_twice_keeps_its_oldest_run(plane: Plane) -> None:
    from upbit_lake.jobs import ladder

    kept = plane.live()
    start.submit(plane.engines, gather(plane.engines, plane.job), ladder.first_start()[0])
    assert len(live_jobs(plane.engines, plane.job)) == 2
    assert reconcile_job(plane.engines, plane.job).state in (State.UNCHANGED, State.REPAIRED)
    assert plane.live() == kept


def test_a_derived_table_that_was_recreated_renews_the_job(plane: Plane) -> None:
    contract, settings = plane.engines.contract, plane.engines.settings
    with lake_session(plane.engines.gateway, contract, settings, NAME) as session:
        session.run(f"DROP TABLE lake.{NAME}.candle_1m")
        assert reconcile_tables(session, contract, settings, plane.engines.s3)["candle_1m"] == CREATED
    outcome = str(reconcile_job(plane.engines, plane.job))
    assert "repaired: table candle_1m was recreated" in outcome
    assert "the earliest retained record, without state" in outcome
    assert reconcile_job(plane.engines, plane.job) == UNCHANGED

    query = "SELECT SUM(trade_count) AS n FROM {db}.candle_1m"
    until("all candles are back", lambda: rows(plane.engines, query)[0]["n"] == len(plane.ids), PATIENCE_S)
    plane.wait_stored()


def test_a_topic_that_was_recreated_renews_the_job_and_names_the_lost_hours(plane: Plane, engines: Home) -> None:
    topic = f"{NAME}-trade"
    engines.kafka_admin.delete_topics([topic])[topic].result()
    contract = plane.engines.contract

    def recreated() -> Any:
        plane.engines = fresh_clients(plane.engines, contract)
        return reconcile_topics(plane.engines.kafka, contract.topics.values())[topic] == CREATED

    until("the topic is created again", recreated, 30)
    before = plane.live()
    plane.sender = Sender(engines)
    send_more(plane, 6)
    outcome = str(reconcile_job(plane.engines, plane.job))
    assert f"topic {topic} was recreated" in outcome
    assert "the earliest retained record, without state" in outcome
    assert "trade: these hours cannot be refilled from Kafka: " in outcome
    assert plane.live() != before
    plane.wait_stored()
    assert reconcile_job(plane.engines, plane.job) == UNCHANGED


def test_a_job_that_cannot_start_exhausts_its_budget_with_one_alarm(plane: Plane) -> None:
    contract = plane.engines.contract
    only = replace(contract, jobs={"trade": plane.job}, budgets={"job": replace(contract.budgets["job"], restarts=2)})
    engines = replace(plane.engines, contract=only)
    path = contract.root / plane.job.sql
    good = path.read_text(encoding="utf-8")
    plane.cancel()
    path.write_text("INSERT INTO lake.nowhere.nothing SELECT * FROM kafka_trade;", encoding="utf-8")
    memory, clock = JobsMemory(), HandClock(1_000_000.0)

    def free() -> AbstractContextManager[str]:
        return nullcontext("")

    texts = []
    for _ in range(4):
        clock.time += 120
        outcome = supervise_jobs(engines, memory, free, clock)["trade"]
        assert outcome.failed
        texts.append(outcome.text)
    assert "restart 1 of 2 failed" in texts[0]
    assert "restart 2 of 2 failed" in texts[1]
    assert "the budget is used up" in texts[2]
    assert [row["subject"] for row in alarms.open_alarms(engines.db)].count("job trade") == 1

    path.write_text(good, encoding="utf-8")
    assert reconcile_job(plane.engines, plane.job).state is State.REPAIRED
    healed = replace(engines, contract=replace(only, jobs={"trade": plane.job}))
    healthy = supervise_jobs(healed, JobsMemory(), free)["trade"]
    assert healthy.text.startswith("healthy: ")
    assert "job trade" not in [row["subject"] for row in alarms.open_alarms(engines.db)]
    plane.wait_stored()
