"""Closing an hour: full compaction, exact candles, and the proof that the compaction changed nothing.

An hour may be closed again and again: what has not changed since is left alone, and every step may be repeated. What
goes wrong with one hour or one table is said at the end and keeps no other from its turn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upbit_lake.contract.columns import table_columns
from upbit_lake.contract.lake_sql import verify_sql, version
from upbit_lake.contract.sql_files import RawSql
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.gateway import GatewayError, GatewaySession
from upbit_lake.engines.flink.session import BATCH, lake_session
from upbit_lake.engines.flink.slots import BatchYieldsError, disturbed, streaming_jobs
from upbit_lake.engines.lake.process import LakeQueryError
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.layout import Row, file_problem, is_changed, newest_snapshots
from upbit_lake.hours.partitions import PartitionState, hour_filter, read_partitions
from upbit_lake.maintain.batch import job_names, run_file, wait_for_batch_slot
from upbit_lake.maintain.plan import Closing
from upbit_lake.state.hours import set_closed

log = logging.getLogger(__name__)


class CompactionError(RuntimeError):
    """A compaction broke its promise. One line: every table and hour, what differs."""


class CloseError(RuntimeError):
    """The engines failed with some tables; the next run repeats them. One line: which, why."""


@dataclass(frozen=True)
class Compacted:
    """What a compaction left: the partitions that are whole, as of its own snapshot, their files, what is broken."""

    states: Sequence[PartitionState]
    files: int
    broken: Sequence[str]


def compact(engines: Engines, session: GatewaySession, table: str, hours: Sequence[Hour]) -> Compacted:
    """Compact `hours` of `table` in one job, and hold what came of it against what was promised."""
    newest = newest_snapshots(engines.lake, engines.contract)[table] or 0
    session.set("pipeline.name", f"compact {engines.contract.lake.database}.{table} {_span(hours)}")
    partitions = ";".join(f"dt={hour.dt},hh={hour.hh}" for hour in hours)
    run_file(engines, session, "compact", {"TABLE": table, "PARTITIONS": partitions})
    made = _compactions(engines, table, newest)
    last = made[-1] if made else newest
    broken: dict[Hour, str] = {}
    for snapshot in reversed(made):
        broken |= _changed(engines, table, hours, snapshot)
    files = {hour: buckets for hour, buckets in _files(engines, table, hours, last).items() if not is_changed(buckets)}
    for hour, buckets in files.items():
        problem = file_problem(buckets, engines.contract.hours.target_file_size_mb << 20)
        if problem:
            broken.setdefault(hour, f"{problem} after the compaction")
    whole = files.keys() - broken.keys()
    # As of the compaction's own snapshot: what was written after it makes the hour changed again.
    states = [
        item for item in read_partitions(engines.lake, engines.contract, {table: last})[table] if item.hour in whole
    ]
    count = sum(bucket["files"] for hour in whole for bucket in files[hour])
    return Compacted(states, count, [f"{table} {hour}: {broken[hour]}" for hour in sorted(broken)])


Compaction = Callable[[Engines, GatewaySession, str, Sequence[Hour]], Compacted]


def close_hours(engines: Engines, closing: Closing, now: datetime, compaction: Compaction = compact) -> list[str]:
    """Do what `closing` says and remember it; one line of outcome a table.

    Raises:
        BatchYieldsError: a streaming job needs the slot, and nothing was done yet.
        CompactionError: rows, sums or files are not as promised, or a streaming job was disturbed.
        CloseError: the engines failed with some of the tables.
    """
    if not closing:
        return []
    # Compared at the end: a job that restarted meanwhile may have written beside the compaction.
    before = streaming_jobs(engines.flink, job_names(engines))
    lines, broken, failed = list[str](), list[str](), list[str]()
    with lake_session(engines.gateway, engines.contract, engines.settings, "close hours", BATCH) as session:
        for table, hours in closing.compact.items():
            try:
                derived = {name: closing.exact[name] for name in closing.exact if _derives(engines, name, table)}
                done = _close(engines, session, table, hours, derived, now, compaction)
            except BatchYieldsError as reason:
                if not (lines or failed):
                    raise
                lines.append(str(reason))
                break
            except (GatewayError, LakeQueryError) as error:
                # The other tables keep their turn; the run fails at its end and names this one.
                failed.append(f"{table} {_span(hours)}: {error}")
                log.error("%s", failed[-1])
                continue
            lines.append(_outcome(table, hours, done))
            broken += done.broken
            log.info("%s", lines[-1])
    moved = disturbed(before, streaming_jobs(engines.flink, job_names(engines)))
    if moved:
        broken.append(f"streaming jobs were restarted while hours were closed: {', '.join(moved)}")
    # A broken promise is said before a failed engine: it must not be tried again, which would hide it.
    if broken:
        raise CompactionError("; ".join([*broken, *failed]))
    if failed:
        raise CloseError("; ".join(failed))
    return lines


def _close(
    engines: Engines,
    session: GatewaySession,
    table: str,
    hours: Sequence[Hour],
    derived: Mapping[str, Sequence[Hour]],
    now: datetime,
    compaction: Compaction,
) -> Compacted:
    """Compact `hours` of a table, recompute `derived` from what is now in it, and remember the hours as closed.

    In this order: a row that comes after the compaction makes its hour changed again, so that none is ever
    remembered as closed without being in what is derived from it.
    """
    wait_for_batch_slot(engines)
    done = compaction(engines, session, table, hours)
    for name, changed in derived.items():
        wait_for_batch_slot(engines)
        _exact(engines, session, name, changed)
    set_closed(engines.db, done.states, now)
    return done


def _exact(engines: Engines, session: GatewaySession, table: str, hours: Sequence[Hour]) -> None:
    """Recompute `hours` of a derived table from the rows that its source holds."""
    session.set("pipeline.name", f"exact {table} {_span(hours)}")
    source = engines.contract.source_table(table) or ""
    run_file(engines, session, f"exact_{table}", {"TABLE": table, "SOURCE": source, "HOURS": hour_filter(hours)})
    log.info("%s: exact rows of %s", table, _span(hours))


def _derives(engines: Engines, derived: str, table: str) -> bool:
    return engines.contract.source_table(derived) == table


def _compactions(engines: Engines, table: str, after: int) -> list[int]:
    query = verify_sql(engines.contract, "compactions", table=RawSql(table), after=RawSql(after))
    return [row["snapshot_id"] for row in engines.lake.rows(query)]


def _changed(engines: Engines, table: str, hours: Sequence[Hour], snapshot: int) -> dict[Hour, str]:
    """The hours whose rows or sums differ between the compaction's snapshot and the one before it, in words."""
    totals = ", ".join(
        f'{column.total} AS "{column.name}"' for column in table_columns(engines.contract, table).columns
    )
    queries = [
        verify_sql(
            engines.contract,
            "totals",
            table=RawSql(table),
            version=version(moment),
            totals=RawSql(totals),
            dt=hour.dt,
            hh=hour.hh,
        )
        for hour in hours
        for moment in (snapshot - 1, snapshot)
    ]
    answers = [answer.to_pylist()[0] for answer in engines.lake.query_all(queries)]
    return {
        hour: f"{difference(before, after)} (snapshot {snapshot})"
        for hour, before, after in zip(hours, answers[0::2], answers[1::2], strict=True)
        if before != after
    }


def _files(engines: Engines, table: str, hours: Sequence[Hour], snapshot: int) -> dict[Hour, list[dict[str, Any]]]:
    """The files of `hours` by bucket."""
    queries = [
        verify_sql(engines.contract, "files", table=RawSql(table), version=version(snapshot), dt=hour.dt, hh=hour.hh)
        for hour in hours
    ]
    answers = engines.lake.query_all(queries)
    return {hour: answer.to_pylist() for hour, answer in zip(hours, answers, strict=True)}


def difference(before: Row, after: Row) -> str:
    """The first total that a compaction changed, in words."""
    name = next(name for name in before if before[name] != after[name])
    return f"the compaction changed {name} from {before[name]} to {after[name]}"


def _outcome(table: str, hours: Sequence[Hour], done: Compacted) -> str:
    changed = len(hours) - len(done.states) - len(done.broken)
    line = f"{table}: {_span(hours)} in {done.files} files as promised"
    line += f", {changed} hours changed meanwhile" if changed else ""
    return line + (f", {len(done.broken)} hours broken" if done.broken else "")


def _span(hours: Iterable[Hour]) -> str:
    hours = list(hours)
    first, last = min(hours), max(hours)
    return str(first) if first == last else f"{first}..{last} ({len(set(hours))} hours)"
