"""What a supervising run remembers survives JSON, and a JobManager that forgot its jobs is noticed."""

from __future__ import annotations

import json

from upbit_lake.engines.lake.files import Snapshot, parse_snapshot
from upbit_lake.reconcile.first_rows import is_realtime, streams_without_rows
from upbit_lake.reconcile.outcome import CREATED, UNCHANGED
from upbit_lake.supervise.ingester import Memory as IngesterMemory
from upbit_lake.supervise.ingester_health import Counters
from upbit_lake.supervise.jobs import JobMemory, Memory, note_answer, note_restarts
from upbit_lake.tasks.log import summary


def test_the_jobs_memory_survives_json() -> None:
    memory = Memory(5.0, None, {"trade": JobMemory([1.0, 2.0], "a", [(3.0, 4)])})
    assert Memory.from_json(json.loads(json.dumps(memory.to_json()))) == memory
    assert Memory.from_json(None) == Memory()


def test_the_ingester_s_memory_survives_json() -> None:
    memory = IngesterMemory([1.0], Counters(received={"trade": 5.0}, undelivered=1.0))
    assert IngesterMemory.from_json(json.loads(json.dumps(memory.to_json()))) == memory
    assert IngesterMemory.from_json(None) == IngesterMemory()


def test_a_job_manager_that_knows_none_of_the_jobs_begins_anew() -> None:
    memory = Memory(100.0, None, {"trade": JobMemory(jid="a"), "ticker": JobMemory(jid="b")})
    assert note_answer(memory, {"a", "x"}, now=200.0) == 100.0
    assert note_answer(memory, set(), now=300.0) == 300.0
    assert note_answer(memory, set(), now=310.0) == 300.0


def test_an_answer_after_silence_begins_anew() -> None:
    assert note_answer(Memory(None, 50.0), set(), now=60.0) == 60.0


def test_restart_counters_of_another_job_are_forgotten() -> None:
    known = JobMemory(jid="a", seen=[(1.0, 7)])
    note_restarts(known, "b", 0, 2.0)
    assert known.seen == [(2.0, 0)]


def test_streams_without_data_are_not_waited_for() -> None:
    assert streams_without_rows({"ticker": 5, "trade": 0, "orderbook": 3}, {"orderbook": 1}) == ["ticker"]


def test_snapshots_alone_are_not_waited_for() -> None:
    assert is_realtime(b'{"stream_type":"REALTIME"}')
    assert is_realtime(b"{}")
    assert not is_realtime(b'{"stream_type":"SNAPSHOT"}')
    assert not is_realtime(b"broken")
    assert not is_realtime(b"[]")


def test_a_snapshot_file_is_read() -> None:
    assert parse_snapshot('{"id": 7, "timeMillis": 9, "totalRecordCount": 11}') == Snapshot(7, 9, 11)


def test_the_outcome_names_only_what_changed() -> None:
    assert summary({"a": UNCHANGED, "b": UNCHANGED}) == "unchanged"
    assert summary({"a": UNCHANGED, "b": CREATED}) == "b created"
