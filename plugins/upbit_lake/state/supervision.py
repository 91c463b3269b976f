"""What the supervising runs saw last, by subject, for the look: it comes between two runs and remembers nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upbit_lake.engines.postgres import Database, as_json


def save(db: Database, subject: str, seen: Mapping[str, Any]) -> None:
    """Keep what a run saw of `subject` (plain JSON values) in place of what the run before saw."""
    db.query("supervision/save", {"subject": subject, "seen": as_json(dict(seen))})


def last(db: Database) -> dict[str, Any]:
    """What was seen last, by subject."""
    return {row["subject"]: row["seen"] for row in db.query("supervision/last")}
