"""The S3 store in memory. tests/contract holds it against the real one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from upbit_lake.engines.s3 import BucketError, BucketState, StoredObject


@dataclass
class StoreTwin:
    """An ObjectStore. `contents`: bucket → key → (text, time of its last change). `foreign`: buckets of others."""

    contents: dict[str, dict[str, tuple[str, float]]] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)

    def put(self, bucket: str, key: str, text: str, modified: float = 0.0) -> None:
        """Store an object."""
        self.contents.setdefault(bucket, {})[key] = (text, modified)

    def buckets(self) -> list[str]:
        return sorted(self.contents)

    def bucket_state(self, name: str) -> BucketState:
        if name in self.foreign:
            return BucketState.FORBIDDEN
        return BucketState.PRESENT if name in self.contents else BucketState.MISSING

    def create_bucket(self, name: str) -> None:
        if name in self.foreign:
            raise BucketError(f"bucket {name}: cannot be created (another owner has it)")
        self.contents.setdefault(name, {})

    def objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        for key, (_, modified) in sorted(self.contents[bucket].items()):
            if key.startswith(prefix):
                yield StoredObject(key, modified)

    def read(self, bucket: str, key: str) -> str | None:
        found = self.contents.get(bucket, {}).get(key)
        return found[0] if found else None
