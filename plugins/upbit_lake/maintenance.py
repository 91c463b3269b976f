"""Closing an hour: exact candles, full compaction, and the proof that the compaction changed nothing.

An hour may be closed again and again: what has not changed since is left alone, and every step may be repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upbit_lake.batch_slot import await_slot, disturbed, streaming_jobs
from upbit_lake.contract import Contract
from upbit_lake.flink_gateway import FlinkGateway, GatewaySession
from upbit_lake.flink_rest import FlinkRest
from upbit_lake.hours import Hour, work_list
from upbit_lake.jobs import pipeline_name
from upbit_lake.lake_hours import CANDLES, LakeState, hour_filter, read_partitions, verify_sql, version
from upbit_lake.lake_reader import LakeReader
from upbit_lake.lake_session import BATCH, lake_session
from upbit_lake.settings import Settings
from upbit_lake.sql_files import RawSql, load_statements, sql_variables
from upbit_lake.structural import Row, is_changed, promised_files, read_snapshots
from upbit_lake.table_columns import table_columns
from upbit_lake.verdicts import VerdictStore

log = logging.getLogger(__name__)

SLOT_WAIT_S = 120.0
STATEMENT_S = 1500.0


class CompactionError(RuntimeError):
    """A compaction broke its promise. One line: table, hour, what differs."""


@dataclass(frozen=True)
class Closing:
    """What one run does: the hours whose candles are recomputed, and the hours to compact by table."""

    candles: Sequence[Hour]
    compact: Mapping[str, Sequence[Hour]]

    def __bool__(self) -> bool:
        return bool(self.candles or self.compact)


def plan_closing(contract: Contract, state: LakeState, done: Mapping[tuple[str, Hour], str]) -> Closing:
    """The closed hours that changed since they were closed last, oldest first, at most `hours.per_run` of them.

    Candles are recomputed only where trades changed; their partition is then compacted with the others.
    """
    every = [item for items in state.states.values() for item in items]
    changed = work_list(every, done, state.is_closed, contract.hours.per_run)
    trade = contract.streams["trade"].table if "trade" in contract.streams else ""
    candles = [item.hour for item in changed if item.table == trade] if CANDLES in contract.tables else []
    compact: dict[str, list[Hour]] = {}
    for item in changed:
        compact.setdefault(item.table, []).append(item.hour)
    if candles:
        compact[CANDLES] = sorted({*compact.get(CANDLES, []), *candles})
    return Closing(candles, compact)


@dataclass(frozen=True)
class Maintenance:
    """The engines that closing and expiry work with."""

    contract: Contract
    settings: Settings
    gateway: FlinkGateway
    rest: FlinkRest
    reader: LakeReader
    store: VerdictStore

    @classmethod
    def connect(cls, contract: Contract, settings: Settings, store: VerdictStore) -> Maintenance:
        """Clients for `settings`; nothing is contacted yet."""
        return cls(
            contract,
            settings,
            FlinkGateway(settings.flink_gateway_url),
            FlinkRest(settings.flink_rest_url),
            LakeReader.connect(contract, settings),
            store,
        )

    @property
    def job_names(self) -> list[str]:
        """The streaming jobs as Flink calls them."""
        return [pipeline_name(self.contract, job) for job in self.contract.jobs.values()]

    def close_hours(self, closing: Closing, now: datetime) -> list[str]:
        """Do what `closing` says and remember it; one line of outcome a table.

        Raises:
            BatchYieldsError: a streaming job needs the slot.
            CompactionError: rows, sums or files are not as promised, or a streaming job was disturbed.
            GatewayError, LakeQueryError: the engines failed; the next run repeats what is left.
        """
        if not closing:
            return []
        await_slot(self.rest, self.job_names, SLOT_WAIT_S)
        before = streaming_jobs(self.rest, self.job_names)
        with lake_session(self.gateway, self.contract, self.settings, "close hours", BATCH) as session:
            if closing.candles:
                self._exact_candles(session, closing.candles)
            lines = [self._compact(session, table, hours, now) for table, hours in closing.compact.items()]
        moved = disturbed(before, streaming_jobs(self.rest, self.job_names))
        if moved:
            raise CompactionError(f"streaming jobs were restarted while hours were closed: {', '.join(moved)}")
        return lines

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

    def _exact_candles(self, session: GatewaySession, hours: Sequence[Hour]) -> None:
        session.set("pipeline.name", f"exact candles {_span(hours)}")
        self.run(session, "exact_candles", {"HOURS": hour_filter(hours)})
        log.info("candle_1m: exact candles of %s", _span(hours))

    def _compact(self, session: GatewaySession, table: str, hours: Sequence[Hour], now: datetime) -> str:
        """Compact `hours` of `table` in one job and prove it."""
        newest = read_snapshots(self.reader, self.contract)[table].newest or 0
        session.set("pipeline.name", f"compact {self.contract.lake.database}.{table} {_span(hours)}")
        partitions = ";".join(f"dt={hour.dt},hh={hour.hh}" for hour in hours)
        self.run(session, "compact", {"TABLE": table, "PARTITIONS": partitions})
        made = self._compactions(table, newest)
        for snapshot in made:
            self._check_unchanged(table, hours, snapshot)
        last = made[-1] if made else newest
        files, whole = self._check_files(table, hours, last)
        states = read_partitions(self.reader, self.contract, {table: last})[table]
        # Fingerprints as of the compaction's own snapshot: what was written after it makes the hour changed again.
        self.store.set_closed([item for item in states if item.hour in whole], now)
        late = len(hours) - len(whole)
        line = f"{table}: {_span(hours)} in {files} files as promised" + (
            f", {late} hours changed meanwhile" * bool(late)
        )
        log.info("%s", line)
        return line

    def _compactions(self, table: str, after: int) -> list[int]:
        query = verify_sql(self.contract, "compactions", table=RawSql(table), after=RawSql(after))
        return [row["snapshot_id"] for row in self.reader.rows(query)]

    def _check_unchanged(self, table: str, hours: Sequence[Hour], snapshot: int) -> None:
        """The compaction's snapshot and the one before it hold the same rows and sums, hour by hour."""
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
        for hour, before, after in zip(hours, answers[0::2], answers[1::2], strict=True):
            if before != after:
                raise CompactionError(f"{table} {hour}: {difference(before, after)} (snapshot {snapshot})")

    def _check_files(self, table: str, hours: Sequence[Hour], snapshot: int) -> tuple[int, set[Hour]]:
        """Files of `hours`, and the hours that nothing was written to while they were compacted.

        Raises:
            CompactionError: an hour has more or fewer files than promised.
        """
        queries = [
            verify_sql(self.contract, "files", table=RawSql(table), version=version(snapshot), dt=hour.dt, hh=hour.hh)
            for hour in hours
        ]
        target = self.contract.hours.target_file_size_mb << 20
        total, whole = 0, set()
        for hour, answer in zip(hours, self.reader.query_all(queries), strict=True):
            buckets = answer.to_pylist()
            if is_changed(buckets):
                continue
            files, promised = sum(bucket["files"] for bucket in buckets), promised_files(buckets, target)
            if files != promised:
                raise CompactionError(f"{table} {hour}: {files} files after the compaction, {promised} were promised")
            total += files
            whole.add(hour)
        return total, whole


def difference(before: Row, after: Row) -> str:
    """The first total that a compaction changed, in words."""
    name = next(name for name in before if before[name] != after[name])
    return f"the compaction changed {name} from {before[name]} to {after[name]}"


def _span(hours: Sequence[Hour]) -> str:
    first, last = min(hours), max(hours)
    return str(first) if first == last else f"{first}..{last} ({len(set(hours))} hours)"
