"""How jobs end: the oldest of several stays, and what ended by itself is no error."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.twins.engines import twin_engines
from tests.twins.flink import JobManagerTwin
from tests.unit.upbit_lake.jobs.job_facts import TRADE
from upbit_lake.engines.flink.jobmanager import FlinkRestError, JobSummary
from upbit_lake.jobs.stop import JobError, cancel_all, keep_oldest, stop_keeping_state

FIRST = JobSummary("a", "upbit trade", "RUNNING", 1, 6, 6)
SECOND = replace(FIRST, jid="b", start_ms=2)


def states(flink: JobManagerTwin) -> dict[str, str]:
    return {job.jid: job.state for job in flink.jobs()}


def test_of_two_jobs_of_one_name_the_oldest_stays() -> None:
    flink = JobManagerTwin([FIRST, SECOND])
    assert keep_oldest(replace(twin_engines(), flink=flink), TRADE, [FIRST, SECOND]) == [FIRST]
    assert states(flink) == {"a": "RUNNING", "b": "CANCELED"}


def test_a_job_that_ended_meanwhile_is_no_error() -> None:
    flink = JobManagerTwin([replace(FIRST, state="FAILED")])
    cancel_all(replace(twin_engines(), flink=flink), [FIRST])
    assert states(flink) == {"a": "FAILED"}


def test_a_job_that_cannot_be_cancelled_is_an_error() -> None:
    class Stubborn(JobManagerTwin):
        def cancel(self, jid: str, timeout_s: float = 0.0) -> None:  # noqa: ARG002 (as the twin)
            raise FlinkRestError("it does not listen")

    with pytest.raises(JobError, match="job a cannot be cancelled: it does not listen"):
        cancel_all(replace(twin_engines(), flink=Stubborn([FIRST])), [FIRST])


def test_a_job_without_a_savepoint_is_cancelled() -> None:
    class NoSavepoint(JobManagerTwin):
        def stop_with_savepoint(self, jid: str, directory: str, timeout_s: float = 0.0) -> str:  # noqa: ARG002
            raise FlinkRestError("no space")

    flink = NoSavepoint([FIRST])
    stop_keeping_state(replace(twin_engines(), flink=flink), FIRST)
    assert states(flink) == {"a": "CANCELED"}
