"""One look at the ingester: judge, restart within its budget, alarm about what a restart cannot cure."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from upbit_lake.contract.model import Budget
from upbit_lake.engines.ingester.control import ControlError, IngesterControl
from upbit_lake.engines.ingester.probe import observe, reported_gaps
from upbit_lake.engines.postgres import Connection
from upbit_lake.reconcile.ingester import wait_live
from upbit_lake.state import alarms, ingester_gaps
from upbit_lake.supervise import budget
from upbit_lake.supervise.ingester_health import Counters, Judgement, Verdict, judge

log = logging.getLogger(__name__)

SUBJECT = "ingester"
# A second look before a restart: one slow answer is no death.
CONFIRM_AFTER_S = 5.0


@dataclass
class Memory:
    """What outlives a run: restart times (epoch seconds), the counters of the last look and when it was."""

    restarts: list[float] = field(default_factory=list)
    counters: Counters | None = None

    @classmethod
    def from_json(cls, data: Any) -> Memory:
        """The memory that `to_json` gave, or an empty one."""
        if not isinstance(data, Mapping):
            return cls()
        known = {one.name for one in fields(Counters)}
        kept = {
            name: value for name, value in (data.get("counters") or {}).items() if name in known
        }  # another version's
        counters = Counters(**kept) if kept else None
        return cls([float(at) for at in data.get("restarts", ())], counters)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"restarts": self.restarts, "counters": asdict(self.counters) if self.counters else None}


@dataclass(frozen=True)
class Outcome:
    """What was found and done, in one line; `failed` makes the run fail loudly."""

    text: str
    failed: bool = False


def supervise_ingester(
    control: IngesterControl,
    url: str,
    bounds: Budget,
    db: Connection,
    memory: Memory,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Look at the ingester and act. `memory` is changed in place."""
    try:
        seen = observe(control, url)
        judgement = judge(seen, memory.counters)
        if judgement.verdict is Verdict.RESTART and seen.process.running and seen.live is None:
            sleep(CONFIRM_AFTER_S)
            seen = observe(control, url)
            judgement = judge(seen, memory.counters)
    except ControlError as error:
        alarms.open_alarm(db, SUBJECT, str(error))
        return Outcome(str(error), failed=True)
    memory.counters = seen.counters
    if judgement.verdict is Verdict.RESTART:
        return _restart_within_budget(control, url, bounds, db, memory, judgement, clock())
    if judgement.verdict is Verdict.WAITING:
        return Outcome(f"waiting: {judgement.reason}")
    reported = reported_gaps(url)
    if reported is not None:
        ingester_gaps.save(db, reported)
    # What is wrong around a healthy ingester is an alarm, never a reason to restart it.
    alarms.settle(db, SUBJECT, judgement.reason if judgement.verdict is Verdict.ALARM else None)
    return Outcome(f"{judgement.verdict}: {judgement.reason}")


def _restart_within_budget(
    control: IngesterControl,
    url: str,
    bounds: Budget,
    db: Connection,
    memory: Memory,
    judgement: Judgement,
    now: float,
) -> Outcome:
    decision = budget.decide(memory.restarts, bounds, now)
    if isinstance(decision, budget.Exhausted):
        text = (
            f"{judgement.reason}; {decision.restarts} restarts within {bounds.window_s} s did not help, "
            "the budget is used up: see the ingester's log, then run bootstrap_pipeline"
        )
        alarms.open_alarm(db, SUBJECT, text)
        return Outcome(text, failed=True)
    if isinstance(decision, budget.Wait):
        wait = decision.until - now
        return Outcome(f"{judgement.reason}; restart {decision.number} of {bounds.restarts} in {wait:.0f} s")
    memory.restarts = [*budget.recent(memory.restarts, bounds, now), now]
    memory.counters = None
    attempt = f"{judgement.reason}; restart {decision.number} of {bounds.restarts}"
    log.info(attempt)
    try:
        control.restart()
        wait_live(control, url)
    except ControlError as error:
        return Outcome(f"{attempt} failed: {error}", failed=True)
    return Outcome(f"{attempt}: it runs and /livez is green")
