"""The gaps that an ingester has recorded in its spool, and what lies in none of them."""

from __future__ import annotations

import json
from pathlib import Path

Span = tuple[int, int]
EDGE_MS = 500  # tolerated at both ends


def of_stream(spool: Path, stream: str) -> list[Span]:
    """(last seen, first seen) in ms of the exchange's time of each closed gap; [] while there is no file."""
    path = spool / "gaps.jsonl"
    lines = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    return [(line["last_seen_ms"], line["first_seen_ms"]) for line in lines if line["stream"] == stream]


def cover(gaps: list[Span], ms: int) -> bool:
    """Whether an event of this time may be missing."""
    return any(begin - EDGE_MS <= ms <= end + EDGE_MS for begin, end in gaps)
