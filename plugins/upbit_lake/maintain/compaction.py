"""Closing an hour: full compaction, exact candles, and the proof that the compaction changed nothing.

An hour may be closed again and again: what has not changed since is left alone, and every step may be repeated. What
goes wrong with one hour or one table is told at the end and keeps no other from its turn.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upbit_lake.contract.columns import table_columns
from upbit_lake.contract.lake_sql import verify_sql, version
from upbit_lake.contract.model import Contract
from upbit_lake.contract.settings import Settings
from upbit_lake.contract.sql_files import RawSql, load_statements, sql_variables
from upbit_lake.engines.flink.gateway import FlinkGateway, GatewayError, GatewaySession
from upbit_lake.engines.flink.jobmanager import FlinkRest
from upbit_lake.engines.flink.session import BATCH, lake_session
from upbit_lake.engines.flink.slots import BatchYieldsError, await_slot, disturbed, streaming_jobs
from upbit_lake.engines.lake.process import LakeQueryError
from upbit_lake.engines.lake.reader import LakeReader
from upbit_lake.engines.postgres import Connection
from upbit_lake.hours.closing import work_list
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.layout import Row, file_problem, is_changed, newest_snapshots
from upbit_lake.hours.partitions import PartitionState, hour_filter, read_partitions
from upbit_lake.hours.progress import LakeState
from upbit_lake.jobs.identity import pipeline_name
from upbit_lake.state.hours import set_closed

log = logging.getLogger(__name__)

SLOT_WAIT_S = 120.0
STATEMENT_S = 1500.0


class CompactionError(RuntimeError):
    """A compaction broke its promise. One line: every table and hour, what differs."""


class CloseError(RuntimeError):
    """The engines failed with some tables; the next run repeats them. One line: which, why."""


@dataclass(frozen=True)
class Closing:
    """What one run does: by derived table the hours that are recomputed, and by table the hours to compact.

    Sources come first: what is derived from them is computed once they are compacted, and is compacted last.
    """

    exact: Mapping[str, Sequence[Hour]]
    compact: Mapping[str, Sequence[Hour]]

    def __bool__(self) -> bool:
        return bool(self.exact or self.compact)


def plan_closing(contract: Contract, state: LakeState, done: Mapping[tuple[str, Hour], str]) -> Closing:
    """The closed hours that changed since they were closed last, oldest first, at most `hours.per_run` of them.

    A derived table is recomputed only where its source changed; its partition is then compacted with the others.
    """
    every = [item for items in state.states.values() for item in items]
    changed = work_list(every, done, state.is_closed, contract.hours.per_run)
    hours: dict[str, list[Hour]] = {}
    for item in changed:
        hours.setdefault(item.table, []).append(item.hour)
    exact = {table: hours[source] for source in hours for table in contract.derived_from(source)}
    sources = {source: hours[source] for table in exact if (source := contract.source_table(table)) is not None}
    others = {table: hours[table] for table in hours if table not in exact}
    last = {table: sorted({*hours.get(table, ()), *exact[table]}) for table in exact}
    return Closing(exact, sources | others | last)


@dataclass(frozen=True)
class Compacted:
    """What a compaction left: the partitions that are whole, as of its own snapshot, their files, what is broken."""

    states: Sequence[PartitionState]
    files: int
    broken: Sequence[str]


@dataclass(frozen=True)
class Maintenance:
    """The engines that closing and expiry work with."""

    contract: Contract
    settings: Settings
    gateway: FlinkGateway
    rest: FlinkRest
    reader: LakeReader
    db: Connection

    @classmethod
    def connect(cls, contract: Contract, settings: Settings, db: Connection) -> Maintenance:
        """Clients for `settings`; nothing is contacted yet."""
        return cls(
            contract,
            settings,
            FlinkGateway(settings.flink_gateway_url),
            FlinkRest(settings.flink_rest_url),
            LakeReader.connect(contract, settings),
            db,
        )

    @property
    def job_names(self) -> list[str]:
        """The streaming jobs as Flink calls them."""
        return [pipeline_name(self.contract, job) for job in self.contract.jobs.values()]

    def close_hours(self, closing: Closing, now: datetime) -> list[str]:
        """Do what `closing` says and remember it; one line of outcome a table.

        Raises:
            BatchYieldsError: a streaming job needs the slot, and nothing was done yet.
            CompactionError: rows, sums or files are not as promised, or a streaming job was disturbed.
            CloseError: the engines failed with some of the tables.
        """
        if not closing:
            return []
        before = streaming_jobs(self.rest, self.job_names)
        lines, broken, failed = list[str](), list[str](), list[str]()
        with lake_session(self.gateway, self.contract, self.settings, "close hours", BATCH) as session:
            for table, hours in closing.compact.items():
                try:
                    derived = {name: closing.exact[name] for name in closing.exact if self._derives(name, table)}
                    done = self._close(session, table, hours, derived, now)
                except BatchYieldsError as reason:
                    if not (lines or failed):
                        raise
                    lines.append(str(reason))
                    break
                except (GatewayError, LakeQueryError) as error:
                    failed.append(f"{table} {_span(hours)}: {error}")
                    log.error("%s", failed[-1])
                    continue
                lines.append(_outcome(table, hours, done))
                broken += done.broken
                log.info("%s", lines[-1])
        moved = disturbed(before, streaming_jobs(self.rest, self.job_names))
        if moved:
            broken.append(f"streaming jobs were restarted while hours were closed: {', '.join(moved)}")
        if broken:
            raise CompactionError("; ".join([*broken, *failed]))
        if failed:
            raise CloseError("; ".join(failed))
        return lines

    def _close(
        self,
        session: GatewaySession,
        table: str,
        hours: Sequence[Hour],
        derived: Mapping[str, Sequence[Hour]],
        now: datetime,
    ) -> Compacted:
        """Compact `hours` of a table, recompute `derived` from what is now in it, and remember the hours as closed.

        In this order: a row that comes after the compaction makes its hour changed again, so that none is ever
        remembered as closed without being in what is derived from it.
        """
        await_slot(self.rest, self.job_names, SLOT_WAIT_S)
        done = self._compact(session, table, hours)
        for name, changed in derived.items():
            await_slot(self.rest, self.job_names, SLOT_WAIT_S)
            self._exact(session, name, changed)
        set_closed(self.db, done.states, now)
        return done

    def run(self, session: GatewaySession, file: str, values: Mapping[str, str]) -> list[dict[str, Any]]:
        """Run `sql/maintenance/<file>.sql` and give the rows of its last statement."""
        path = self.contract.root / "sql" / "maintenance" / f"{file}.sql"
        variables = {
            **sql_variables(self.contract, self.settings),
            "DATABASE": self.contract.lake.database,
            **values,
        }
        results = session.run_all(load_statements(path, variables), STATEMENT_S)
        return results[-1].dicts()

    def _exact(self, session: GatewaySession, table: str, hours: Sequence[Hour]) -> None:
        """Recompute `hours` of a derived table from the rows that its source holds."""
        session.set("pipeline.name", f"exact {table} {_span(hours)}")
        source = self.contract.source_table(table) or ""
        self.run(session, f"exact_{table}", {"TABLE": table, "SOURCE": source, "HOURS": hour_filter(hours)})
        log.info("%s: exact rows of %s", table, _span(hours))

    def _derives(self, derived: str, table: str) -> bool:
        return self.contract.source_table(derived) == table

    def _compact(self, session: GatewaySession, table: str, hours: Sequence[Hour]) -> Compacted:
        """Compact `hours` of `table` in one job, and hold what came of it against what was promised."""
        newest = newest_snapshots(self.reader, self.contract)[table] or 0
        session.set("pipeline.name", f"compact {self.contract.lake.database}.{table} {_span(hours)}")
        partitions = ";".join(f"dt={hour.dt},hh={hour.hh}" for hour in hours)
        self.run(session, "compact", {"TABLE": table, "PARTITIONS": partitions})
        made = self._compactions(table, newest)
        last = made[-1] if made else newest
        broken: dict[Hour, str] = {}
        for snapshot in reversed(made):
            broken |= self._changed(table, hours, snapshot)
        files = {hour: buckets for hour, buckets in self._files(table, hours, last).items() if not is_changed(buckets)}
        for hour, buckets in files.items():
            problem = file_problem(buckets, self.contract.hours.target_file_size_mb << 20)
            if problem:
                broken.setdefault(hour, f"{problem} after the compaction")
        whole = files.keys() - broken.keys()
        # As of the compaction's own snapshot: what was written after it makes the hour changed again.
        states = [
            item for item in read_partitions(self.reader, self.contract, {table: last})[table] if item.hour in whole
        ]
        count = sum(bucket["files"] for hour in whole for bucket in files[hour])
        return Compacted(states, count, [f"{table} {hour}: {broken[hour]}" for hour in sorted(broken)])

    def _compactions(self, table: str, after: int) -> list[int]:
        query = verify_sql(self.contract, "compactions", table=RawSql(table), after=RawSql(after))
        return [row["snapshot_id"] for row in self.reader.rows(query)]

    def _changed(self, table: str, hours: Sequence[Hour], snapshot: int) -> dict[Hour, str]:
        """The hours whose rows or sums differ between the compaction's snapshot and the one before it, in words."""
        totals = ", ".join(
            f'{column.total} AS "{column.name}"' for column in table_columns(self.contract, table).columns
        )
        queries = [
            verify_sql(
                self.contract,
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
        answers = [answer.to_pylist()[0] for answer in self.reader.query_all(queries)]
        return {
            hour: f"{difference(before, after)} (snapshot {snapshot})"
            for hour, before, after in zip(hours, answers[0::2], answers[1::2], strict=True)
            if before != after
        }

    def _files(self, table: str, hours: Sequence[Hour], snapshot: int) -> dict[Hour, list[dict[str, Any]]]:
        """The files of `hours` by bucket."""
        queries = [
            verify_sql(self.contract, "files", table=RawSql(table), version=version(snapshot), dt=hour.dt, hh=hour.hh)
            for hour in hours
        ]
        answers = self.reader.query_all(queries)
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
