"""From where a job starts: its newest restore points, then a time at which the lake holds all."""

from __future__ import annotations

from upbit_lake.engines.s3 import StoredObject
from upbit_lake.jobs import ladder
from upbit_lake.jobs.restore_points import checkpoints_of
from upbit_lake.state.job_runs import JobRun

A = "a" * 32
RUN = JobRun(A, "trade", "first", "f1", {"upbit-trade": "t1"}, {"trade": 100})


def test_the_ladder_tries_the_newest_points_then_replays() -> None:
    points = checkpoints_of({A}, "flink", [StoredObject(f"c/{A}/chk-{n}/_metadata", float(n)) for n in range(5)])
    rungs = [*ladder.restored(points), ladder.replayed(123)]
    assert [rung.recovery_path for rung in rungs] == [f"s3://flink/c/{A}/chk-4", f"s3://flink/c/{A}/chk-3", None]
    assert (rungs[-1].startup.mode, rungs[-1].startup.timestamp_ms) == ("timestamp", 123)
    assert ladder.replayed(None).startup.mode == "earliest-offset"


def test_the_committed_group_offsets_are_never_used() -> None:
    rungs = [*ladder.first_start(), *ladder.from_earliest("x"), ladder.replayed(1)]
    assert all(rung.startup.mode in ("earliest-offset", "timestamp") for rung in rungs)


def test_what_was_recreated_is_named() -> None:
    assert ladder.recreated(RUN, {"upbit-trade": "t1"}, {"trade": 100}) == []
    assert ladder.recreated(RUN, {"upbit-trade": "t2"}, {"trade": 200}) == ["topic upbit-trade", "table trade"]
    # A topic that is away now is no new one: the job cannot start, which says so itself.
    assert ladder.recreated(RUN, {}, {}) == []
