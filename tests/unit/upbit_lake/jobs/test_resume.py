"""How a job is started again: never from void state, without losing sight of good state, whatever fails around it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.twins.engines import twin_engines
from tests.twins.flink import GatewayTwin
from tests.twins.lake import LakeTwin, Rows
from tests.unit.upbit_lake.jobs.job_facts import NEW, OLD, TRADE, facts
from upbit_lake.engines.flink.gateway import GatewayUnreachableError
from upbit_lake.engines.lake.process import LakeQueryError
from upbit_lake.jobs import resume
from upbit_lake.jobs.facts import JobFacts
from upbit_lake.jobs.ladder import Rung
from upbit_lake.jobs.restore_points import RestorePoint
from upbit_lake.jobs.start import Started
from upbit_lake.state import job_runs

OLD_POINT = RestorePoint("checkpoint", "s3://flink/old/chk-9", 9.0, 9)
NEW_POINT = RestorePoint("checkpoint", "s3://flink/new/chk-1", 8.0, 1)


@pytest.fixture(autouse=True)
def lake_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "replay_from_ms", lambda *_: 77)


def rungs(known: JobFacts) -> list[Rung]:
    return list(resume.rungs(twin_engines(), known))


def test_a_renewed_job_that_died_before_its_first_checkpoint_begins_again() -> None:
    [only] = rungs(facts(NEW, OLD, points={OLD.job_id: OLD_POINT}))
    assert only.recovery_path is None
    # Nor are the lake's offsets asked: most of them are the old topic's.
    assert only.startup.mode == "earliest-offset"


def test_state_of_the_present_topic_is_restored() -> None:
    known = facts(NEW, OLD, points={OLD.job_id: OLD_POINT, NEW.job_id: NEW_POINT})
    assert [rung.recovery_path for rung in rungs(known)] == ["s3://flink/new/chk-1", None]


def test_without_older_topics_the_lake_says_from_where() -> None:
    assert [rung.startup.timestamp_ms for rung in rungs(facts(NEW))] == [77]


def test_a_savepoint_that_was_left_after_the_facts_were_gathered_counts() -> None:
    points: dict[str, RestorePoint] = {}
    known = facts(NEW)
    known = JobFacts(
        known.job, known.live, known.runs, known.topics, known.tables, "f", lambda ids: [points[jid] for jid in ids]
    )
    points[NEW.job_id] = RestorePoint("savepoint", "s3://flink/savepoint-b", 10.0)
    assert next(resume.rungs(twin_engines(), known)).recovery_path == "s3://flink/savepoint-b"


def test_a_failing_question_does_not_keep_a_cancelled_job_from_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "start", lambda *_: Started("b", "x"))

    def fails(_: str) -> Rows:
        raise LakeQueryError("the S3 store does not answer")

    away = GatewayTwin(away=GatewayUnreachableError("SQL gateway: no answer"))
    started, lost = resume.renew(replace(twin_engines(), lake=LakeTwin(fails), gateway=away), facts(NEW), "x")
    assert started.job_id == "b"
    assert lost == ["trade: the hours that cannot be refilled are unknown (SQL gateway: no answer)"]


def test_a_running_job_that_is_not_remembered_is_adopted() -> None:
    engines = twin_engines()
    job_runs.remember(engines.db, OLD)
    assert not resume.adopt_unknown(engines, TRADE, OLD.job_id)
    assert resume.adopt_unknown(engines, TRADE, NEW.job_id)
    assert not resume.adopt_unknown(engines, TRADE, NEW.job_id)
    assert [run.job_id for run in job_runs.runs_of(engines.db, OLD.name)] == [NEW.job_id, OLD.job_id]


@pytest.mark.parametrize(
    ("recreated", "reason"),
    [
        (["topic upbit-trade"], "topic upbit-trade was recreated"),
        (["topic upbit-trade", "table trade"], "topic upbit-trade, table trade were recreated"),
    ],
)
def test_the_reason_to_renew_is_named(recreated: list[str], reason: str) -> None:
    assert resume.recreated_reason(recreated) == reason
