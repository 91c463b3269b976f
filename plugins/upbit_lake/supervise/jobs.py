"""One look at all streaming jobs: judge, restart what is lost or unhealthy within its budget, alarm when it is used up.

What must outlive a run (restart times, restart counters) is in `JobsMemory`, which the caller keeps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol

from upbit_lake.contract.model import Contract, Job
from upbit_lake.engines.clock import SYSTEM, Clock, wait_until
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.jobmanager import (
    CheckpointStatus,
    Cluster,
    FlinkRestError,
    FlinkUnreachableError,
    JobSummary,
)
from upbit_lake.jobs.facts import gather, live_jobs
from upbit_lake.jobs.identity import pipeline_name
from upbit_lake.jobs.resume import adopt_unknown, resume
from upbit_lake.jobs.start import wait_for_slot
from upbit_lake.jobs.stop import cancel_all, keep_oldest
from upbit_lake.state import alarms
from upbit_lake.supervise.job_health import JobCondition, JobHealth, ObservedJob, judge
from upbit_lake.supervise.memory import JobMemory, JobsMemory
from upbit_lake.supervise.restarts import Attempt, Report, UsedUp, first_line, plan_restart

log = logging.getLogger(__name__)

CLUSTER = "Flink cluster"
JOBS = "streaming jobs"
# How long one run watches what is not healthy yet: long enough for a new JobManager's LOST_AFTER_S to pass in it.
WATCH_S = 75.0
POLL_S = 3.0
# A JobManager that was killed answers after 7 s and knows its jobs after 34 s; its supervisor may need several starts.
CLUSTER_ALARM_S = 180.0


class JobsSight(Protocol):
    """What the health rule asks of Flink: the JobManager itself, or what it answered in one moment."""

    def cluster(self) -> Cluster:
        """TaskManagers and slots."""

    def jobs(self) -> list[JobSummary]:
        """All jobs, final ones included."""

    def checkpoints(self, jid: str) -> CheckpointStatus:
        """Checkpoint counts and the newest completed checkpoint of a job."""

    def restarts(self, jid: str) -> int:
        """How often Flink restarted a job."""


def supervise_jobs(
    engines: Engines,
    memory: JobsMemory,
    leased: Callable[[], AbstractContextManager[str]],
    clock: Clock = SYSTEM,
    watch_s: float = WATCH_S,
) -> dict[str, Report]:
    """Look at every job and act; gives job → report. `memory` is changed in place.

    A job that is not healthy yet is watched for up to `watch_s` seconds, so that a loss heals within this run. Watching
    needs no lease: the jobs are looked at again once `leased` gives it, for another run may have worked meanwhile. It
    gives "" or why nothing may be changed now.
    """
    if not watch(engines, memory, clock, watch_s):
        return {CLUSTER: _cluster_away(engines, memory, clock.now())}
    alarms.close_alarm(engines.db, CLUSTER)
    with leased() as blocked_reason:
        if blocked_reason:
            return {JOBS: Report(f"skipped: {blocked_reason}")}
        found = look(engines, memory, clock.now())
        if not found:
            return {CLUSTER: _cluster_away(engines, memory, clock.now())}
        with ThreadPoolExecutor(max_workers=len(found)) as pool:
            jobs = engines.contract.jobs
            work = {
                name: pool.submit(act, engines, jobs[name], health, memory.jobs[name], clock.now())
                for name, health in found.items()
            }
            return {name: future.result() for name, future in work.items()}


def watch(engines: Engines, memory: JobsMemory, clock: Clock, watch_s: float) -> dict[str, JobHealth]:
    """Look until nothing is waited for, or `watch_s` seconds have passed; gives the last look."""

    def settled(found: dict[str, JobHealth]) -> bool:
        return bool(found) and not any(health.condition is JobCondition.WAITING for health in found.values())

    return wait_until(lambda: look(engines, memory, clock.now()), settled, watch_s, POLL_S, clock)


def look(engines: Engines, memory: JobsMemory, now: float) -> dict[str, JobHealth]:
    """Judge every job of the contract; empty while the JobManager is away."""
    try:
        return judge_all(engines.flink, engines.contract, memory, now)
    except FlinkUnreachableError as error:
        memory.note_away(now)
        log.info("%s", error)
        return {}


def judge_all(flink: JobsSight, contract: Contract, memory: JobsMemory, now: float) -> dict[str, JobHealth]:
    """Judge every job of the contract; raises FlinkUnreachableError while the JobManager is away."""
    cluster, jobs = flink.cluster(), flink.jobs()
    answering_s = now - memory.note_answer({item.jid for item in jobs}, now)
    found = {}
    for name, job in contract.jobs.items():
        known = memory.jobs.setdefault(name, JobMemory())
        matching = tuple(item for item in jobs if item.name == pipeline_name(contract, job))
        try:
            seen = _observe(flink, job, matching, cluster, answering_s, known, now)
        except FlinkUnreachableError:
            raise
        except FlinkRestError as error:
            found[name] = JobHealth(JobCondition.WAITING, f"it changed during the look: {error}")
        else:
            found[name] = judge(seen, job.freshness_s, now)
    return found


def _observe(
    flink: JobsSight,
    job: Job,
    matching: tuple[JobSummary, ...],
    cluster: Cluster,
    answering_s: float,
    known: JobMemory,
    now: float,
) -> ObservedJob:
    live = next((item for item in matching if not item.final), None)
    checkpoints = flink.checkpoints(live.jid) if live else None
    if live:
        known.note_restarts(live.jid, flink.restarts(live.jid), now)
    return ObservedJob(matching, cluster, checkpoints, answering_s, tuple(known.seen), job.parallelism)


def _cluster_away(engines: Engines, memory: JobsMemory, now: float) -> Report:
    away_s = now - (memory.away_since or now)
    text = f"the JobManager has not answered for {away_s:.0f} s; its supervisor restarts it"
    if away_s < CLUSTER_ALARM_S:
        return Report(text)
    alarms.open_alarm(engines.db, CLUSTER, text)
    return Report(text, failed=True)


def act(engines: Engines, job: Job, health: JobHealth, known: JobMemory, now: float) -> Report:
    """Do about one job what its condition asks for. `known` is changed in place."""
    subject = f"job {job.name}"
    if health.condition is JobCondition.HEALTHY:
        alarms.close_alarm(engines.db, subject)
        adopted = "; this run was not remembered: adopted" if adopt_unknown(engines, job, known.jid) else ""
        return Report(f"healthy: {health.reason}{adopted}")
    if health.condition is JobCondition.WAITING:
        return Report(f"waiting: {health.reason}")
    if health.condition is JobCondition.BLOCKED:
        alarms.open_alarm(engines.db, subject, health.reason)
        return Report(f"cannot run: {health.reason}", failed=True)
    if health.condition is JobCondition.DOUBLED:
        kept = keep_oldest(engines, job, live_jobs(engines, job))
        return Report(f"{health.reason}: kept {kept[0].jid if kept else 'none'}, cancelled the others")
    return _restart_within_budget(engines, job, health.reason, known, now)


def _restart_within_budget(engines: Engines, job: Job, reason: str, known: JobMemory, now: float) -> Report:
    plan = plan_restart(reason, known.restarts, engines.contract.budgets["job"], now, "the job's exceptions")
    if isinstance(plan, UsedUp):
        alarms.open_alarm(engines.db, f"job {job.name}", plan.report.text)
    return _restart(engines, job, reason, known, plan) if isinstance(plan, Attempt) else plan.report


def _restart(engines: Engines, job: Job, reason: str, known: JobMemory, attempt: Attempt) -> Report:
    try:
        # Before anything is cancelled: without Kafka, S3 and a slot nothing can be started in its place.
        facts = gather(engines, job)
        live = keep_oldest(engines, job, facts.live)
        if not live:
            wait_for_slot(engines, job)
    except Exception as error:  # each client has exceptions of its own; the text is what counts
        text = f"{reason}; it cannot be restarted now: {first_line(error)}"
        alarms.open_alarm(engines.db, f"job {job.name}", text)
        return Report(text, failed=True)
    known.restarts = attempt.restarts
    try:
        cancel_all(engines, live)
        started = resume(engines, facts)
    except Exception as error:  # as above: a run that judged three jobs must not die of one
        return attempt.failed(error)
    return attempt.worked(f"job {started.job_id} from {started.started_from}")
