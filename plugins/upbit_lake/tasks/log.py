"""A task speaks in its log: one line a thing it looked at, and the outcome as the last line."""

from __future__ import annotations

import logging

from upbit_lake.reconcile.outcome import UNCHANGED, Outcomes

log = logging.getLogger(__name__)


def conclude_outcomes(outcomes: Outcomes) -> str:
    """Log each outcome on a line of its own; gives (and logs last) the summary."""
    for name, outcome in outcomes.items():
        log.info("%s: %s", name, outcome)
    return conclude(summary(outcomes))


def conclude(line: str) -> str:
    """Log the outcome of a task; to be called last. Gives the line, so that it is the task's result too."""
    log.info("outcome: %s", line)
    return line


def conclude_report(line: str, failed: bool) -> str:
    """Conclude with `line`; one that failed ends the run without a retry: the next tick looks again, within budget."""
    from airflow.sdk.exceptions import AirflowFailException

    conclude(line)
    if failed:
        raise AirflowFailException(line)
    return line


def summary(outcomes: Outcomes) -> str:
    """One line: `unchanged` when all are, else what is not."""
    changed = {name: outcome for name, outcome in outcomes.items() if outcome != UNCHANGED}
    return "; ".join(f"{name} {outcome}" for name, outcome in changed.items()) if changed else str(UNCHANGED)
