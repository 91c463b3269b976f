"""How a job is started again: never from void state, without losing sight of good state, whatever fails around it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from upbit_lake.contract.reader import load_contract
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.jobmanager import (
    CheckpointStatus,
    Cluster,
    FlinkRestError,
    FlinkUnreachableError,
    JobSummary,
)
from upbit_lake.jobs import ladder as restart_ladder
from upbit_lake.jobs import start
from upbit_lake.jobs.restore_points import RestorePoint
from upbit_lake.reconcile import jobs
from upbit_lake.state import job_runs
from upbit_lake.state.job_runs import JobRun
from upbit_lake.supervise.job_health import Verdict
from upbit_lake.supervise.jobs import Memory, observe_all

TOPICS, TABLES = {"upbit-trade": "new"}, {"trade": 100, "candle_1m": 100}
OLD = JobRun("a" * 32, "upbit trade", "first", "f", {"upbit-trade": "old"}, TABLES)
NEW = replace(OLD, job_id="b" * 32, topic_ids=TOPICS)
TRADE = load_contract().jobs["trade"]


@dataclass
class Flink:
    """The JobManager's answers."""

    listed: list[JobSummary] = field(default_factory=list)
    error: Exception | None = None

    def cluster(self) -> Cluster:
        return Cluster(2, 4, 1)

    def jobs(self) -> list[JobSummary]:
        return self.listed

    def checkpoints(self, jid: str) -> CheckpointStatus:  # noqa: ARG002 (as the client's)
        if self.error:
            raise self.error
        return CheckpointStatus(1, 0, None, None)

    def restarts(self, jid: str) -> int:  # noqa: ARG002 (as the client's)
        return 0


def engines(flink: Flink | None = None) -> Engines:
    return Engines(load_contract(), cast(Any, None), cast(Any, None), cast(Any, flink or Flink()), None, None, None)  # type: ignore[arg-type]


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> dict[str, RestorePoint]:
    """Job id → what it left to restore from."""
    left: dict[str, RestorePoint] = {}

    def of(_: Engines, ids: list[str]) -> list[RestorePoint]:
        return [left[jid] for jid in ids if jid in left]

    monkeypatch.setattr(jobs, "restore_points_of", of)
    monkeypatch.setattr(start, "restore_points_of", of)
    monkeypatch.setattr(jobs, "replay_from_ms", lambda *_: 77)
    return left


def rungs(*known: JobRun) -> list[restart_ladder.Rung]:
    return list(jobs.ladder(engines(), TRADE, known, restart_ladder.runs_on(known, TOPICS, TABLES)))


def test_a_renewed_job_that_died_before_its_first_checkpoint_begins_again(points: dict[str, RestorePoint]) -> None:
    points[OLD.job_id] = RestorePoint("checkpoint", "s3://flink/old/chk-9", 9.0, 9)
    [only] = rungs(NEW, OLD)
    assert only.recovery_path is None
    # Nor are the lake's offsets asked: most of them are the old topic's.
    assert only.startup.mode == "earliest-offset"


def test_state_of_the_present_topic_is_restored(points: dict[str, RestorePoint]) -> None:
    points[OLD.job_id] = RestorePoint("checkpoint", "s3://flink/old/chk-9", 9.0, 9)
    points[NEW.job_id] = RestorePoint("checkpoint", "s3://flink/new/chk-1", 8.0, 1)
    assert [rung.recovery_path for rung in rungs(NEW, OLD)] == ["s3://flink/new/chk-1", None]


def test_without_older_topics_the_lake_tells_from_where(points: dict[str, RestorePoint]) -> None:
    assert [rung.startup.timestamp_ms for rung in rungs(NEW)] == [77]


@pytest.mark.parametrize("leaves_state", [True, False])
def test_an_attempt_that_left_no_state_is_forgotten(
    points: dict[str, RestorePoint], monkeypatch: pytest.MonkeyPatch, leaves_state: bool
) -> None:
    forgotten = list[str]()

    def fails(*_: object) -> None:
        raise start.JobStartError("not running")

    monkeypatch.setattr(start, "submit", lambda *_: NEW.job_id)
    monkeypatch.setattr(start, "wait_running", fails)
    monkeypatch.setattr(job_runs, "forget", lambda _, jid: forgotten.append(jid))
    if leaves_state:
        points[NEW.job_id] = RestorePoint("checkpoint", "s3://flink/new/chk-1", 8.0, 1)
    with pytest.raises(start.JobStartError, match="not running"):
        start.start(engines(), TRADE, restart_ladder.first_start())
    assert forgotten == ([] if leaves_state else [NEW.job_id])


def test_a_failing_question_does_not_keep_a_cancelled_job_from_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError("the gateway is away")

    monkeypatch.setattr(jobs, "lake_session", fails)
    monkeypatch.setattr(jobs, "start", lambda *_: start.Started("b", "x"))
    started, lost = jobs.renew(engines(), TRADE, "x")
    assert started.job_id == "b"
    assert lost == ["trade: the hours that cannot be refilled are unknown (the gateway is away)"]


def test_a_job_writes_its_derived_tables_too() -> None:
    contract = load_contract()
    written = {name: start.written_tables(contract, job) for name, job in contract.jobs.items()}
    assert written == {
        "ticker": ["ticker"],
        "trade": ["trade", "candle_1m", "dead_letter"],
        "orderbook": ["orderbook"],
    }


def test_a_running_job_that_nobody_remembered_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = list[str]()
    monkeypatch.setattr(jobs, "runs", lambda *_: [OLD])
    monkeypatch.setattr(jobs, "remember", lambda _e, _j, jid, _s: remembered.append(jid))
    assert not jobs.adopt_unknown(engines(), TRADE, OLD.job_id)
    assert jobs.adopt_unknown(engines(), TRADE, NEW.job_id)
    assert remembered == [NEW.job_id]


def test_a_job_that_is_just_gone_does_not_end_the_look_at_the_others() -> None:
    job = JobSummary("j", "upbit trade", "RUNNING", 0, 6, 6)
    found = observe_all(engines(Flink([job], FlinkRestError("job j not found"))), Memory(), 1000.0)
    assert found["trade"].verdict is Verdict.WAITING
    assert set(found) == {"ticker", "trade", "orderbook"}
    with pytest.raises(FlinkUnreachableError):
        observe_all(engines(Flink([job], FlinkUnreachableError("away"))), Memory(), 1000.0)
