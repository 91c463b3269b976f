"""What the ingester says that it missed of each stream."""

from __future__ import annotations

from dataclasses import dataclass

from upbit_lake.engines.postgres import Database


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


def save(db: Database, reported: str) -> None:
    """Make the table what the ingester reports: a JSON array of all gaps that it knows of."""
    db.query("ingester_gaps/save", {"gaps": reported})


def missing(db: Database, stream: str) -> list[IngesterGap]:
    """What is missing of `stream` because the ingester missed it, oldest first."""
    return [IngesterGap(**row) for row in db.query("ingester_gaps/missing", {"stream": stream})]
