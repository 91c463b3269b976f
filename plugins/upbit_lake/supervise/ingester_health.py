"""Does the ingester need a restart? A pure rule over what its supervisor, its endpoints and its counters say.

It restarts what is dead, what says `/livez` red and what receives but does not spool. A silent exchange, a finished
recording or a Kafka outage is an alarm: a healthy process that spools loses nothing, killing it would.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from upbit_lake.engines.ingester.control import ProcessState

# A process needs a moment between its start and its first answer.
START_GRACE_S = 30.0
# All streams at once. One alone may be quiet for long: a few codes (`UPBIT_CODES`) have few trades.
SILENCE_ALARM_S = 120.0
STREAM_SILENCE_ALARM_S = 1800.0
UNDELIVERED_ALARM_S = 120.0

_SAMPLE = re.compile(r"^upbit_ingester_(?P<name>\w+?)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)
_STREAM = re.compile(r'stream="(?P<stream>[^"]*)"')


class Verdict(StrEnum):
    """What a supervisor does about the ingester."""

    HEALTHY = "healthy"
    WAITING = "waiting"  # it has just been started
    ALARM = "alarm"  # something is wrong that a restart cannot cure
    RESTART = "restart"


@dataclass(frozen=True)
class Judgement:
    """A verdict and its reason in one line."""

    verdict: Verdict
    reason: str


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


@dataclass(frozen=True)
class Observation:
    """What was seen. `live`: /livez said yes, no, or did not answer (None); `why`: the words of a red /livez."""

    process: ProcessState
    live: bool | None
    why: str = ""
    counters: Counters | None = None


def judge(seen: Observation, before: Counters | None) -> Judgement:
    """Judge the ingester. `before` are the counters of the run before, None when there are none to compare with."""
    if not seen.process.running:
        return Judgement(Verdict.RESTART, f"the process is {seen.process.word}")
    young = seen.process.age_s is not None and seen.process.age_s < START_GRACE_S
    if seen.live is None:
        verdict = Verdict.WAITING if young else Verdict.RESTART
        return Judgement(verdict, "/livez does not answer")
    if not seen.live:
        verdict = Verdict.WAITING if young else Verdict.RESTART
        return Judgement(verdict, f"/livez is red: {seen.why or 'no reason given'}")
    if seen.counters is None:
        return Judgement(Verdict.HEALTHY, "/livez is green")
    stuck = receives_without_spooling(seen.counters, before)
    if stuck:
        return Judgement(Verdict.RESTART, f"{', '.join(stuck)}: frames are received but not spooled")
    return _outside(seen.counters, before or Counters())


def _outside(counters: Counters, before: Counters) -> Judgement:
    """The ingester itself works: what around it does not?"""
    problems = []
    if counters.undelivered and counters.undelivered_s > UNDELIVERED_ALARM_S:
        problems.append(
            f"Kafka accepts no records: {counters.undelivered:.0f} spooled, oldest {counters.undelivered_s:.0f} s"
        )
    dropped, known = sum(counters.dropped.values()), sum(before.dropped.values())
    if dropped != known and dropped:
        # A smaller sum is a new process's: all of it is new.
        new = dropped - known if dropped > known else dropped
        problems.append(f"the spool is at its bound: {new:.0f} frames were dropped")
    silent = silent_streams(counters.silent_s)
    if silent:
        problems.append(f"the exchange is silent: {', '.join(silent)}")
    missing = [f"{codes:.0f} of {stream}" for stream, codes in sorted(counters.missing.items()) if codes]
    if missing:
        problems.append(f"codes without a SNAPSHOT: {', '.join(missing)}")
    if problems:
        return Judgement(Verdict.ALARM, "; ".join(problems))
    return Judgement(Verdict.HEALTHY, f"{sum(counters.received.values()):.0f} frames received, all spooled")


def silent_streams(ages_s: Mapping[str, float]) -> list[str]:
    """The streams whose silence is worth an alarm: all of them, or one that says nothing for very long."""
    bound = SILENCE_ALARM_S if min(ages_s.values(), default=0.0) > SILENCE_ALARM_S else STREAM_SILENCE_ALARM_S
    return sorted(name for name, age in ages_s.items() if age > bound)


def receives_without_spooling(now: Counters, before: Counters | None) -> list[str]:
    """The streams that took frames since `before` and spooled none; a falling counter means a new process."""
    if before is None:
        return []
    stuck = []
    for stream, received in now.received.items():
        grew = received - before.received.get(stream, 0.0)
        handled = now.handled.get(stream, 0.0) - before.handled.get(stream, 0.0)
        if grew > 0 and handled == 0 and before.received.get(stream, 0.0) > 0:
            stuck.append(stream)
    return sorted(stuck)


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
