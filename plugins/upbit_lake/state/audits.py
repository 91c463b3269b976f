"""What the coverage audits remember of a topic: the offsets that were audited, and the gaps that are open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from upbit_lake.engines.postgres import Database, Row
from upbit_lake.hours.hour import Hour


@dataclass(frozen=True)
class Window:
    """Audited offsets [start, end) of a partition. `began_ms`: receive time of the topic's first record."""

    topic: str
    topic_id: str
    partition: int
    start: int
    end: int
    began_ms: int
    received_until: datetime | None = None


class GapKind(StrEnum):
    """Why offsets are not accounted for: the row is missing, the record cannot be stored and is not among the dead
    letters yet, or Kafka's retention deleted the record before it was audited.
    """

    LOSS = "loss"
    BAD = "bad"
    LOG_EXPIRED = "log_expired"


@dataclass(frozen=True)
class Gap:
    """Offsets [start, end) that are not accounted for, with the hours of the exchange that they can belong to."""

    topic: str
    topic_id: str
    partition: int
    start: int
    end: int
    kind: GapKind
    first_hour: Hour
    last_hour: Hour
    event_key: str = ""
    reason: str = ""


def read_windows(db: Database, topic: str) -> list[Window]:
    """The audited windows of `topic` and of older topics of that name, in the order in which they were audited."""
    return [Window(**row) for row in db.query("audits/windows", {"topic": topic})]


def read_gaps(db: Database, topic: str) -> list[Gap]:
    """The open gaps of `topic`."""
    return [_gap(**row) for row in db.query("audits/gaps", {"topic": topic})]


def save_audit(db: Database, topic: str, windows: Sequence[Window], gaps: Sequence[Gap], now: datetime) -> None:
    """Add `windows` and make `gaps` the open gaps of `topic`, in one transaction."""
    with db.transaction():
        db.query_each("audits/save_window", [vars(window) | {"at": now} for window in windows])
        db.query("audits/forget_gaps", {"topic": topic})
        db.query_each("audits/save_gap", [_row(gap) | {"at": now} for gap in gaps])


def _row(gap: Gap) -> Row:
    first, last = gap.first_hour, gap.last_hour
    return vars(gap) | {"first_dt": first.dt, "first_hh": first.hh, "last_dt": last.dt, "last_hh": last.hh}


def _gap(kind: str, first_dt: str, first_hh: str, last_dt: str, last_hh: str, **rest: Any) -> Gap:
    return Gap(kind=GapKind(kind), first_hour=Hour(first_dt, first_hh), last_hour=Hour(last_dt, last_hh), **rest)
