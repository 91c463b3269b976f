"""When a piece of maintenance that is due once a day was last done."""

from __future__ import annotations

from datetime import datetime

from upbit_lake.engines.postgres import Connection, query


def last_run(db: Connection, name: str) -> datetime | None:
    """When the daily work `name` was last done."""
    rows = query(db, "maintenance_runs/last", {"name": name})
    return rows[0]["at"] if rows else None


def set_run(db: Connection, name: str, now: datetime) -> None:
    """Remember that the daily work `name` was done."""
    query(db, "maintenance_runs/set", {"name": name, "at": now})
