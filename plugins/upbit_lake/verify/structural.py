"""The structural level: is an hour of a table whole in itself? Reads the lake only (docs/decisions/0020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from upbit_lake.contract.model import Contract
from upbit_lake.engines.lake.reader import LakeReader
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.layout import Row, file_problem, is_changed
from upbit_lake.state.verdicts import HourVerdict, Level, Status
from upbit_lake.verify.evidence import Evidence, evidence_of, evidence_queries


def structural_verdict(
    reader: LakeReader,
    contract: Contract,
    table: str,
    hour: Hour,
    snapshots: Mapping[str, int | None],
    partial: bool = False,
) -> HourVerdict:
    """Read the evidence of one hour in one process and judge it; raises LakeQueryError, SqlFileError."""
    queries = evidence_queries(contract, table, hour, snapshots)
    answers = dict(zip(queries, reader.query_all(list(queries.values())), strict=True))
    evidence = evidence_of(answers, contract.source_table(table))
    return judge(table, hour, evidence, contract.hours.target_file_size_mb << 20, partial)


def judge(table: str, hour: Hour, evidence: Evidence, target_bytes: int, partial: bool = False) -> HourVerdict:
    """The verdict on one hour. `partial`: the source was not there for all of it.

    An hour with files of level 0 has changed since it was closed: LATE, the next pass closes it again.
    """
    files = sum(bucket["files"] for bucket in evidence.buckets)
    physical = sum(bucket["physical_rows"] for bucket in evidence.buckets)
    details = {"rows": evidence.logical_rows, "physical_rows": physical, "files": files}
    problems = _problems(evidence)
    if not problems and (evidence.source_changed or is_changed(evidence.buckets)):
        reason = f"{table} {hour}: changed after its compaction, {files} files; the next compaction closes it again"
        return HourVerdict(Level.STRUCTURAL, table, hour, Status.LATE, reason, details)
    if not problems:
        problems = _layout_problems(evidence, physical, target_bytes)
    if problems:
        reason = f"{table} {hour}: " + "; ".join(problems)
        return HourVerdict(Level.STRUCTURAL, table, hour, Status.RED, reason, details)
    status = Status.PARTIAL if partial else Status.GREEN
    note = ", the source began within or after this hour" if partial else ""
    reason = f"{table} {hour}: {evidence.logical_rows} rows in {files} files{note}"
    return HourVerdict(Level.STRUCTURAL, table, hour, status, reason, details)


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
    # While the source changes, its computed table is behind by right: the next closing brings it up.
    if evidence.differing and not evidence.source_changed:
        problems.append(_sample(f"rows that differ from {evidence.source}", evidence.differing))
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
