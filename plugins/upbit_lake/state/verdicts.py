"""What is remembered between runs, in PostgreSQL: closed hours, verdicts, audited offsets and their gaps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from upbit_lake.contract.model import CONTRACT_FILE
from upbit_lake.hours.hour import Hour, PartitionState

SQL = CONTRACT_FILE.parent / "sql" / "verdicts"
Key = tuple[str, Hour]


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
class Verdict:
    """One level's word on an hour of a table. `reason` is one line that names table, hour and keys."""

    level: Level
    table: str
    hour: Hour
    status: Status
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Gap:
    """Offsets [start, end) that are not accounted for, with the hours of the exchange that they can belong to."""

    topic: str
    topic_id: str
    partition: int
    start: int
    end: int
    kind: str
    first_hour: Hour
    last_hour: Hour
    event_key: str = ""
    reason: str = ""


@dataclass(frozen=True)
class IngesterGap:
    """What the ingester missed of a stream, by the exchange's clock; `first_seen_ms` None: open; `code` "": all."""

    code: str
    last_seen_ms: int
    first_seen_ms: int | None
    cause: str

    def overlaps(self, start_ms: int, end_ms: int) -> bool:
        """Does something of [start_ms, end_ms) lie in it?"""
        return self.last_seen_ms < end_ms and (self.first_seen_ms is None or self.first_seen_ms > start_ms)


class VerdictStore:
    """The tables of `sql/verdicts/schema.sql` through one connection; every method is its own transaction."""

    def __init__(self, connection: psycopg.Connection[Any], sql: Path = SQL) -> None:
        self._db = connection
        self._db.autocommit = True
        self._sql = sql

    def create_tables(self) -> None:
        """Create what is missing; changes nothing otherwise."""
        with self._db.transaction():
            # Two runs that start together would both create: the second waits here.
            self._db.execute("SELECT pg_advisory_xact_lock(hashtext('upbit_lake.state.verdicts'))")
            self._db.execute(self._text("schema"))

    def closed(self) -> dict[Key, str]:
        """Fingerprints of partitions after their hour was closed."""
        return self._fingerprints("closed")

    def verified(self) -> dict[Key, str]:
        """Fingerprints of partitions when their hour was verified."""
        return self._fingerprints("verified")

    def set_closed(self, states: Iterable[PartitionState], now: datetime) -> None:
        """Remember that these partitions were closed as they are in `states`."""
        self._remember("set_closed", states, now)

    def set_verified(self, states: Iterable[PartitionState], now: datetime) -> None:
        """Remember that these partitions were verified as they are in `states`."""
        self._remember("set_verified", states, now)

    def save(self, verdicts: Iterable[Verdict], now: datetime) -> None:
        """Write verdicts over older ones of the same level, table and hour."""
        rows = [
            (v.level, v.table, v.hour.dt, v.hour.hh, v.status, v.reason, json.dumps(v.details), now) for v in verdicts
        ]
        self._many("save_verdict", rows)

    def verdicts(self, level: Level | None = None) -> list[Verdict]:
        """All verdicts (of a level), oldest hour first."""
        rows = self._rows("verdicts", (level, level))
        return [
            Verdict(
                Level(r["level"]),
                r["table_name"],
                Hour(r["dt"], r["hh"]),
                Status(r["status"]),
                r["reason"],
                r["details"],
            )
            for r in rows
        ]

    def windows(self, topic: str) -> list[Window]:
        """The audited windows of `topic` and of older topics of that name, in the order in which they were audited."""
        return [
            Window(
                r["topic"],
                r["topic_id"],
                r["kafka_partition"],
                r["from_offset"],
                r["to_offset"],
                r["began_ms"],
                r["received_until"],
            )
            for r in self._rows("windows", (topic,))
        ]

    def gaps(self, topic: str) -> list[Gap]:
        """The open gaps of `topic`."""
        return [
            Gap(
                r["topic"],
                r["topic_id"],
                r["kafka_partition"],
                r["from_offset"],
                r["to_offset"],
                r["kind"],
                Hour(r["first_dt"], r["first_hh"]),
                Hour(r["last_dt"], r["last_hh"]),
                r["event_key"],
                r["reason"],
            )
            for r in self._rows("gaps", (topic,))
        ]

    def save_audit(self, topic: str, windows: Sequence[Window], gaps: Sequence[Gap], now: datetime) -> None:
        """Add `windows` and make `gaps` the open gaps of `topic`, in one transaction."""
        with self._db.transaction():
            self._many(
                "save_window",
                [
                    (w.topic, w.topic_id, w.partition, w.start, w.end, w.began_ms, w.received_until, now)
                    for w in windows
                ],
            )
            self._db.execute(self._text("forget_gaps"), (topic,))
            self._many(
                "save_gap",
                [
                    (
                        g.topic,
                        g.topic_id,
                        g.partition,
                        g.start,
                        g.end,
                        g.kind,
                        g.first_hour.dt,
                        g.first_hour.hh,
                        g.last_hour.dt,
                        g.last_hour.hh,
                        g.event_key,
                        g.reason,
                        now,
                    )
                    for g in gaps
                ],
            )

    def ingester_gaps(self, stream: str) -> list[IngesterGap]:
        """What is missing of `stream` because the ingester missed it, oldest first."""
        rows = self._rows("ingester_gaps", (stream,))
        return [IngesterGap(r["code"], r["last_seen_ms"], r["first_seen_ms"], r["cause"]) for r in rows]

    def last_run(self, name: str) -> datetime | None:
        """When the daily work `name` was last done."""
        rows = self._rows("last_run", (name,))
        return rows[0]["at"] if rows else None

    def set_run(self, name: str, now: datetime) -> None:
        """Remember that the daily work `name` was done."""
        self._many("set_run", [(name, now)])

    def _fingerprints(self, what: str) -> dict[Key, str]:
        rows = self._rows("hour_state", ())
        column = f"{what}_fingerprint"
        return {(r["table_name"], Hour(r["dt"], r["hh"])): r[column] for r in rows if r[column] is not None}

    def _remember(self, name: str, states: Iterable[PartitionState], now: datetime) -> None:
        self._many(name, [(s.table, s.hour.dt, s.hour.hh, s.fingerprint, now) for s in states])

    def _rows(self, name: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        with self._db.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(self._text(name), values).fetchall()

    def _many(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._db.cursor() as cursor:
            cursor.executemany(self._text(name), rows)

    def _text(self, name: str) -> str:
        # The text is ours, from the repository; values are always parameters.
        return (self._sql / f"{name}.sql").read_text(encoding="utf-8")
