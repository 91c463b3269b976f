"""Restart budget with back-off: pure decisions over the times of earlier restarts, which the caller keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from upbit_lake.contract.model import Budget


@dataclass(frozen=True)
class Allowed:
    """A restart may happen now; it is number `number` within the window."""

    number: int


@dataclass(frozen=True)
class Wait:
    """The back-off is still running: not before `until` (epoch seconds)."""

    until: float
    number: int


@dataclass(frozen=True)
class Exhausted:
    """The budget is used up: `restarts` within the window; the oldest leaves it at `until` (epoch seconds)."""

    restarts: int
    until: float


Decision = Allowed | Wait | Exhausted


def recent(restarts: Sequence[float], budget: Budget, now: float) -> tuple[float, ...]:
    """The restarts (epoch seconds) that still count at `now`; a time in the future (clock set back) counts as now."""
    return tuple(sorted(min(at, now) for at in restarts if now - at < budget.window_s))


def wait_before(number: int, budget: Budget) -> float:
    """Seconds between restart `number` - 1 and restart `number`; the first is immediate."""
    if number <= 1:
        return 0.0
    # The exponent is capped: 2^1000 seconds is no useful number.
    return float(min(budget.max_wait_s, budget.first_wait_s * 2 ** min(number - 2, 32)))


def decide(restarts: Sequence[float], budget: Budget, now: float) -> Decision:
    """May another restart happen at `now`, given the times of those before?"""
    counted = recent(restarts, budget, now)
    if len(counted) >= budget.restarts:
        # With a budget of zero restarts there is none whose age could free it.
        until = counted[0] + budget.window_s if counted else now + budget.window_s
        return Exhausted(len(counted), until)
    number = len(counted) + 1
    until = counted[-1] + wait_before(number, budget) if counted else now
    return Allowed(number) if now >= until else Wait(until, number)
