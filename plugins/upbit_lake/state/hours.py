"""Which partitions were closed and verified, and the fingerprint that they had then."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from upbit_lake.engines.postgres import Database
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.partitions import PartitionState

Key = tuple[str, Hour]


def closed(db: Database) -> dict[Key, str]:
    """Fingerprints of partitions after their hour was closed."""
    return _fingerprints(db, "closed")


def verified(db: Database) -> dict[Key, str]:
    """Fingerprints of partitions when their hour was verified."""
    return _fingerprints(db, "verified")


def set_closed(db: Database, states: Iterable[PartitionState], now: datetime) -> None:
    """Remember that these partitions were closed as they are in `states`."""
    db.query_each("hours/set_closed", _rows(states, now))


def set_verified(db: Database, states: Iterable[PartitionState], now: datetime) -> None:
    """Remember that these partitions were verified as they are in `states`."""
    db.query_each("hours/set_verified", _rows(states, now))


def _fingerprints(db: Database, column: str) -> dict[Key, str]:
    rows = db.query("hours/fingerprints")
    return {(r["table_name"], Hour(r["dt"], r["hh"])): r[column] for r in rows if r[column] is not None}


def _rows(states: Iterable[PartitionState], now: datetime) -> list[dict[str, object]]:
    return [{"table": s.table, **vars(s.hour), "fingerprint": s.fingerprint, "at": now} for s in states]
