"""What a job can be restored from: completed checkpoints and savepoints only, newest first."""

from __future__ import annotations

from upbit_lake.engines.s3 import StoredObject, bucket_and_prefix
from upbit_lake.jobs.restore_points import checkpoints_of, newest_first, savepoints_of

A, B = "a" * 32, "b" * 32


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
