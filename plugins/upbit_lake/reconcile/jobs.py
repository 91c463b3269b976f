"""Brings a streaming job to what the contract says: started once, resumed where it stopped, renewed when it must be."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from upbit_lake.contract.model import Job
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.jobmanager import JobSummary
from upbit_lake.jobs import ladder
from upbit_lake.jobs.facts import JobFacts, gather
from upbit_lake.jobs.resume import adopt, recreated_reason, renew, resume
from upbit_lake.jobs.start import start
from upbit_lake.jobs.stop import cancel_all, keep_oldest, stop_keeping_state
from upbit_lake.reconcile.outcome import UNCHANGED, Outcome, State

log = logging.getLogger(__name__)


class Action(StrEnum):
    """What to do about one job."""

    KEEP = "keep"
    ADOPT = "adopt"  # it runs, but was not submitted by us: remember it
    START = "start"  # it never ran
    RESUME = "resume"  # it ran before and does not now
    REPLACE = "replace"  # its SQL or settings changed: stop with its state, start again from it
    RENEW = "renew"  # what it reads or writes was recreated: its state is void


@dataclass(frozen=True)
class JobPlan:
    """An action and its reason in one line."""

    action: Action
    reason: str


def plan_job(facts: JobFacts) -> JobPlan:
    """Decide about one job; of several live ones about the oldest."""
    live, last = next(iter(facts.live), None), facts.last
    if last is None:
        return (
            JobPlan(Action.ADOPT, "it runs, but no run is remembered") if live else JobPlan(Action.START, "never ran")
        )
    if recreated := facts.recreated_since(last):
        return JobPlan(Action.RENEW, recreated_reason(recreated))
    if live is None:
        return JobPlan(Action.RESUME, f"no job runs; the last was {last.job_id}")
    if live.jid != last.job_id:
        return JobPlan(Action.ADOPT, "it runs, but this run is not remembered")
    if last.fingerprint != facts.fingerprint:
        return JobPlan(Action.REPLACE, "its SQL or settings changed")
    return JobPlan(Action.KEEP, "runs")


def reconcile_jobs(engines: Engines, repair: bool = True, dry_run: bool = False) -> dict[str, Outcome]:
    """Bring every job of the contract to what it should be; gives job → outcome.

    The jobs are worked side by side: planning one is mostly waiting for the gateway.

    Raises:
        JobError: a job does not start or does not end.
        GatewayError, FlinkRestError: the cluster does not answer.
    """
    jobs = list(engines.contract.jobs.values())
    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        outcomes = pool.map(lambda job: reconcile_job(engines, job, repair, dry_run), jobs)
        return dict(zip((job.name for job in jobs), outcomes, strict=True))


def reconcile_job(engines: Engines, job: Job, repair: bool = True, dry_run: bool = False) -> Outcome:
    """Bring one job to what it should be; gives the outcome."""
    facts, act = gather(engines, job), not dry_run
    live = keep_oldest(engines, job, facts.live) if act and repair else facts.live[:1]
    plan = plan_job(facts)
    if plan.action is Action.KEEP:
        return _kept(live)
    if plan.action is Action.START:
        return _first_start(engines, facts) if act else Outcome(State.WOULD_START)
    if not (act and repair):
        return Outcome(State.DRIFT, drift=(plan.reason,), note="dry run" if dry_run else "repair is off")
    return Outcome(State.REPAIRED, (plan.reason, *_carry_out(engines, facts, plan, live)))


def _kept(live: Sequence[JobSummary]) -> Outcome:
    restarting = [item.state for item in live if not item.all_running]
    return Outcome(State.UNCHANGED, note=f"{restarting[0]}: Flink is restarting it") if restarting else UNCHANGED


def _first_start(engines: Engines, facts: JobFacts) -> Outcome:
    started = start(engines, facts, ladder.first_start())
    return Outcome(State.CREATED, (f"job {started.job_id} from {started.started_from}",))


def _carry_out(engines: Engines, facts: JobFacts, plan: JobPlan, live: Sequence[JobSummary]) -> list[str]:
    if plan.action is Action.ADOPT:
        for item in live:
            adopt(engines, facts, item.jid)
        return [f"job {item.jid} adopted" for item in live]
    lost: list[str] = []
    if plan.action is Action.RENEW:
        cancel_all(engines, live)
        started, lost = renew(engines, facts, plan.reason)
    else:
        for item in live:  # only a job that is replaced
            stop_keeping_state(engines, item)
        started = resume(engines, facts)
    return [f"job {started.job_id} started from {started.started_from}", *lost]
