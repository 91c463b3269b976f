"""When a supervising run takes its lease, and what it does with what it then sees. Acting itself: integration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.twins.clock import HandClock
from tests.twins.engines import twin_engines
from tests.twins.flink import JobManagerTwin
from upbit_lake.contract.reader import load_contract
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.jobmanager import CheckpointStatus, FlinkUnreachableError, JobSummary
from upbit_lake.supervise import jobs
from upbit_lake.supervise.job_health import JobCondition, JobHealth
from upbit_lake.supervise.jobs import CLUSTER, JOBS
from upbit_lake.supervise.memory import JobMemory, JobsMemory
from upbit_lake.supervise.restarts import Report

WAITING, LOST, HEALTHY = (
    JobHealth(condition, "") for condition in (JobCondition.WAITING, JobCondition.LOST, JobCondition.HEALTHY)
)
Sight = JobHealth | Exception


class Scene:
    """What each look shows, and the order of what happened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *sights: Sight, held_by: str = "") -> None:
        self.happened = list[str]()
        self._sights, self._held_by, self._clock = list(sights), held_by, HandClock()
        monkeypatch.setattr(jobs, "judge_all", self._judge_all)
        monkeypatch.setattr(jobs, "act", self._act)

    def run(self) -> dict[str, Report]:
        return jobs.supervise_jobs(twin_engines(), JobsMemory(), self._leased, self._clock)

    def _judge_all(self, _: object, __: object, memory: JobsMemory, ___: float) -> dict[str, JobHealth]:
        sight = self._sights.pop(0)
        self.happened.append("look")
        if isinstance(sight, Exception):
            raise sight
        memory.jobs["trade"] = JobMemory()
        return {"trade": sight}

    def _act(self, _: Engines, __: object, health: JobHealth, *___: object) -> Report:
        self.happened.append(f"act on {health.condition}")
        return Report(health.condition)

    @contextmanager
    def _leased(self) -> Iterator[str]:
        self.happened.append("lease asked for")
        yield self._held_by
        self.happened.append("lease given back")


def test_waiting_takes_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, WAITING, WAITING, LOST, LOST)
    scene.run()
    assert scene.happened == ["look", "look", "look", "lease asked for", "look", "act on lost", "lease given back"]


def test_what_another_run_brought_back_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, LOST, HEALTHY)
    scene.run()
    assert scene.happened[-2:] == ["act on healthy", "lease given back"]


def test_nothing_is_done_while_another_run_holds_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, LOST, held_by="held by bootstrap")
    assert scene.run() == {JOBS: Report("skipped: held by bootstrap")}
    assert scene.happened == ["look", "lease asked for", "lease given back"]


def test_a_jobmanager_that_dies_under_the_lease_is_the_cluster_away(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, LOST, FlinkUnreachableError("away"))
    assert set(scene.run()) == {CLUSTER}
    assert scene.happened[-1] == "lease given back"


class Gone(JobManagerTwin):
    """Its jobs end between the list and the question about one of them."""

    def checkpoints(self, jid: str) -> CheckpointStatus:
        self.listed.clear()
        return super().checkpoints(jid)


def test_a_job_that_is_just_gone_does_not_end_the_look_at_the_others() -> None:
    job = JobSummary("j", "upbit trade", "RUNNING", 0, 6, 6)
    found = jobs.judge_all(Gone([job]), load_contract(), JobsMemory(), 1000.0)
    assert found["trade"].condition is JobCondition.WAITING
    assert set(found) == set(load_contract().jobs)
    with pytest.raises(FlinkUnreachableError):
        jobs.judge_all(JobManagerTwin([job], away=FlinkUnreachableError("away")), load_contract(), JobsMemory(), 1000.0)
