"""When a supervising run takes its lease, and what it does with what it then sees. Acting itself: integration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from tests.unit.upbit_lake.jobs.job_facts import Flink, engines
from upbit_lake.contract.reader import load_contract
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.jobmanager import FlinkRestError, FlinkUnreachableError, JobSummary
from upbit_lake.state import alarms
from upbit_lake.supervise import jobs
from upbit_lake.supervise.job_health import Judgement, Verdict
from upbit_lake.supervise.jobs import CLUSTER, JOBS, JobMemory, Memory, Outcome

WAITING, LOST, HEALTHY = (Judgement(verdict, "") for verdict in (Verdict.WAITING, Verdict.LOST, Verdict.HEALTHY))
Sight = Judgement | Exception


class Scene:
    """What each look shows, and the order of what happened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *sights: Sight, held_by: str = "") -> None:
        self.happened = list[str]()
        self._sights, self._held_by, self._now = list(sights), held_by, 0.0
        monkeypatch.setattr(jobs, "observe_all", self._observe)
        monkeypatch.setattr(jobs, "_act", self._act)
        monkeypatch.setattr(alarms, "close_alarm", lambda *_: None)

    def run(self) -> dict[str, Outcome]:
        engines = Engines(load_contract(), *[cast(Any, None)] * 6)
        return jobs.supervise_jobs(engines, Memory(), self._leased, lambda: self._now, self._sleep)

    def _observe(self, _: Engines, memory: Memory, __: float) -> dict[str, Judgement]:
        sight = self._sights.pop(0)
        self.happened.append("look")
        if isinstance(sight, Exception):
            raise sight
        memory.jobs["trade"] = JobMemory()
        return {"trade": sight}

    def _act(self, _: Engines, __: object, judgement: Judgement, *___: object) -> Outcome:
        self.happened.append(f"act on {judgement.verdict}")
        return Outcome(judgement.verdict)

    def _sleep(self, seconds: float) -> None:
        self._now += seconds

    @contextmanager
    def _leased(self) -> Iterator[str]:
        self.happened.append("lease asked for")
        yield self._held_by
        self.happened.append("lease given back")


def test_waiting_takes_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, WAITING, WAITING, LOST, LOST)
    scene.run()
    assert scene.happened == ["look", "look", "look", "lease asked for", "look", "act on lost", "lease given back"]


def test_what_somebody_brought_back_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, LOST, HEALTHY)
    scene.run()
    assert scene.happened[-2:] == ["act on healthy", "lease given back"]


def test_nothing_is_done_while_somebody_else_holds_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, LOST, held_by="held by bootstrap")
    assert scene.run() == {JOBS: Outcome("skipped: held by bootstrap")}
    assert scene.happened == ["look", "lease asked for", "lease given back"]


def test_a_jobmanager_that_dies_under_the_lease_is_the_cluster_away(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, LOST, FlinkUnreachableError("away"))
    assert set(scene.run()) == {CLUSTER}
    assert scene.happened[-1] == "lease given back"


def test_a_job_that_is_just_gone_does_not_end_the_look_at_the_others() -> None:
    job = JobSummary("j", "upbit trade", "RUNNING", 0, 6, 6)
    found = jobs.observe_all(engines(Flink([job], FlinkRestError("job j not found"))), Memory(), 1000.0)
    assert found["trade"].verdict is Verdict.WAITING
    assert set(found) == {"ticker", "trade", "orderbook"}
    with pytest.raises(FlinkUnreachableError):
        jobs.observe_all(engines(Flink([job], FlinkUnreachableError("away"))), Memory(), 1000.0)
