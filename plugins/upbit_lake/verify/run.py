"""Verifying closed hours: which ones, both levels, and what the run says at its end."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from upbit_lake.contract.model import Contract
from upbit_lake.engines.engines import Engines
from upbit_lake.hours.closing import is_expired, work_list
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.layout import newest_snapshots
from upbit_lake.hours.partitions import PartitionState, updated_at
from upbit_lake.hours.progress import LakeState, read_lake
from upbit_lake.state.hours import Key, set_verified, verified
from upbit_lake.state.ingester_gaps import missing
from upbit_lake.state.verdicts import HourVerdict, Level, Status, read_verdicts, save_verdicts
from upbit_lake.verify.audit import Auditor
from upbit_lake.verify.coverage import judge_coverage, pending_offsets
from upbit_lake.verify.gaps_named import with_gaps
from upbit_lake.verify.structural import structural_verdict

log = logging.getLogger(__name__)

MOST_ROWS = "most_rows"


@dataclass(frozen=True)
class Work:
    """Partitions to verify (with the fingerprint they have now) and hours that should be in the lake but are not."""

    states: Sequence[PartitionState]
    gone: Sequence[tuple[str, Hour]]

    def hours_of(self, table: str) -> list[Hour]:
        """The hours of `table` in this work."""
        return [state.hour for state in self.states if state.table == table]


def plan_work(
    contract: Contract,
    state: LakeState,
    verified: Mapping[Key, str],
    verdicts: Iterable[HourVerdict],
    only: Hour | None,
    limit: int,
) -> Work:
    """All closed hours that changed since they were verified, oldest first, and those whose verdict was red or late.

    `only` names one hour instead, whatever was verified before. `verified`: the fingerprints that hours had then.
    """
    every = [item for items in state.states.values() for item in items]
    gone = gone_hours(contract, state, verified)
    if only is not None:
        return Work([item for item in every if item.hour == only], [item for item in gone if item[1] == only])
    changed = work_list(every, verified, state.is_closed, limit)
    open_hours = {(v.table, v.hour) for v in verdicts if v.status in (Status.RED, Status.LATE)}
    again = [item for item in every if (item.table, item.hour) in open_hours and state.is_closed(item)]
    picked = {(item.table, item.hour): item for item in [*changed, *again[: limit * len(contract.tables)]]}
    return Work(list(picked.values()), gone)


def gone_hours(contract: Contract, state: LakeState, verified: Mapping[Key, str]) -> list[tuple[str, Hour]]:
    """Hours that were verified once and are no longer in the lake.

    An hour that never was there proves nothing: trades come by REST too, tickers and books do not.
    """
    present = {(table, item.hour) for table, items in state.states.items() for item in items}
    gone = [
        (table, hour)
        for (table, hour), fingerprint in verified.items()
        if (table, hour) not in present
        and not is_expired(updated_at(fingerprint), contract.tables[table].retention_d, state.now)
    ]
    return sorted(gone, key=lambda item: (item[1], item[0]))


def remember_rows(verdict: HourVerdict, most: int) -> HourVerdict:
    """The verdict with the most rows that the hour had when it was whole; an hour that has fewer now has lost some.

    A closed hour can only grow: rows are replaced by their own key, never removed.
    """
    rows = verdict.details.get("rows", 0)
    whole = verdict.status in (Status.GREEN, Status.PARTIAL)
    details = {**verdict.details, MOST_ROWS: max(most, rows) if whole else most}
    if verdict.status is Status.RED or rows >= most:
        return replace(verdict, details=details)
    reason = f"{verdict.table} {verdict.hour}: {rows} rows, {most - rows} fewer than when it was verified before"
    return replace(verdict, status=Status.RED, reason=reason, details={**details, MOST_ROWS: most})


class Verification:
    """Both levels on the pipeline's lake."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._contract = engines.contract
        self._db = engines.db

    def run(self, now: datetime, only: Hour | None = None) -> list[HourVerdict]:
        """Verify and remember; gives every verdict of this run.

        Raises:
            LakeQueryError, KafkaAnswerError: an engine does not answer; the next run repeats what is left.
        """
        state = read_lake(self._engines, now)
        known, before = verified(self._db), read_verdicts(self._db)
        work = plan_work(self._contract, state, known, before, only, self._contract.hours.per_run)
        log.info("%d hours of tables to verify", len(work.states))
        verdicts = [*self._structural(state, work), *self._coverage(state, work)]
        save_verdicts(self._db, verdicts, now)
        set_verified(self._db, work.states, now)
        return verdicts

    def _structural(self, state: LakeState, work: Work) -> list[HourVerdict]:
        verdicts = [
            HourVerdict(Level.STRUCTURAL, table, hour, Status.RED, f"{table} {hour}: the hour is not in the lake")
            for table, hour in work.gone
        ]
        gaps = {stream.table: missing(self._db, name) for name, stream in self._contract.streams.items()}
        snapshots = newest_snapshots(self._engines.lake, self._contract) if work.states else {}
        most = {(v.table, v.hour): v.details.get(MOST_ROWS, 0) for v in read_verdicts(self._db, Level.STRUCTURAL)}
        for item in work.states:
            partial = self._is_partial(state, item.table, item.hour)
            found = structural_verdict(self._engines.lake, self._contract, item.table, item.hour, snapshots, partial)
            found = remember_rows(found, most.get((item.table, item.hour), 0))
            verdicts.append(with_gaps(self._forgiven(state, found), gaps.get(item.table, ())))
            log.info("structural %s: %s", verdicts[-1].status, verdicts[-1].reason)
        return verdicts

    def _coverage(self, state: LakeState, work: Work) -> list[HourVerdict]:
        verdicts: list[HourVerdict] = []
        # The dead letters last: they receive what the audits of the streams find.
        for table in self._contract.tables:
            if table not in self._contract.derived:
                verdicts += self._coverage_of(state, table, work.hours_of(table))
        return verdicts

    def _coverage_of(self, state: LakeState, table: str, hours: Sequence[Hour]) -> list[HourVerdict]:
        auditor = Auditor(self._engines, table)
        audit = auditor.audit(state, hours)
        touched = {hour for gap in audit.gaps for hour in (gap.first_hour, gap.last_hour)}
        verdicts = []
        for hour in sorted({*hours, *touched}):
            partial = self._is_partial(state, table, hour)
            pending = pending_offsets(audit.targets.get(hour, {}), audit.audited)
            found = judge_coverage(table, hour, audit.gaps, pending, audit.fresh, partial)
            verdicts.append(self._forgiven(state, found))
            log.info("coverage %s: %s", found.status, found.reason)
        return verdicts

    def _is_partial(self, state: LakeState, table: str, hour: Hour) -> bool:
        return table != self._contract.dead_letter.table and state.is_partial(hour)

    def _forgiven(self, state: LakeState, verdict: HourVerdict) -> HourVerdict:
        """Hours before the first start are partial, never red."""
        first = state.first_hour
        if verdict.status is not Status.RED or first is None or verdict.hour >= first:
            return verdict
        if verdict.table == self._contract.dead_letter.table:
            return verdict
        return HourVerdict(
            verdict.level, verdict.table, verdict.hour, Status.PARTIAL, f"before the first start; {verdict.reason}"
        )


def summary(verdicts: Iterable[HourVerdict]) -> str:
    """One line: how many verdicts of which status."""
    counts: dict[str, int] = {}
    for verdict in verdicts:
        counts[verdict.status] = counts.get(verdict.status, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "nothing to do"


def absent(only: Hour | None, verdicts: Sequence[HourVerdict]) -> str | None:
    """One line when the hour that was asked for is not in the lake: without a verdict an hour is not green."""
    return f"{only}: no table of the lake has this hour" if only is not None and not verdicts else None


def red_reasons(verdicts: Iterable[HourVerdict], named: int = 5) -> str | None:
    """One line that names table, hour and keys of the red verdicts; None when there are none."""
    red = [verdict for verdict in verdicts if verdict.status is Status.RED]
    if not red:
        return None
    more = f" | and {len(red) - named} more" if len(red) > named else ""
    return f"{len(red)} red: " + " | ".join(f"[{v.level}] {v.reason}" for v in red[:named]) + more
