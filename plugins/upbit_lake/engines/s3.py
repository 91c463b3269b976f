"""The S3 store as the control plane sees it: buckets, the objects below a prefix, the text of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

# The one region that must not be named when a bucket is created.
DEFAULT_REGION = "us-east-1"
MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "404"})


class BucketError(RuntimeError):
    """A bucket cannot be used. One line: which, why, what to do."""


class BucketState(StrEnum):
    """What the store says of a bucket."""

    PRESENT = "present"
    MISSING = "missing"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True)
class StoredObject:
    """An object of the store: key below the bucket and time of its last change (epoch seconds)."""

    key: str
    modified: float


class ObjectStore(Protocol):
    """What the control plane asks of the store, and the one thing that it makes there: a bucket."""

    def buckets(self) -> list[str]:
        """The store returns the names of the buckets that this key owns."""

    def bucket_state(self, name: str) -> BucketState:
        """The store says whether a bucket is there and ours; raises BucketError for an answer that means neither."""

    def create_bucket(self, name: str) -> None:
        """The store creates a bucket; one of ours that is there stays. Raises BucketError."""

    def objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """The store returns all objects whose keys begin with `prefix`, in the order of their keys."""

    def read(self, bucket: str, key: str) -> str | None:
        """The store returns an object's text (UTF-8), or None when there is no such object or bucket."""


class S3Store:
    """The store behind a boto3 S3 client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def buckets(self) -> list[str]:
        """The store returns the names of the buckets that this key owns."""
        return [str(bucket["Name"]) for bucket in self._client.list_buckets()["Buckets"]]

    def bucket_state(self, name: str) -> BucketState:
        """The store says whether a bucket is there and ours; raises BucketError for an answer that means neither."""
        try:
            answer = self._client.head_bucket(Bucket=name)
        except ClientError as error:
            answer = error.response
        return state_of(int(answer["ResponseMetadata"]["HTTPStatusCode"]))

    def create_bucket(self, name: str) -> None:
        """The store creates a bucket; one of ours that is there stays. Raises BucketError."""
        region = self._client.meta.region_name or DEFAULT_REGION
        place = {} if region == DEFAULT_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self._client.create_bucket(Bucket=name, **place)
        except ClientError as error:
            # It was created since the look: that is what was wanted.
            if error.response.get("Error", {}).get("Code") != "BucketAlreadyOwnedByYou":
                said = error.response["Error"].get("Message")
                raise BucketError(f"bucket {name}: cannot be created ({said})") from None

    def objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """The store returns all objects whose keys begin with `prefix`, in the order of their keys."""
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                yield StoredObject(item["Key"], item["LastModified"].timestamp())

    def read(self, bucket: str, key: str) -> str | None:
        """The store returns an object's text (UTF-8), or None when there is no such object or bucket."""
        try:
            answer = self._client.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise
        return str(answer["Body"].read().decode("utf-8"))


def state_of(status: int) -> BucketState:
    """The meaning of HEAD bucket's HTTP status; raises BucketError for one that means neither."""
    if 200 <= status < 300:
        return BucketState.PRESENT
    if status == 404:
        return BucketState.MISSING
    if status == 403:
        return BucketState.FORBIDDEN
    raise BucketError(f"S3 answered {status} to HEAD bucket; is S3_ENDPOINT the S3 port?")


def bucket_and_prefix(url: str) -> tuple[str, str]:
    """`s3://flink/checkpoints` → (`flink`, `checkpoints/`)."""
    parts = urlsplit(url)
    return parts.netloc, parts.path.strip("/") + "/"
