"""What the ingester counts, read from the text of its `/metrics`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_SAMPLE = re.compile(r"^upbit_ingester_(?P<name>\w+?)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)
_STREAM = re.compile(r'stream="(?P<stream>[^"]*)"')


@dataclass(frozen=True)
class Counters:
    """What the ingester counts, by stream.

    `handled` are frames that were spooled, sent to the dead letters or shed because the spool is full. `dropped` are
    those that were shed and those that waited for too long. `missing`: codes that sent no SNAPSHOT when asked for one.
    `silent_s`: seconds since the last frame. `undelivered_s`: age (s) of the oldest record that Kafka did not take.
    """

    received: Mapping[str, float] = field(default_factory=dict)
    handled: Mapping[str, float] = field(default_factory=dict)
    dropped: Mapping[str, float] = field(default_factory=dict)
    missing: Mapping[str, float] = field(default_factory=dict)
    silent_s: Mapping[str, float] = field(default_factory=dict)
    undelivered: float = 0.0
    undelivered_s: float = 0.0


def parse_counters(text: str) -> Counters:
    """The Counters in the text of `/metrics` (Prometheus exposition format)."""
    by_stream: dict[str, dict[str, float]] = {}
    plain: dict[str, float] = {}
    for sample in _SAMPLE.finditer(text):
        stream = _STREAM.search(sample["labels"] or "")
        if stream:
            values = by_stream.setdefault(sample["name"], {})
            values[stream["stream"]] = values.get(stream["stream"], 0.0) + float(sample["value"])
        else:
            plain[sample["name"]] = float(sample["value"])
    return Counters(
        received=by_stream.get("received_total", {}),
        handled=_sum(by_stream, "spooled_total", "dead_lettered_total", "shed_total"),
        dropped=_sum(by_stream, "shed_total", "expired_total"),
        missing=by_stream.get("missing_snapshots", {}),
        silent_s=by_stream.get("last_received_age_seconds", {}),
        undelivered=plain.get("spool_records", 0.0),
        undelivered_s=plain.get("spool_oldest_seconds", 0.0),
    )


def _sum(by_stream: Mapping[str, Mapping[str, float]], *names: str) -> dict[str, float]:
    streams = {stream for name in names for stream in by_stream.get(name, {})}
    return {stream: sum(by_stream.get(name, {}).get(stream, 0.0) for name in names) for stream in streams}
