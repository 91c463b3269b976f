"""From where a job starts: completed checkpoints only, newest first, then a time at which the lake holds all."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from upbit_lake.contract.reader import load_contract
from upbit_lake.engines.flink.jobmanager import JobSummary
from upbit_lake.engines.kafka.records import Record, Retained
from upbit_lake.jobs import ladder, lost_hours
from upbit_lake.jobs.replay_point import frontier, partition_predicate
from upbit_lake.jobs.restore_points import StoredObject, bucket_and_prefix, checkpoints_of, newest_first, savepoints_of
from upbit_lake.reconcile.jobs import Action, plan_job
from upbit_lake.state.job_runs import JobRun

A, B = "a" * 32, "b" * 32
RUN = JobRun(A, "trade", "first", "f1", {"upbit-trade": "t1"}, {"trade": 100})
LIVE = JobSummary(A, "upbit trade", "RUNNING", 0, 6, 6)


def test_only_complete_checkpoints_of_the_job_count_newest_first() -> None:
    objects = [
        StoredObject(f"checkpoints/{A}/chk-9/_metadata", 90.0),
        StoredObject(f"checkpoints/{A}/chk-10/_metadata", 100.0),
        StoredObject(f"checkpoints/{A}/chk-11/part-0", 110.0),
        StoredObject(f"checkpoints/{A}/shared/", 120.0),
        StoredObject(f"checkpoints/{B}/chk-99/_metadata", 130.0),
    ]
    paths = [point.path for point in checkpoints_of({A}, "flink", objects)]
    assert paths == [f"s3://flink/checkpoints/{A}/chk-10", f"s3://flink/checkpoints/{A}/chk-9"]


def test_a_savepoint_newer_than_every_checkpoint_comes_first() -> None:
    checkpoints = checkpoints_of({A}, "flink", [StoredObject(f"checkpoints/{A}/chk-1/_metadata", 10.0)])
    savepoints = savepoints_of(
        {A},
        "flink",
        [
            StoredObject("savepoints/savepoint-aaaaaa-0123456789ab/_metadata", 20.0),
            StoredObject("savepoints/savepoint-bbbbbb-0123456789ab/_metadata", 30.0),
            StoredObject("savepoints/savepoint-aaaaaa-ffffffffffff/state", 40.0),
        ],
    )
    assert [point.kind for point in newest_first([*checkpoints, *savepoints])] == ["savepoint", "checkpoint"]


def test_a_bucket_url_is_split() -> None:
    assert bucket_and_prefix("s3://flink/checkpoints") == ("flink", "checkpoints/")


def test_the_ladder_tries_the_newest_points_then_replays() -> None:
    points = checkpoints_of({A}, "flink", [StoredObject(f"c/{A}/chk-{n}/_metadata", float(n)) for n in range(5)])
    rungs = [*ladder.restored(points), ladder.replayed(123)]
    assert [rung.recovery_path for rung in rungs] == [f"s3://flink/c/{A}/chk-4", f"s3://flink/c/{A}/chk-3", None]
    assert (rungs[-1].startup.mode, rungs[-1].startup.timestamp_ms) == ("timestamp", 123)
    assert ladder.replayed(None).startup.mode == "earliest-offset"


def test_the_committed_group_offsets_are_never_used() -> None:
    rungs = [*ladder.first_start(), *ladder.from_earliest("x"), ladder.replayed(1)]
    assert all(rung.startup.mode in ("earliest-offset", "timestamp") for rung in rungs)


@pytest.mark.parametrize(
    ("stored", "ranges", "offsets"),
    [
        ({0: 41, 1: 7}, {0: Retained(0, 100), 1: Retained(0, 8)}, {0: 41, 1: 7}),
        ({0: 41}, {0: Retained(0, 100), 1: Retained(0, 0)}, {0: 41}),
        ({0: 41}, {0: Retained(0, 100), 1: Retained(0, 8)}, None),  # nothing of partition 1 is stored
        ({0: 41}, {0: Retained(60, 100)}, None),  # the record is no longer retained
        ({0: 141}, {0: Retained(0, 100)}, None),  # the topic is another one
        ({}, {}, {}),
    ],
)
def test_the_replay_begins_where_the_lake_ends(
    stored: dict[int, int], ranges: dict[int, Retained], offsets: dict[int, int] | None
) -> None:
    assert frontier(stored, ranges) == offsets


def test_partitions_become_a_predicate() -> None:
    assert partition_predicate(["dt=2026-11-23/hh=01", "dt=2026-11-22/hh=23"]) == (
        "(dt = '2026-11-23' AND hh = '01') OR (dt = '2026-11-22' AND hh = '23')"
    )
    assert partition_predicate([]) == "FALSE"


def test_what_was_made_anew_is_named() -> None:
    assert ladder.made_anew(RUN, {"upbit-trade": "t1"}, {"trade": 100}) == []
    assert ladder.made_anew(RUN, {"upbit-trade": "t2"}, {"trade": 200}) == ["topic upbit-trade", "table trade"]
    # A topic that is away now is no new one: the job cannot start, which says so itself.
    assert ladder.made_anew(RUN, {}, {}) == []


@pytest.mark.parametrize(
    ("live", "last", "wanted", "anew", "action"),
    [
        (None, None, "f1", [], Action.START),
        (LIVE, None, "f1", [], Action.ADOPT),
        (LIVE, RUN, "f1", [], Action.KEEP),
        (LIVE, RUN, "f2", [], Action.REPLACE),
        (LIVE, RUN, "f2", ["topic upbit-trade"], Action.RENEW),
        (None, RUN, "f1", [], Action.RESUME),
        (None, RUN, "f1", ["table trade"], Action.RENEW),
        (JobSummary(B, "upbit trade", "RUNNING", 0, 6, 6), RUN, "f1", [], Action.ADOPT),
    ],
)
def test_what_to_do_about_a_job(
    live: JobSummary | None, last: JobRun | None, wanted: str, anew: list[str], action: Action
) -> None:
    assert plan_job(live, last, wanted, anew).action is action


NINE = int(datetime(2026, 11, 23, 9, 30, tzinfo=UTC).timestamp() * 1000)
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("newest", "oldest", "hours"),
    [
        (NINE, NINE + 2 * HOUR, [9, 10, 11]),
        (NINE, NINE + 1000, [9]),
        (NINE, NINE - 1, []),  # the topic reaches back into the lake: nothing is lost
        (NINE, None, [9]),
        (None, NINE, []),
    ],
)
def test_lost_hours(newest: int | None, oldest: int | None, hours: list[int]) -> None:
    assert [hour.hour for hour in lost_hours.lost_hours(newest, oldest)] == hours


def test_lost_hours_are_named() -> None:
    line = lost_hours.describe("trade", lost_hours.lost_hours(NINE, NINE + HOUR))
    assert line == "trade: these hours cannot be refilled from Kafka: 2026-11-23T09, 2026-11-23T10"
    assert lost_hours.describe("trade", ()) == "trade: nothing is missing"
    assert "… 99 more …" in lost_hours.describe("trade", lost_hours.lost_hours(NINE, NINE + 100 * HOUR))


def test_the_oldest_event_is_the_exchange_s_time() -> None:
    stream = load_contract().streams["orderbook"]
    records = [
        Record(0, 0, 5_000, b'{"timestamp":1691530805062000}'),
        Record(1, 0, 5_000_000_000_000, b"broken"),
    ]
    assert lost_hours.oldest_event_ms(records, stream) == 1_691_530_805_062
    assert lost_hours.oldest_event_ms([], stream) is None
