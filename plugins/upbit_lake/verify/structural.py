"""The structural level: is an hour of a table whole in itself? Reads the lake only (docs/decisions/0020).

Every query of an hour reads the same snapshots, so that what streams in meanwhile cannot contradict the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from upbit_lake.contract.columns import TableColumns, table_columns
from upbit_lake.contract.model import Contract
from upbit_lake.contract.sql_files import RawSql
from upbit_lake.engines.lake.reader import LakeReader
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.partitions import CANDLES, hour_filter, verify_sql, version
from upbit_lake.state.verdicts import Level, Status, Verdict

Row = Mapping[str, Any]
# Of the target size: Paimon's `compaction.small-file-ratio`; a larger file is not rewritten.
LARGE = 0.7


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of a table: the newest, the newest made by a compaction, and when rows were last added (UTC)."""

    newest: int | None
    compacted: int | None
    appended_at: datetime | None


@dataclass(frozen=True)
class Evidence:
    """What the lake says about one hour of a table; each sample row carries the `total` of its kind.

    `nulls`: required column → NULLs. `buckets`: files, bytes, physical_rows and lowest_level by bucket.
    `trades_changed`: trades came after the hour was closed, so its candles wait for the next closing.
    """

    logical_rows: int
    nulls: Mapping[str, int]
    buckets: Sequence[Row]
    wrong_hour: Sequence[Row] = ()
    other_hours: Sequence[Row] = ()
    candles: Sequence[Row] = ()
    trades_changed: bool = False


def promised_files(bucket: Row, target_bytes: int) -> int:
    """The most files that a full compaction leaves in a bucket: one, as long as its bytes are well below the target.

    Above it ⌈bytes / target⌉ is not what Paimon promises: it closes a file by an estimate before compression (measured
    at a target of 8 MB: files of 5.8 and 6.2), and leaves a file of LARGE of the target as it is, so that one small
    file may stand before, between and after large ones (1 + 128 + 1 MB are three files).
    """
    return 2 * int(bucket["bytes"] / (LARGE * target_bytes)) + 1


def file_problem(buckets: Sequence[Row], target_bytes: int) -> str | None:
    """In words, when an hour has more files than promised after a full compaction."""
    worse = [item for item in buckets if item["files"] > promised_files(item, target_bytes)]
    words = (
        f"{item['files']} files in bucket {item['bucket']}, at most {promised_files(item, target_bytes)} promised"
        for item in worse
    )
    return "; ".join(words) or None


def judge(table: str, hour: Hour, evidence: Evidence, target_bytes: int, partial: bool = False) -> Verdict:
    """The verdict on one hour. `partial`: the source was not there for all of it.

    An hour with files of level 0 has changed since it was closed: LATE, the next pass closes it again.
    """
    files = sum(bucket["files"] for bucket in evidence.buckets)
    physical = sum(bucket["physical_rows"] for bucket in evidence.buckets)
    details = {"rows": evidence.logical_rows, "physical_rows": physical, "files": files}
    problems = _problems(evidence)
    if not problems and (evidence.trades_changed or is_changed(evidence.buckets)):
        reason = f"{table} {hour}: changed after its compaction, {files} files; the next compaction closes it again"
        return Verdict(Level.STRUCTURAL, table, hour, Status.LATE, reason, details)
    if not problems:
        problems = _layout_problems(evidence, physical, target_bytes)
    if problems:
        reason = f"{table} {hour}: " + "; ".join(problems)
        return Verdict(Level.STRUCTURAL, table, hour, Status.RED, reason, details)
    status = Status.PARTIAL if partial else Status.GREEN
    note = ", the source began within or after this hour" if partial else ""
    reason = f"{table} {hour}: {evidence.logical_rows} rows in {files} files{note}"
    return Verdict(Level.STRUCTURAL, table, hour, status, reason, details)


def is_changed(buckets: Iterable[Row]) -> bool:
    """Whether something was written since the last full compaction: writers write level 0, the compaction above."""
    return any(bucket["lowest_level"] == 0 for bucket in buckets)


def _problems(evidence: Evidence) -> list[str]:
    problems = []
    if not evidence.logical_rows:
        problems.append("no row")
    for column, count in evidence.nulls.items():
        if count:
            problems.append(f"{column} is NULL in {count} rows")
    if evidence.wrong_hour:
        problems.append(_sample("keys with a time of another hour", evidence.wrong_hour))
    if evidence.other_hours:
        problems.append(_sample("keys that stand in another hour too", evidence.other_hours))
    if evidence.candles and not evidence.trades_changed:
        problems.append(_sample("candles that differ from the trades", evidence.candles))
    return problems


def _layout_problems(evidence: Evidence, physical: int, target_bytes: int) -> list[str]:
    problems = []
    if physical != evidence.logical_rows:
        problems.append(f"{physical} physical rows but {evidence.logical_rows} logical rows after a full compaction")
    files = file_problem(evidence.buckets, target_bytes)
    return [*problems, files] if files else problems


def _sample(what: str, rows: Sequence[Row]) -> str:
    keys = ", ".join(" ".join(str(value) for name, value in row.items() if name != "total") for row in rows)
    more = rows[0]["total"] - len(rows)
    return f"{rows[0]['total']} {what}: {keys}" + (f" and {more} more" if more > 0 else "")


def read_snapshots(reader: LakeReader, contract: Contract) -> dict[str, Snapshots]:
    """The snapshots of every table."""
    queries = [verify_sql(contract, "snapshots", table=RawSql(table)) for table in contract.tables]
    rows = [answer.to_pylist()[0] for answer in reader.query_all(queries)]
    return {table: Snapshots(**row) for table, row in zip(contract.tables, rows, strict=True)}


def structural_verdict(
    reader: LakeReader,
    contract: Contract,
    table: str,
    hour: Hour,
    snapshots: Mapping[str, Snapshots],
    partial: bool = False,
) -> Verdict:
    """Read the evidence of one hour in one process and judge it; raises LakeQueryError, SqlFileError."""
    queries = evidence_queries(contract, table, hour, snapshots)
    answers = dict(zip(queries, reader.query_all(list(queries.values())), strict=True))
    return judge(table, hour, evidence_of(answers), contract.hours.target_file_size_mb << 20, partial)


def evidence_of(answers: Mapping[str, pa.Table]) -> Evidence:
    """The answers of `evidence_queries` as evidence."""
    rows = {name: answer.to_pylist() for name, answer in answers.items()}
    counts = rows["rows"][0]
    return Evidence(
        logical_rows=counts["logical_rows"],
        nulls={name: count or 0 for name, count in counts.items() if name != "logical_rows"},
        buckets=rows["files"],
        wrong_hour=rows.get("wrong_hour", ()),
        other_hours=rows["other_hours"],
        candles=rows.get("candles", ()),
        trades_changed=is_changed(rows.get("trade_files", ())),
    )


def evidence_queries(contract: Contract, table: str, hour: Hour, snapshots: Mapping[str, Snapshots]) -> dict[str, str]:
    """The queries that make an hour's evidence, by name."""
    columns = table_columns(contract, table)
    place = {
        "table": RawSql(table),
        "version": version(snapshots[table].newest),
        "dt": hour.dt,
        "hh": hour.hh,
        "key": _names(columns.identity),
    }
    queries = {
        "rows": verify_sql(contract, "rows", null_counts=_null_counts(columns), **place),
        "files": verify_sql(contract, "files", **place),
        "other_hours": _other_hours(contract, columns, hour, place),
    }
    event = _event_ms(contract, table)
    if event is not None:
        bounds = {"start_ms": RawSql(hour.start_ms), "end_ms": RawSql(hour.end_ms), "event_ms": RawSql(event)}
        queries["wrong_hour"] = verify_sql(contract, "wrong_hour", **place, **bounds)
    if table == CANDLES:
        trade = contract.streams["trade"].table
        trade_place = {**place, "table": RawSql(trade), "version": version(snapshots[trade].newest)}
        queries["trade_files"] = verify_sql(contract, "files", **trade_place)
        queries["candles"] = verify_sql(
            contract,
            "candles",
            trade=RawSql(trade),
            trade_version=version(snapshots[trade].newest),
            candle=RawSql(table),
            **place,
        )
    return queries


def _other_hours(contract: Contract, columns: TableColumns, hour: Hour, place: Mapping[str, str]) -> str:
    """A key that holds its time can stray only by a wrong hour (`wrong_hour`), so its neighbours are enough; a trade
    or a dead letter is looked for a day around.
    """
    stream = contract.stream_of_table(columns.table)
    timed = columns.table == CANDLES or (stream is not None and stream.time in columns.identity)
    reach = 1 if timed else 24
    others = [hour.shifted(step) for step in range(-reach, reach + 1) if step]
    same = " AND ".join(f'here."{name}" = other."{name}"' for name in columns.identity)
    own = ", ".join(f'other."{name}"' for name in columns.identity)
    return verify_sql(
        contract, "other_hours", other_key=RawSql(own), same_key=RawSql(same), hours=hour_filter(others), **place
    )


def _event_ms(contract: Contract, table: str) -> str | None:
    """The exchange's time of a row in ms; None where the row does not hold the time that its partition is made of."""
    if table == CANDLES:
        return "arrow_cast(candle_start, 'Int64')"
    stream = contract.stream_of_table(table)
    return f'"{stream.time}"' if stream else None


def _names(columns: Iterable[str]) -> RawSql:
    return RawSql(", ".join(f'"{name}"' for name in columns))


def _null_counts(columns: TableColumns) -> RawSql:
    required = [column.name for column in columns.columns if column.required]
    return RawSql(", ".join(f'count(*) - count("{name}") AS "{name}"' for name in required))
