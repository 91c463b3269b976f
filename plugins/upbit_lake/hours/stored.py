"""How far the lake stores a topic: the highest offsets and the newest event, asked of the partitions last written.

Each query reads the columns of one question and a bounded number of partitions, so that an answer takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from upbit_lake.contract.lake_sql import lake_sql, version
from upbit_lake.contract.model import Contract, Stream
from upbit_lake.contract.sql_files import RawSql
from upbit_lake.engines.lake.reader import TIMEOUT_S, LakeReader
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.partitions import PartitionState, hour_filter, partition_states

# The newest consumed offsets stand in the partitions that were written last, whatever their event time. An event comes
# late and a compaction writes too: more than one.
LAST_WRITTEN = 4
# A Kafka partition that speaks has an event within so long of the newest one of all (ms of the exchange's clock).
RECENT_MS = 120_000
ALWAYS = RawSql("TRUE")


def last_written(states: Iterable[PartitionState], count: int = LAST_WRITTEN) -> list[Hour]:
    """The hours of the partitions that were written last, the latest at the end."""
    return [state.hour for state in sorted(states, key=lambda state: state.updated_at)[-count:]]


def read_last_written(reader: LakeReader, contract: Contract, table: str, timeout_s: float = TIMEOUT_S) -> list[Hour]:
    """The hours of the partitions of a table that were written last. Raises LakeQueryError."""
    query = lake_sql(contract, "progress/partitions", table=RawSql(table), version=version(None))
    return last_written(partition_states(table, reader.rows(query, timeout_s)))


def own_offsets_sql(
    contract: Contract, table: str, hours: Iterable[Hour], began_ms: int = 0, since: RawSql = ALWAYS
) -> str:
    """The query for the first and last offset per Kafka partition that `hours` of a table hold.

    Args:
        began_ms: rows received before belong to an older topic of the same name and are left out.
        since: a condition that leaves out what is too old to matter.
    """
    return lake_sql(
        contract,
        "progress/own_offsets",
        table=RawSql(table),
        hours=hour_filter(hours),
        since=since,
        began_ms=RawSql(began_ms),
    )


def highest_offsets(
    reader: LakeReader,
    contract: Contract,
    table: str,
    hours: Sequence[Hour],
    began_ms: int = 0,
    since: RawSql = ALWAYS,
    timeout_s: float = TIMEOUT_S,
) -> dict[int, int]:
    """Kafka partition → highest offset of it that `hours` of a table hold. Raises LakeQueryError."""
    if not hours:
        return {}
    rows = reader.rows(own_offsets_sql(contract, table, hours, began_ms, since), timeout_s)
    return {row["kafka_partition"]: row["last_offset"] for row in rows}


def newest_event_ms(
    reader: LakeReader, contract: Contract, stream: Stream, hours: Sequence[Hour], timeout_s: float = TIMEOUT_S
) -> int | None:
    """The newest event of a stream in `hours` of its table (exchange's clock), or None. Raises LakeQueryError."""
    if not hours:
        return None
    table, time = RawSql(stream.table), RawSql(stream.time)
    query = lake_sql(contract, "progress/newest_events", table=table, time=time, hours=hour_filter(hours))
    return max((row["newest_event_ms"] for row in reader.rows(query, timeout_s)), default=None)


def newest_file_event_ms(
    reader: LakeReader, contract: Contract, stream: Stream, timeout_s: float = TIMEOUT_S
) -> int | None:
    """The same of the whole table from the statistics of its files, at little cost; None also without statistics."""
    query = lake_sql(contract, "progress/newest_file_event", table=RawSql(stream.table), time=RawSql(stream.time))
    newest: int | None = reader.rows(query, timeout_s)[0]["newest_event_ms"]
    return newest


def recent(stream: Stream, newest_event_ms: int) -> RawSql:
    """The condition for events near the newest one. Where a table's key holds the time, older files are not opened."""
    return RawSql(f'"{stream.time}" >= {newest_event_ms - RECENT_MS}')
