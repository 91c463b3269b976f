"""What the store itself says of a lake table: its newest snapshot and when it was created.

Paimon's `snapshot/LATEST`, `snapshot/snapshot-N` and `schema/schema-N` are documented JSON files; reading them takes
milliseconds and no Flink slot, which is what a health check every minute can afford.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from upbit_lake.contract.model import Lake
from upbit_lake.engines.s3 import ObjectStore, bucket_and_prefix


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of a table. `committed_ms`: epoch ms; `records`: physical rows, before the merge by key."""

    snapshot_id: int
    committed_ms: int
    records: int


def latest_snapshot(s3: ObjectStore, lake: Lake, table: str) -> Snapshot | None:
    """The newest snapshot of a table, or None before the first commit (or without the table)."""
    hint = _read(s3, lake, table, "snapshot/LATEST")
    if hint is None:
        return None
    number = int(hint)
    # The hint may lag behind the newest snapshot, and the one it names may have expired.
    text = None
    while (newer := _read(s3, lake, table, f"snapshot/snapshot-{number}")) is not None:
        text, number = newer, number + 1
    return parse_snapshot(text) if text else None


def parse_snapshot(text: str) -> Snapshot:
    """A Snapshot from the JSON of a `snapshot-N` file."""
    data = json.loads(text)
    return Snapshot(data["id"], data["timeMillis"], data.get("totalRecordCount") or 0)


def created_ms(s3: ObjectStore, lake: Lake, table: str) -> int | None:
    """When the table was created (epoch ms), or None without the table; a recreated table has another time."""
    text = _read(s3, lake, table, "schema/schema-0")
    return int(json.loads(text)["timeMillis"]) if text else None


def _read(s3: ObjectStore, lake: Lake, table: str, name: str) -> str | None:
    bucket, prefix = bucket_and_prefix(lake.warehouse)
    return s3.read(bucket, f"{prefix}{lake.database}.db/{table}/{name}")
