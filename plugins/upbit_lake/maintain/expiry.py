"""What a write-only writer leaves behind: old snapshots, partitions past their retention, orphan files."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from upbit_lake.contract.lake_sql import verify_sql
from upbit_lake.contract.sql_files import RawSql
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.gateway import GatewayError
from upbit_lake.engines.flink.session import BATCH, lake_session
from upbit_lake.maintain.batch import run_file, wait_for_batch_slot
from upbit_lake.state.maintenance_runs import last_run, set_run

log = logging.getLogger(__name__)

DAILY = timedelta(days=1)
ORPHANS = "remove_orphan_files"
# Flink's session runs in UTC, and so does this text.
MOMENT = "%Y-%m-%d %H:%M:%S"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class RetentionError(ValueError):
    """A retention that cannot be understood. One line with the form that is wanted."""


class ExpiryError(RuntimeError):
    """Some tables' snapshots could not be expired; the next run tries again. One line: which, why."""


def parse_retention(text: str) -> timedelta:
    """A duration such as `24h`, `30m`, `45s` or `2 d`; raises RetentionError."""
    match = re.fullmatch(r"\s*(\d+)\s*([smhd])\s*", text)
    if not match:
        raise RetentionError(f"snapshot_retention {text!r} is not a duration; use e.g. 24h, 30m or 45s")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def is_due(last: datetime | None, now: datetime) -> bool:
    """Whether daily work is due."""
    return last is None or now - last >= DAILY


def expire_snapshots(engines: Engines, retention: timedelta, now: datetime) -> list[str]:
    """Expire the snapshots older than `retention`; the newest always stays. One line a table that had any.

    Nothing is asked of Flink when there is nothing to expire. What fails with one table keeps no other from its turn.

    Raises:
        ExpiryError: at the end, when any table failed.
    """
    older_than = now - retention
    tables = _tables_with_old_snapshots(engines, older_than)
    if not tables:
        return []
    lines, failed = list[str](), list[str]()
    with lake_session(engines.gateway, engines.contract, engines.settings, "expire snapshots") as session:
        for table in tables:
            values = {"TABLE": table, "OLDER_THAN": older_than.strftime(MOMENT)}
            try:
                rows = run_file(engines, session, "expire_snapshots", values)
            except GatewayError as error:
                failed.append(f"{table}: {error}")
                log.error("%s", failed[-1])
                continue
            lines.append(f"{table}: {_first(rows)} snapshots older than {older_than:{MOMENT}} UTC expired")
            log.info("%s", lines[-1])
    if failed:
        raise ExpiryError("; ".join(failed))
    return lines


def clean_daily(engines: Engines, now: datetime) -> list[str]:
    """Once a day: drop partitions past their table's retention, remove orphan files. Nothing when it is not due."""
    if not is_due(last_run(engines.db, ORPHANS), now):
        return []
    contract = engines.contract
    wait_for_batch_slot(engines)
    lines = []
    with lake_session(engines.gateway, contract, engines.settings, "daily cleaning", BATCH) as session:
        for name, table in contract.tables.items():
            rows = run_file(
                engines, session, "expire_partitions", {"TABLE": name, "RETENTION_D": str(table.retention_d)}
            )
            lines.append(f"{name}: {_first(rows)}")
        rows = run_file(engines, session, "remove_orphan_files", {"OLDER_THAN": (now - DAILY).strftime(MOMENT)})
        lines.append(f"orphan files removed: {_first(rows)}")
    set_run(engines.db, ORPHANS, now)
    for line in lines:
        log.info("%s", line)
    return lines


def _tables_with_old_snapshots(engines: Engines, older_than: datetime) -> list[str]:
    older_ms = RawSql(int(older_than.timestamp() * 1000))
    tables = list(engines.contract.tables)
    queries = [
        verify_sql(engines.contract, "old_snapshots", table=RawSql(table), older_than_ms=older_ms) for table in tables
    ]
    answers = [answer.to_pylist()[0] for answer in engines.lake.query_all(queries)]
    # The newest snapshot is never expired, however old it is.
    return [t for t, row in zip(tables, answers, strict=True) if (row["old"] or 0) and row["snapshots"] > 1]


def _first(rows: Sequence[dict[str, object]]) -> str:
    return ", ".join(str(value) for row in rows for value in row.values()) or "nothing"
