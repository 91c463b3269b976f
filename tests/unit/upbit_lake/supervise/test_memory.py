"""What a supervising run remembers survives JSON, and a JobManager that forgot its jobs is noticed."""

from __future__ import annotations

import json

from upbit_lake.engines.ingester.counters import Counters
from upbit_lake.supervise.memory import IngesterMemory, JobMemory, JobsMemory


def test_the_jobs_memory_survives_json() -> None:
    memory = JobsMemory(5.0, None, {"trade": JobMemory([1.0, 2.0], "a", [(3.0, 4)])})
    assert JobsMemory.from_json(json.loads(json.dumps(memory.to_json()))) == memory
    assert JobsMemory.from_json(None) == JobsMemory()


def test_the_ingester_s_memory_survives_json() -> None:
    memory = IngesterMemory([1.0], Counters(received={"trade": 5.0}, undelivered=1.0))
    assert IngesterMemory.from_json(json.loads(json.dumps(memory.to_json()))) == memory
    assert IngesterMemory.from_json(None) == IngesterMemory()


def test_a_job_manager_that_knows_none_of_the_jobs_begins_again() -> None:
    memory = JobsMemory(100.0, None, {"trade": JobMemory(jid="a"), "ticker": JobMemory(jid="b")})
    assert memory.note_answer({"a", "x"}, now=200.0) == 100.0
    assert memory.note_answer(set(), now=300.0) == 300.0
    assert memory.note_answer(set(), now=310.0) == 300.0


def test_an_answer_after_silence_begins_again() -> None:
    assert JobsMemory(None, 50.0).note_answer(set(), now=60.0) == 60.0


def test_restart_counters_of_another_job_are_forgotten() -> None:
    known = JobMemory(jid="a", seen=[(1.0, 7)])
    known.note_restarts("b", 0, 2.0)
    assert known.seen == [(2.0, 0)]
