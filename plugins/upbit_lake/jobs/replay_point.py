"""Where the lake ends, in Kafka's terms: from which time a job without state must read again to lose nothing.

The moment of the lake's last commit is not it: a job that was catching up committed old records late. So the offsets
that the lake holds are asked, and the time of the records at those offsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upbit_lake.contract.model import Contract, Stream
from upbit_lake.contract.sql_files import RawSql, load_statements
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.gateway import GatewaySession
from upbit_lake.engines.flink.session import BATCH, lake_session
from upbit_lake.engines.kafka.records import Retained, TopicReader

# Brokers stamp records by their own clocks; a replayed minute costs nothing.
MARGIN_MS = 60_000


def replay_from_ms(engines: Engines, stream: Stream) -> int | None:
    """A Kafka time (epoch ms) at which everything older of `stream` is in the lake, or None for the beginning."""
    with lake_session(engines.gateway, engines.contract, engines.settings, "replay point", BATCH) as session:
        stored = stored_offsets(session, engines.contract, stream.table)
    with TopicReader(engines.settings.kafka) as reader:
        ranges = reader.ranges(stream.topic)
        offsets = frontier(stored, ranges)
        if offsets is None:
            return None
        times = []
        for partition, offset in offsets.items():
            record = reader.at(stream.topic, partition, offset)
            if record is None:
                return None
            times.append(record.timestamp_ms)
    return min(times) - MARGIN_MS if times else None


def frontier(stored: Mapping[int, int], ranges: Mapping[int, Retained]) -> dict[int, int] | None:
    """Partition → the offset whose record dates the replay; None when only the beginning is safe.

    Args:
        stored: partition → highest offset that the lake holds.
        ranges: partition → retained offsets. An empty partition needs no replay.
    """
    offsets = {}
    for partition, retained in ranges.items():
        if retained.high == retained.low:
            continue
        held = stored.get(partition)
        if held is None or not retained.low <= held < retained.high:
            return None
        offsets[partition] = held
    return offsets


def stored_offsets(session: GatewaySession, contract: Contract, table: str) -> dict[int, int]:
    """Kafka partition → highest offset of it in a lake table, asked of the partitions that were written last."""
    rows = _query(session, contract, "stored_offsets", table)
    return {int(partition): int(offset) for partition, offset in rows}


def newest_event_ms(session: GatewaySession, contract: Contract, stream: Stream) -> int | None:
    """The newest event of a stream in the lake (ms of the exchange's clock), or None."""
    rows = _query(session, contract, "newest_event", stream.table, {"TIME": RawSql(stream.time)})
    return int(rows[0][0]) if rows and rows[0][0] is not None else None


def partition_predicate(partitions: list[str]) -> str:
    """`dt=2026-11-23/hh=01` … as a SQL predicate over dt and hh."""
    clauses = []
    for partition in partitions:
        values = dict(part.split("=", 1) for part in partition.split("/"))
        clauses.append("(" + " AND ".join(f"{key} = '{value}'" for key, value in values.items()) + ")")
    return " OR ".join(clauses) or "FALSE"


def _query(
    session: GatewaySession, contract: Contract, name: str, table: str, more: Mapping[str, str] | None = None
) -> tuple[tuple[Any, ...], ...]:
    folder = contract.root / "sql" / "restart"
    variables: dict[str, str] = {
        "CATALOG": RawSql(contract.lake.catalog),
        "DATABASE": RawSql(contract.lake.database),
        "TABLE": RawSql(table),
        **(more or {}),
    }
    (newest,) = load_statements(folder / "newest_partitions.sql", variables)
    partitions = [str(row[0]) for row in session.run(newest).rows]
    if not partitions:
        return ()
    variables["PARTITIONS"] = RawSql(partition_predicate(partitions))
    (statement,) = load_statements(folder / f"{name}.sql", variables)
    return session.run(statement, timeout_s=300.0).rows
