"""The one look on real engines: it says what supervision says, at once, whatever is away."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from local.home.places import REPOSITORY
from tests.harness.home import Home
from tests.harness.waiting import until
from tests.integration.control_plane import Sender, copied_contract, engines_of, now_ms, trade
from tests.twins.clock import HandClock
from upbit_lake.contract.model import Contract
from upbit_lake.contract.reader import load_contract
from upbit_lake.engines.clock import SYSTEM, Clock
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.session import lake_session
from upbit_lake.engines.lake.reader import ProcessReader
from upbit_lake.jobs.facts import live_jobs
from upbit_lake.jobs.stop import cancel_all
from upbit_lake.overview.gather import ask_lake, gather
from upbit_lake.overview.look import JobLook, Look, look
from upbit_lake.reconcile.buckets import reconcile_buckets
from upbit_lake.reconcile.jobs import reconcile_job
from upbit_lake.reconcile.tables import reconcile_database, reconcile_tables
from upbit_lake.reconcile.topics import reconcile_topics
from upbit_lake.state import alarms, supervision
from upbit_lake.state.leases import STREAMING_JOBS
from upbit_lake.supervise.jobs import supervise_jobs
from upbit_lake.supervise.memory import JobsMemory

pytestmark = pytest.mark.engines
NAME = "look"
FRESHNESS_S = 15
SCHEMA = json.loads((REPOSITORY / "docs" / "status.schema.json").read_text())


@dataclass
class Plane:
    """A control plane with its trade job running."""

    home: Home
    engines: Engines

    @property
    def contract(self) -> Contract:
        return self.engines.contract

    @property
    def job_id(self) -> str:
        (job,) = live_jobs(self.engines, self.contract.jobs["trade"])
        return job.jid

    def look(self, bound_s: float = 8.0, clock: Clock = SYSTEM) -> Look:
        database = self.home.task_environment["AIRFLOW_CONN_PIPELINE_DB"]
        return look(self.contract, gather(self.contract, self.engines.settings, database, bound_s, clock))

    def command(self, **environment: str) -> tuple[int, dict[str, Any], float]:
        """Exit code, document and seconds of `python -m upbit_lake status --json`, as a person in a container asks."""
        contract = {"PIPELINE_CONTRACT": str(self.contract.root / "pipeline.toml")}
        seen = {**self.home.task_environment, "PYTHONPATH": str(REPOSITORY / "plugins"), **contract, **environment}
        began = time.monotonic()
        command = [str(self.home.places.python("airflow")), "-m", "upbit_lake", "status", "--json"]
        done = subprocess.run(command, env=seen, capture_output=True, text=True, check=False)
        took = time.monotonic() - began
        assert done.returncode in (0, 3), done.stderr
        found = json.loads(done.stdout)
        jsonschema.Draft202012Validator(SCHEMA).validate(found)
        return done.returncode, found, took


@pytest.fixture(scope="module")
def plane(engines: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp(NAME)
    copied_contract(folder, NAME)
    path = folder / "pipeline.toml"
    path.write_text(re.sub(r"freshness_s = \d+", f"freshness_s = {FRESHNESS_S}", path.read_text(encoding="utf-8")))
    load_contract.cache_clear()
    made = engines_of(engines, load_contract(path))
    reconcile_buckets(made.s3, made.contract.buckets)
    reconcile_topics(made.kafka, made.contract.topics.values())
    with lake_session(made.gateway, made.contract, made.settings, NAME) as session:
        reconcile_database(session, made.contract)
        reconcile_tables(session, made.contract, made.settings, made.s3)
    plane = Plane(engines, made)
    reconcile_job(made, made.contract.jobs["trade"])
    yield plane
    cancel_all(made, live_jobs(made, made.contract.jobs["trade"]))
    made.db.close()


def of_trade(seen: Look) -> JobLook:
    return next(job for job in seen.jobs if job.job == f"{NAME} trade")


def test_the_lakes_freshness_is_what_its_rows_say(plane: Plane) -> None:
    """The statistics that Flink writes beside the files, against the rows themselves."""
    sender, newest = Sender(plane.home), now_ms()
    for number in range(30):
        code = f"KRW-T{number % 3}"
        sender.send(f"{NAME}-trade", code, trade(code, number, newest - number))
    sender.flush()
    reader = ProcessReader.connect(plane.contract, plane.engines.settings)
    count = "SELECT count(*) AS n, max(trade_timestamp) AS newest FROM trade"
    until("the trades are in the lake", lambda: reader.rows(count)[0]["n"] == 30, 120)
    hour = datetime.fromtimestamp(newest / 1000, UTC)
    fresh = ask_lake(plane.contract, reader, hour, 60)["trade"]
    assert fresh.newest_event_ms == reader.rows(count)[0]["newest"] == newest
    assert fresh.hour_rows == 30
    assert fresh.written_at is not None
    assert abs(time.time() - fresh.written_at.timestamp()) < 60
    until("the job has committed what it read", lambda: _stream(plane).lag == 0, 60)
    assert sum(_stream(plane).kafka_end_offsets.values()) == 30


def _stream(plane: Plane) -> Any:
    return next(stream for stream in plane.look().streams if stream.stream == "trade")


def test_what_supervision_saw_is_known_to_the_look(plane: Plane) -> None:
    seen = JobsMemory(answering_since=1.0).to_json()
    supervision.save(plane.engines.db, STREAMING_JOBS, {"jobs": {}})
    supervision.save(plane.engines.db, STREAMING_JOBS, seen)
    assert supervision.last(plane.engines.db)[STREAMING_JOBS] == seen


def test_a_warm_look_of_everything(plane: Plane) -> None:
    plane.command()
    code, found, took = plane.command()
    print(f"a warm look took {took:.1f} s; its engines: {found['engines']}")
    assert code == 3, "two jobs of the contract do not run"
    assert [engine for engine in found["engines"] if not engine["answers"]] == []
    conditions = {job["job"]: job["condition"] for job in found["jobs"]}
    assert conditions[f"{NAME} trade"] == "healthy"
    assert conditions[f"{NAME} ticker"] != "healthy"


def test_two_engines_that_are_away_are_named_within_ten_seconds(plane: Plane) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{probe.getsockname()[1]}"
    code, found, took = plane.command(KAFKA_BOOTSTRAP_SERVERS=closed, FLINK_REST_URL=f"http://{closed}")
    print(f"a look with two engines away took {took:.1f} s")
    assert code == 3
    assert [engine["engine"] for engine in found["engines"] if not engine["answers"]] == ["kafka", "flink"]
    assert took < 10
    assert all(stream["last_event_age_s"] is not None for stream in found["streams"] if stream["stream"] == "trade")


def test_a_job_that_runs_with_stalled_checkpoints_is_unhealthy_to_both(plane: Plane) -> None:
    """The store hangs: no checkpoint completes, and Flink says RUNNING of the job and of each of its tasks."""
    flink, job_id = plane.engines.flink, plane.job_id
    until("checkpoints complete", lambda: flink.checkpoints(job_id).completed >= 2, 60)
    assert of_trade(plane.look()).condition == "healthy"
    with plane.home.paused("s3"):
        seen = until("the look says it", lambda: (found := _unhealthy(plane)) and found, 60, every_s=0.5)
        latest = flink.checkpoints(job_id).latest
        assert latest is not None
        assert seen is not None
        assert seen < latest.completed_ms / 1000 + FRESHNESS_S + 10

        now = time.time()
        shown = of_trade(plane.look(clock=HandClock(now)))
        outcome = _supervise(plane, now)
        print(f"unhealthy {seen - latest.completed_ms / 1000:.1f} s after the last checkpoint; both: {shown.reason}")
        assert (shown.state, shown.condition) == ("RUNNING", "unhealthy")
        assert shown.tasks_running is not None
        running, total = shown.tasks_running.split("/")
        assert running == total
        assert shown.reason is not None
        assert re.fullmatch(
            rf"RUNNING, {total} of {total} tasks running, last checkpoint \d+ s ago, bound {FRESHNESS_S} s",
            shown.reason,
        )
        assert outcome.startswith(f"{shown.reason}; 0 restarts within ")

        code, found, took = plane.command()
        print(f"a look at a store that hangs took {took:.1f} s")
        assert (code, took < 10) == (3, True)
        assert [engine["engine"] for engine in found["engines"] if not engine["answers"]] == ["lake"]
        assert {job["job"]: job["condition"] for job in found["jobs"]}[f"{NAME} trade"] == "unhealthy"
    until("the job recovers with its store", lambda: of_trade(plane.look()).condition == "healthy", 180)


def _unhealthy(plane: Plane) -> float | None:
    """When the look first calls the trade job unhealthy (epoch seconds)."""
    return time.time() if of_trade(plane.look(bound_s=2)).condition == "unhealthy" else None


def _supervise(plane: Plane, now: float) -> str:
    """The outcome of a supervising run that may restart nothing."""
    only = {"trade": plane.contract.jobs["trade"]}
    budget = replace(plane.contract.budgets["job"], restarts=0)
    engines = replace(plane.engines, contract=replace(plane.contract, jobs=only, budgets={"job": budget}))
    try:
        outcome = supervise_jobs(engines, JobsMemory(), lambda: nullcontext(""), HandClock(now), watch_s=0)["trade"]
    finally:
        alarms.close_alarm(engines.db, "job trade")
    assert outcome.failed
    return outcome.text
