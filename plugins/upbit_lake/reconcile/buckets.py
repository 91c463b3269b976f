"""Creates the buckets of the contract; tells a missing bucket from one that is not ours."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from upbit_lake.reconcile.outcome import UNCHANGED, Outcome, created


class BucketError(RuntimeError):
    """A bucket cannot be used. One line: which, why, what to do."""


class BucketState(StrEnum):
    """What the store says of a bucket."""

    PRESENT = "present"
    MISSING = "missing"
    FORBIDDEN = "forbidden"


def state_of(status: int) -> BucketState:
    """The meaning of HEAD bucket's HTTP status; raises BucketError for one that means neither."""
    if 200 <= status < 300:
        return BucketState.PRESENT
    if status == 404:
        return BucketState.MISSING
    if status == 403:
        return BucketState.FORBIDDEN
    raise BucketError(f"S3 answered {status} to HEAD bucket; is S3_ENDPOINT the S3 port?")


def reconcile_buckets(s3: Any, names: Iterable[str], dry_run: bool = False) -> dict[str, Outcome]:
    """Create what is missing of `names` through a boto3 S3 client; gives name → outcome.

    Raises:
        BucketError: a bucket belongs to another owner or the key may not see it.
    """
    outcome = {}
    for name in names:
        state = _head(s3, name)
        if state is BucketState.FORBIDDEN:
            raise BucketError(f"bucket {name}: access denied (403); check S3_ACCESS_KEY, or the bucket is not ours")
        if state is BucketState.PRESENT:
            outcome[name] = UNCHANGED
            continue
        if not dry_run:
            _create(s3, name)
        outcome[name] = created(dry_run)
    return outcome


def _head(s3: Any, name: str) -> BucketState:
    from botocore.exceptions import ClientError

    try:
        answer = s3.head_bucket(Bucket=name)
    except ClientError as error:
        answer = error.response
    return state_of(int(answer["ResponseMetadata"]["HTTPStatusCode"]))


def _create(s3: Any, name: str) -> None:
    from botocore.exceptions import ClientError

    region = s3.meta.region_name or "us-east-1"
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.create_bucket(Bucket=name, **place)
    except ClientError as error:
        # It was created since the look: that is what was wanted.
        if error.response.get("Error", {}).get("Code") != "BucketAlreadyOwnedByYou":
            raise BucketError(f"bucket {name}: cannot be created ({error.response['Error'].get('Message')})") from None
