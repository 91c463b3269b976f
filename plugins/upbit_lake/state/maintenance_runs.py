"""When a piece of maintenance that is due once a day was last done."""

from __future__ import annotations

from datetime import datetime

from upbit_lake.engines.postgres import Database


def last_run(db: Database, name: str) -> datetime | None:
    """When the daily work `name` was last done."""
    rows = db.query("maintenance_runs/last", {"name": name})
    return rows[0]["at"] if rows else None


def set_run(db: Database, name: str, now: datetime) -> None:
    """Remember that the daily work `name` was done."""
    db.query("maintenance_runs/set", {"name": name, "at": now})
