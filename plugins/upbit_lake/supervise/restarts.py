"""What both supervisors share: whether a restart may happen now, in words, and what a run reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from upbit_lake.contract.model import Budget
from upbit_lake.supervise import budget


@dataclass(frozen=True)
class Report:
    """What a supervising run found and did, in one line; `failed` makes the run fail loudly."""

    text: str
    failed: bool = False


@dataclass(frozen=True)
class Attempt:
    """A restart that may happen now. `text`: why, and which of how many restarts it is.

    `restarts`: those to remember from now on, this one included (epoch seconds).
    """

    text: str
    restarts: list[float]

    def failed(self, error: Exception) -> Report:
        """The report on a restart that did not work."""
        return Report(f"{self.text} failed: {first_line(error)}", failed=True)

    def worked(self, how: str) -> Report:
        """The report on a restart after which things run."""
        return Report(f"{self.text}: {how}")


@dataclass(frozen=True)
class Delayed:
    """The back-off before the next restart is still running."""

    report: Report


@dataclass(frozen=True)
class UsedUp:
    """The budget is used up: an alarm with the report's text."""

    report: Report


def plan_restart(
    reason: str, restarts: Sequence[float], bounds: Budget, now: float, look_at: str
) -> Attempt | Delayed | UsedUp:
    """Decide whether what is wrong for `reason` is restarted at `now` (epoch seconds).

    Args:
        restarts: the earlier ones (epoch seconds).
        look_at: where a person finds what the restarts could not cure.
    """
    decision = budget.decide(restarts, bounds, now)
    if isinstance(decision, budget.Exhausted):
        text = (
            f"{reason}; {decision.restarts} restarts within {bounds.window_s} s did not help, "
            f"the budget is used up: see {look_at}, then run bootstrap_pipeline"
        )
        return UsedUp(Report(text, failed=True))
    numbered = f"{reason}; restart {decision.number} of {bounds.restarts}"
    if isinstance(decision, budget.Wait):
        return Delayed(Report(f"{numbered} in {decision.until - now:.0f} s"))
    return Attempt(numbered, [*budget.recent(restarts, bounds, now), now])


def first_line(error: Exception) -> str:
    """The line of an error that counts: the first, or the error's kind when it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
