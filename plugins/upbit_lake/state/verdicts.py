"""The newest verdict of each level on an hour of a table, or on one market of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from upbit_lake.engines.postgres import Database, Row, as_json
from upbit_lake.hours.hour import Hour


class Status(StrEnum):
    """A verdict's status. LATE and LOG_EXPIRED are no proof of loss, and none of its absence."""

    GREEN = "green"
    RED = "red"
    PARTIAL = "partial"
    LATE = "late"
    LOG_EXPIRED = "log_expired"


class Level(StrEnum):
    """How deep a verdict looks (docs/decisions/0020)."""

    STRUCTURAL = "structural"
    COVERAGE = "coverage"


@dataclass(frozen=True)
class HourVerdict:
    """One level's word on an hour of a table. `reason` is one line that names table, hour and keys.

    `market`: the code that it is about, e.g. `KRW-BTC`; "" = the whole hour.
    """

    level: Level
    table: str
    hour: Hour
    status: Status
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)
    market: str = ""


def save_verdicts(db: Database, verdicts: Iterable[HourVerdict], now: datetime) -> None:
    """Write verdicts over older ones of the same level, table, hour and market."""
    db.query_each("verdicts/save", [_row(verdict) | {"at": now} for verdict in verdicts])


def read_verdicts(db: Database, level: Level | None = None) -> list[HourVerdict]:
    """All verdicts (of a level), oldest hour first."""
    return [_verdict(**row) for row in db.query("verdicts/all", {"level": level})]


def newest(db: Database) -> list[Row]:
    """The verdicts of the newest hours, at most 20: level, table_name, dt, hh, status, reason, at."""
    return db.query("verdicts/newest")


def counts(db: Database) -> list[Row]:
    """How many hours of tables have which verdict: level, status, hours."""
    return db.query("verdicts/counts")


def _row(verdict: HourVerdict) -> Row:
    return {**vars(verdict), **vars(verdict.hour), "details": as_json(dict(verdict.details))}


def _verdict(level: str, status: str, dt: str, hh: str, **rest: Any) -> HourVerdict:
    return HourVerdict(level=Level(level), status=Status(status), hour=Hour(dt, hh), **rest)
