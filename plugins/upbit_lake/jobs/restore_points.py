"""Finds what a job can be restored from by listing the store: completed checkpoints and savepoints.

A completed checkpoint is `<directory>/<job id>/chk-<n>/_metadata`, a savepoint `<directory>/savepoint-…/_metadata`.
Which job id belongs to which logical job is kept at submission (`job_runs`): a fresh JobManager knows nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_CHECKPOINT = re.compile(r"(?P<path>(?:.*/)?(?P<jid>[0-9a-f]{32})/chk-(?P<number>\d+))/_metadata$")
_SAVEPOINT = re.compile(r"(?P<path>(?:.*/)?savepoint-(?P<jid>[0-9a-f]{6})-[0-9a-f]+)/_metadata$")


@dataclass(frozen=True)
class StoredObject:
    """An object of the store: key below the bucket and time of its last change (epoch seconds)."""

    key: str
    modified: float


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


def bucket_and_prefix(url: str) -> tuple[str, str]:
    """`s3://flink/checkpoints` → (`flink`, `checkpoints/`)."""
    parts = urlsplit(url)
    return parts.netloc, parts.path.strip("/") + "/"


def list_objects(s3: Any, bucket: str, prefix: str) -> Iterator[StoredObject]:
    """All objects below `prefix` through a boto3 S3 client."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", ()):
            yield StoredObject(item["Key"], item["LastModified"].timestamp())


def restore_points(s3: Any, job_ids: Collection[str], checkpoints_url: str, savepoints_url: str) -> list[RestorePoint]:
    """Everything that earlier runs of one logical job left to restore from, newest first.

    Args:
        s3: a boto3 S3 client.
        job_ids: the Flink job ids of the earlier runs; only their folders are listed.
    """
    points: list[RestorePoint] = []
    bucket, prefix = bucket_and_prefix(checkpoints_url)
    for jid in job_ids:
        points += checkpoints_of({jid}, bucket, list_objects(s3, bucket, f"{prefix}{jid}/"))
    bucket, prefix = bucket_and_prefix(savepoints_url)
    points += savepoints_of(job_ids, bucket, list_objects(s3, bucket, prefix))
    return newest_first(points)
