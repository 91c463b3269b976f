"""An attempt to start a job that fails leaves nothing behind that a later start would trust."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.twins.engines import twin_engines
from tests.twins.flink import JobManagerTwin
from tests.unit.upbit_lake.jobs.job_facts import NEW, facts
from upbit_lake.contract.reader import load_contract
from upbit_lake.engines.flink.jobmanager import JobSummary
from upbit_lake.jobs import ladder, start
from upbit_lake.jobs.identity import written_tables
from upbit_lake.jobs.restore_points import RestorePoint
from upbit_lake.state import job_runs


@pytest.mark.parametrize("leaves_state", [True, False])
def test_an_attempt_that_left_no_state_is_forgotten(monkeypatch: pytest.MonkeyPatch, leaves_state: bool) -> None:
    def fails(*_: object) -> None:
        raise start.JobStartError("not running")

    monkeypatch.setattr(start, "submit", lambda *_: NEW.job_id)
    monkeypatch.setattr(start, "wait_running", fails)
    engines = twin_engines()
    job_runs.remember(engines.db, NEW)
    points = {NEW.job_id: RestorePoint("checkpoint", "s3://flink/new/chk-1", 8.0, 1)} if leaves_state else {}
    with pytest.raises(start.JobStartError, match="job trade: all 1 restart points failed; last error: not running"):
        start.start(engines, facts(points=points), ladder.first_start())
    assert job_runs.runs_of(engines.db, NEW.name) == ([NEW] if leaves_state else [])


def test_a_job_writes_its_derived_tables_too() -> None:
    contract = load_contract()
    written = {name: written_tables(contract, job) for name, job in contract.jobs.items()}
    assert written["trade"] == ["trade", "candle_1m", "dead_letter"]
    others = {stream.job: [stream.table] for stream in contract.streams.values() if stream.job != "trade"}
    assert written == {"trade": written["trade"], **others}


RUNNING = JobSummary("j", "upbit trade", "RUNNING", 0, 6, 6)


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([replace(RUNNING, state="FAILED")], "FAILED: no such table"),
        ([replace(RUNNING, tasks_running=5)], "not running after 90 s: no such table"),
        ([], "not running after 90 s: the JobManager does not know it"),
    ],
)
def test_a_job_that_does_not_come_up_says_why(listed: list[JobSummary], words: str) -> None:
    bundle = replace(twin_engines(), flink=JobManagerTwin(listed, failures={"j": "no such table"}))
    with pytest.raises(start.JobStartError, match=words):
        start.wait_running(bundle, "j")


def test_a_job_that_runs_is_not_waited_for() -> None:
    bundle = replace(twin_engines(), flink=JobManagerTwin([RUNNING]))
    start.wait_running(bundle, "j")
    assert bundle.clock.monotonic() == 0


def test_without_a_slot_nothing_is_started() -> None:
    bundle = replace(twin_engines(), flink=JobManagerTwin([RUNNING], slots=1))
    words = r"job trade needs 1 free slot\(s\): 0 of 1 are free on 2 TaskManager\(s\)"
    with pytest.raises(start.NoSlotError, match=words):
        start.start(bundle, facts(), ladder.first_start())
    assert bundle.clock.monotonic() > start.SLOT_TIMEOUT_S
