"""Does the ingester need a restart? A pure rule over what its supervisor, its endpoints and its counters say.

It restarts what is dead, what says `/livez` red and what receives but does not spool. A silent exchange, a finished
recording or a Kafka outage is an alarm: a healthy process that spools loses nothing, killing it would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from upbit_lake.engines.ingester.counters import Counters
from upbit_lake.engines.ingester.probe import ObservedIngester

# A process needs a moment between its start and its first answer.
START_GRACE_S = 30.0
# All streams at once. One alone may be quiet for long: a few codes (`UPBIT_CODES`) have few trades.
SILENCE_ALARM_S = 120.0
STREAM_SILENCE_ALARM_S = 1800.0
# Kafka replaces a leader within some 10 s; what waits for longer waits for a person.
UNDELIVERED_ALARM_S = 120.0


class IngesterCondition(StrEnum):
    """How the ingester is, and so what its supervisor does about it."""

    HEALTHY = "healthy"
    WAITING = "waiting"  # it has just been started
    ALARM = "alarm"  # something is wrong that a restart cannot cure
    RESTART = "restart"


@dataclass(frozen=True)
class IngesterHealth:
    """Its condition and the reason in one line."""

    condition: IngesterCondition
    reason: str


def judge(seen: ObservedIngester, before: Counters | None) -> IngesterHealth:
    """Judge the ingester. `before` are the counters of the run before, None when there are none to compare with."""
    if not seen.process.running:
        return IngesterHealth(IngesterCondition.RESTART, f"the process is {seen.process.word}")
    young = seen.process.age_s is not None and seen.process.age_s < START_GRACE_S
    if seen.live is None:
        condition = IngesterCondition.WAITING if young else IngesterCondition.RESTART
        return IngesterHealth(condition, "/livez does not answer")
    if not seen.live:
        condition = IngesterCondition.WAITING if young else IngesterCondition.RESTART
        return IngesterHealth(condition, f"/livez is red: {seen.why or 'no reason given'}")
    if seen.counters is None:
        return IngesterHealth(IngesterCondition.HEALTHY, "/livez is green")
    stuck = receives_without_spooling(seen.counters, before)
    if stuck:
        return IngesterHealth(IngesterCondition.RESTART, f"{', '.join(stuck)}: frames are received but not spooled")
    return _outside(seen.counters, before or Counters())


def _outside(counters: Counters, before: Counters) -> IngesterHealth:
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
        return IngesterHealth(IngesterCondition.ALARM, "; ".join(problems))
    return IngesterHealth(
        IngesterCondition.HEALTHY, f"{sum(counters.received.values()):.0f} frames received, all spooled"
    )


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
