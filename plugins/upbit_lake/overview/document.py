"""The look as a document for programs (docs/status.schema.json says what is in it) and as text for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import IO, Any

from upbit_lake.engines.lake.printing import print_rows
from upbit_lake.overview.look import Look

# Raised when a key goes or changes its meaning; a new key changes nothing for who reads the others.
VERSION = 1


def document(look: Look) -> dict[str, Any]:
    """The look as plain JSON values: times in ISO 8601 (UTC), ages in seconds."""
    plain: dict[str, Any] = json.loads(json.dumps({"version": VERSION, **asdict(look)}, default=_text))
    return plain


def print_text(look: Look, out: IO[str]) -> None:
    """Print one table a section; the first line says whether all is healthy."""
    found = document(look)
    out.write(f"{headline(found)}\n")
    for section, rows in found.items():
        if isinstance(rows, Mapping):
            rows = [rows]
        if isinstance(rows, Sequence) and not isinstance(rows, str) and rows:
            out.write(f"\n{section.replace('_', ' ')}\n")
            print_rows(list(rows[0]), list(rows), "table", out)


def headline(found: Mapping[str, Any]) -> str:
    """One line: healthy, or which engines do not answer and which jobs are not healthy."""
    if found["healthy"]:
        return f"healthy at {found['at']}"
    wrong = [f"{engine['engine']} does not answer" for engine in found["engines"] if not engine["answers"]]
    judged = [job for job in found["jobs"] if job["condition"] is not None]
    wrong += [f"job {job['job']} is {job['condition']}" for job in judged if job["condition"] != "healthy"]
    return f"not healthy at {found['at']}: {', '.join(wrong) or 'see below'}"


def _text(value: object) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
