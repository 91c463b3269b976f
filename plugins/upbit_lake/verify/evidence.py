"""What the lake says about one hour of a table.

Every query of an hour reads the same snapshots, so that what streams in meanwhile cannot contradict the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from upbit_lake.contract.columns import TableColumns, table_columns
from upbit_lake.contract.lake_sql import verify_sql, version
from upbit_lake.contract.model import Contract
from upbit_lake.contract.sql_files import RawSql
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.layout import Row, is_changed
from upbit_lake.hours.partitions import hour_filter


@dataclass(frozen=True)
class Evidence:
    """What the lake says about one hour of a table; each sample row carries the `total` of its kind.

    `nulls`: required column → NULLs. `buckets`: files, bytes, physical_rows and lowest_level by bucket.
    `source`: the table that a derived table is computed from, and `differing` its rows that differ from it.
    `source_changed`: rows came to it after the hour was closed, so the derived ones wait for the next closing.
    """

    logical_rows: int
    nulls: Mapping[str, int]
    buckets: Sequence[Row]
    wrong_hour: Sequence[Row] = ()
    other_hours: Sequence[Row] = ()
    source: str | None = None
    differing: Sequence[Row] = ()
    source_changed: bool = False


def evidence_of(answers: Mapping[str, pa.Table], source: str | None = None) -> Evidence:
    """The answers of `evidence_queries` as evidence; `source` as in Evidence."""
    rows = {name: answer.to_pylist() for name, answer in answers.items()}
    counts = rows["rows"][0]
    return Evidence(
        logical_rows=counts["logical_rows"],
        nulls={name: count or 0 for name, count in counts.items() if name != "logical_rows"},
        buckets=rows["files"],
        wrong_hour=rows.get("wrong_hour", ()),
        other_hours=rows["other_hours"],
        source=source,
        differing=rows.get("differing", ()),
        source_changed=is_changed(rows.get("source_files", ())),
    )


def evidence_queries(contract: Contract, table: str, hour: Hour, snapshots: Mapping[str, int | None]) -> dict[str, str]:
    """The queries that make an hour's evidence, by name. `snapshots`: the one of each table that they read."""
    columns = table_columns(contract, table)
    place = {
        "table": RawSql(table),
        "version": version(snapshots[table]),
        "dt": hour.dt,
        "hh": hour.hh,
        "key": _names(columns.identity),
    }
    queries = {
        "rows": verify_sql(contract, "rows", null_counts=_null_counts(columns), **place),
        "files": verify_sql(contract, "files", **place),
        "other_hours": _other_hours(contract, columns, hour, place),
    }
    event = _event_ms(contract, columns)
    if event is not None:
        bounds = {"start_ms": RawSql(hour.start_ms), "end_ms": RawSql(hour.end_ms), "event_ms": RawSql(event)}
        queries["wrong_hour"] = verify_sql(contract, "wrong_hour", **place, **bounds)
    source = contract.source_table(table)
    if source is not None:
        at = version(snapshots[source])
        queries["source_files"] = verify_sql(contract, "files", **{**place, "table": RawSql(source), "version": at})
        queries["differing"] = verify_sql(contract, f"exact_{table}", source=RawSql(source), source_version=at, **place)
    return queries


def _other_hours(contract: Contract, columns: TableColumns, hour: Hour, place: Mapping[str, str]) -> str:
    """A key that holds its time can stray only by a wrong hour (`wrong_hour`), so its neighbours are enough; any other
    key is looked for a day around.
    """
    reach = 1 if contract.time_column(columns.table) in columns.identity else 24
    others = [hour.shifted(step) for step in range(-reach, reach + 1) if step]
    same = " AND ".join(f'here."{name}" = other."{name}"' for name in columns.identity)
    own = ", ".join(f'other."{name}"' for name in columns.identity)
    return verify_sql(
        contract, "other_hours", other_key=RawSql(own), same_key=RawSql(same), hours=hour_filter(others), **place
    )


def _event_ms(contract: Contract, columns: TableColumns) -> str | None:
    """The exchange's time of a row in ms; None where the row does not hold the time that its partition is made of."""
    name = contract.time_column(columns.table)
    column = next((column for column in columns.columns if column.name == name), None)
    if column is None:
        return None
    # A TIMESTAMP(3) is counted in ms.
    return f"arrow_cast(\"{name}\", 'Int64')" if column.type.startswith("TIMESTAMP") else f'"{name}"'


def _names(columns: Iterable[str]) -> RawSql:
    return RawSql(", ".join(f'"{name}"' for name in columns))


def _null_counts(columns: TableColumns) -> RawSql:
    required = [column.name for column in columns.columns if column.required]
    return RawSql(", ".join(f'count(*) - count("{name}") AS "{name}"' for name in required))
