"""What the control plane has proved and done, by its database's rows: an upgrade keeps each of them as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
Rows = dict[str, list[Row]]

COLUMNS = {
    "verdict": "level, table_name, dt, hh, status, reason, at::text",
    "hour_state": "table_name, dt, hh, closed_fingerprint, verified_fingerprint",
    "coverage_window": "topic, topic_id, kafka_partition, from_offset, to_offset, at::text",
    "ingester_gap": "stream, code, last_seen_ms, cause, opened_at::text",
    "alarm": "id, subject, text, opened_at::text",
    "job_run": "job_id, name, started_from, fingerprint, submitted_at::text",
}


def rows(ask: Callable[[str], list[Row]]) -> Rows:
    """The rows by table; `ask` answers a query of the control database."""
    return {table: ask(f"SELECT {columns} FROM {table}") for table, columns in COLUMNS.items()}


def assert_all_are_there(before: Rows, now: Rows) -> None:
    """No row is gone or changed, but for the verdicts and fingerprints of an hour that changed meanwhile."""
    for table in ("verdict", "hour_state", "coverage_window", "job_run"):
        assert before[table], f"{table} was empty before: the test shows nothing"
    keyed = {table: {_key(table, row) for row in found} for table, found in now.items()}
    for table, found in before.items():
        assert [row for row in found if _key(table, row) not in keyed[table]] == [], table


def assert_nothing_was_verified_again(before: Rows, now: Rows) -> None:
    """The verdicts of an hour that is as it was are as they were, with the time when they were made."""
    same = {hour(row) for row in now["hour_state"] if row in before["hour_state"] and row["verified_fingerprint"]}
    kept = [row for row in before["verdict"] if hour(row) in same]
    assert kept, "every verified hour changed: the test shows nothing"
    assert [row for row in kept if row not in now["verdict"]] == []


def hour(row: Row) -> tuple[str, str, str]:
    """The hour of a table that a row speaks of."""
    return row["table_name"], row["dt"], row["hh"]


def _key(table: str, row: Row) -> tuple[Any, ...]:
    if table == "verdict":
        return (row["level"], *hour(row))
    return hour(row) if table == "hour_state" else tuple(row.values())
