"""Creates the buckets of the contract; tells a missing bucket from one that is not ours."""

from __future__ import annotations

from collections.abc import Iterable

from upbit_lake.engines.s3 import BucketError, BucketState, ObjectStore
from upbit_lake.reconcile.outcome import UNCHANGED, Outcome, created


def reconcile_buckets(s3: ObjectStore, names: Iterable[str], dry_run: bool = False) -> dict[str, Outcome]:
    """Create what is missing of `names`; gives name → outcome.

    Raises:
        BucketError: a bucket belongs to another owner or the key may not see it.
    """
    outcome = {}
    for name in names:
        state = s3.bucket_state(name)
        if state is BucketState.FORBIDDEN:
            raise BucketError(f"bucket {name}: access denied (403); check S3_ACCESS_KEY, or the bucket is not ours")
        if state is BucketState.PRESENT:
            outcome[name] = UNCHANGED
            continue
        if not dry_run:
            s3.create_bucket(name)
        outcome[name] = created(dry_run)
    return outcome
