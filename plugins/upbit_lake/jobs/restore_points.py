"""Finds what a job can be restored from by listing the store: completed checkpoints and savepoints.

A completed checkpoint is `<directory>/<job id>/chk-<n>/_metadata`, a savepoint `<directory>/savepoint-…/_metadata`.
Which job id belongs to which logical job is kept at submission (`job_runs`): a fresh JobManager knows nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from upbit_lake.engines.s3 import ObjectStore, StoredObject, bucket_and_prefix

_CHECKPOINT = re.compile(r"(?P<path>(?:.*/)?(?P<jid>[0-9a-f]{32})/chk-(?P<number>\d+))/_metadata$")
_SAVEPOINT = re.compile(r"(?P<path>(?:.*/)?savepoint-(?P<jid>[0-9a-f]{6})-[0-9a-f]+)/_metadata$")


@dataclass(frozen=True)
class RestorePoint:
    """Something to restore from. `kind` is checkpoint or savepoint, `path` an S3 URL, `taken` epoch seconds."""

    kind: str
    path: str
    taken: float
    number: int = 0


def checkpoints_of(job_ids: Collection[str], bucket: str, objects: Iterable[StoredObject]) -> list[RestorePoint]:
    """The completed checkpoints of `job_ids`, newest first. A checkpoint without `_metadata` is not complete."""
    points = []
    for item in objects:
        match = _CHECKPOINT.match(item.key)
        if match and match["jid"] in job_ids:
            path = f"s3://{bucket}/{match['path']}"
            points.append(RestorePoint("checkpoint", path, item.modified, int(match["number"])))
    return newest_first(points)


def savepoints_of(job_ids: Collection[str], bucket: str, objects: Iterable[StoredObject]) -> list[RestorePoint]:
    """The complete savepoints of `job_ids`, newest first. A savepoint's name holds its job id's first six digits."""
    starts = {jid[:6] for jid in job_ids}
    points = []
    for item in objects:
        match = _SAVEPOINT.match(item.key)
        if match and match["jid"] in starts:
            points.append(RestorePoint("savepoint", f"s3://{bucket}/{match['path']}", item.modified))
    return newest_first(points)


def newest_first(points: Iterable[RestorePoint]) -> list[RestorePoint]:
    """Order restore points by time, a checkpoint before a savepoint of the same second."""
    return sorted(points, key=lambda point: (point.taken, point.kind == "checkpoint", point.number), reverse=True)


def restore_points(
    s3: ObjectStore, job_ids: Collection[str], checkpoints_url: str, savepoints_url: str
) -> list[RestorePoint]:
    """Everything that earlier runs of one logical job left to restore from, newest first.

    Args:
        job_ids: the Flink job ids of the earlier runs; only their folders are listed.
    """
    points: list[RestorePoint] = []
    bucket, prefix = bucket_and_prefix(checkpoints_url)
    for jid in job_ids:
        points += checkpoints_of({jid}, bucket, s3.objects(bucket, f"{prefix}{jid}/"))
    bucket, prefix = bucket_and_prefix(savepoints_url)
    points += savepoints_of(job_ids, bucket, s3.objects(bucket, prefix))
    return newest_first(points)
