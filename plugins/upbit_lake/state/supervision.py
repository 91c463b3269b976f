"""What the supervising runs saw last, by subject, for the look: it comes between two runs and remembers nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upbit_lake.engines.postgres import Connection, as_json, query


def save(db: Connection, subject: str, seen: Mapping[str, Any]) -> None:
    """Keep what a run saw of `subject` (plain JSON values) in place of what the run before saw."""
    query(db, "supervision/save", {"subject": subject, "seen": as_json(dict(seen))})


def last(db: Connection) -> dict[str, Any]:
    """What was seen last, by subject."""
    return {row["subject"]: row["seen"] for row in query(db, "supervision/last")}
