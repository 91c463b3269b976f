"""The partitions of the lake's tables: one (dt, hh) each, as Paimon counts them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from upbit_lake.contract.lake_sql import lake_sql, version
from upbit_lake.contract.model import Contract
from upbit_lake.contract.sql_files import RawSql
from upbit_lake.engines.lake.reader import LakeReader
from upbit_lake.hours.hour import Hour

MOMENT_FORMAT = "%Y%m%dT%H%M%S%f"


@dataclass(frozen=True)
class PartitionState:
    """One (dt, hh) of a table as Paimon counts it. `record_count` is physical, before the merge by key."""

    table: str
    hour: Hour
    record_count: int
    file_count: int
    size_bytes: int
    updated_at: datetime

    @property
    def fingerprint(self) -> str:
        """Changes with every commit that touches the partition."""
        return f"{self.record_count}-{self.file_count}-{self.size_bytes}-{self.updated_at:{MOMENT_FORMAT}}"


def updated_at(fingerprint: str) -> datetime:
    """When the partition of a fingerprint was last written (UTC)."""
    return datetime.strptime(fingerprint.rpartition("-")[2], MOMENT_FORMAT).replace(tzinfo=UTC)


def hour_filter(hours: Iterable[Hour]) -> RawSql:
    """`hours` as a condition that the reader prunes partitions by."""
    terms = [f"(dt = '{hour.dt}' AND hh = '{hour.hh}')" for hour in hours]
    return RawSql(" OR ".join(terms) or "FALSE")


def partition_states(table: str, rows: Iterable[Mapping[str, Any]]) -> list[PartitionState]:
    """Rows of `"t$partitions"` (`partition` = 'dt=2026-11-23/hh=01') as states."""
    states = []
    for row in rows:
        updated = row["updated_at"].replace(tzinfo=UTC)
        hour = Hour.of_partition(row["name"])
        states.append(PartitionState(table, hour, row["record_count"], row["file_count"], row["size_bytes"], updated))
    return states


def read_partitions(
    reader: LakeReader, contract: Contract, snapshots: Mapping[str, int | None] | None = None
) -> dict[str, list[PartitionState]]:
    """The partitions of all tables (or of those in `snapshots`, as of that snapshot), by table."""
    wanted = dict.fromkeys(contract.tables) if snapshots is None else snapshots
    queries = [
        lake_sql(contract, "progress/partitions", table=RawSql(t), version=version(s)) for t, s in wanted.items()
    ]
    answers = reader.query_all(queries)
    return {table: partition_states(table, answer.to_pylist()) for table, answer in zip(wanted, answers, strict=True)}
