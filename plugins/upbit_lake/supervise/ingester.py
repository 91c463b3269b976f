"""One look at the ingester: judge, restart within its budget, alarm about what a restart cannot cure."""

from __future__ import annotations

import logging

from upbit_lake.contract.model import Budget
from upbit_lake.engines.clock import SYSTEM, Clock
from upbit_lake.engines.ingester.control import ControlError, IngesterControl
from upbit_lake.engines.ingester.probe import ObservedIngester, observe, reported_gaps, wait_live
from upbit_lake.engines.postgres import Database
from upbit_lake.state import alarms, ingester_gaps
from upbit_lake.supervise.ingester_health import IngesterCondition, IngesterHealth, judge
from upbit_lake.supervise.memory import IngesterMemory
from upbit_lake.supervise.restarts import Attempt, Report, UsedUp, plan_restart

log = logging.getLogger(__name__)

SUBJECT = "ingester"
# A second look before a restart: one slow answer is no death.
CONFIRM_AFTER_S = 5.0


def supervise_ingester(
    control: IngesterControl,
    url: str,
    bounds: Budget,
    db: Database,
    memory: IngesterMemory,
    clock: Clock = SYSTEM,
) -> Report:
    """Look at the ingester and act. `memory` is changed in place."""
    try:
        seen, health = _look_twice(control, url, memory, clock)
    except ControlError as error:
        alarms.open_alarm(db, SUBJECT, str(error))
        return Report(str(error), failed=True)
    memory.counters = seen.counters
    if health.condition is IngesterCondition.RESTART:
        return _restart_within_budget(control, url, bounds, db, memory, health.reason, clock)
    if health.condition is IngesterCondition.WAITING:
        return Report(f"waiting: {health.reason}")
    reported = reported_gaps(url)
    if reported is not None:
        ingester_gaps.save(db, reported)
    # What is wrong around a healthy ingester is an alarm, never a reason to restart it.
    alarms.settle(db, SUBJECT, health.reason if health.condition is IngesterCondition.ALARM else None)
    return Report(f"{health.condition}: {health.reason}")


def _look_twice(
    control: IngesterControl, url: str, memory: IngesterMemory, clock: Clock
) -> tuple[ObservedIngester, IngesterHealth]:
    seen = observe(control, url)
    health = judge(seen, memory.counters)
    if health.condition is IngesterCondition.RESTART and seen.process.running and seen.live is None:
        clock.sleep(CONFIRM_AFTER_S)
        seen = observe(control, url)
        health = judge(seen, memory.counters)
    return seen, health


def _restart_within_budget(
    control: IngesterControl,
    url: str,
    bounds: Budget,
    db: Database,
    memory: IngesterMemory,
    reason: str,
    clock: Clock,
) -> Report:
    plan = plan_restart(reason, memory.restarts, bounds, clock.now(), "the ingester's log")
    if isinstance(plan, UsedUp):
        alarms.open_alarm(db, SUBJECT, plan.report.text)
    if not isinstance(plan, Attempt):
        return plan.report
    memory.restarts, memory.counters = plan.restarts, None
    log.info(plan.text)
    try:
        control.restart()
        wait_live(control, url)
    except ControlError as error:
        return plan.failed(error)
    return plan.worked("it runs and /livez is green")
