"""Is a streaming job healthy? A pure rule over what Flink says; its job state alone proves nothing.

Healthy = RUNNING, all tasks running, completed checkpoints advancing within the bound, restarts below the limit.
Without JobManager high availability a fresh JobManager knows no job at all, and one that is recovering lists none
yet: an empty list counts as lost only after LOST_AFTER_S seconds of a healthy REST.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from upbit_lake.engines.flink.jobmanager import CANCEL_TIMEOUT_S, CANCELLING, CheckpointStatus, Cluster, JobSummary

LOST_AFTER_S = 60.0
RESTART_LIMIT = 10
RESTART_WINDOW_S = 600.0


class JobCondition(StrEnum):
    """How a job is, and so what its supervisor does about it."""

    HEALTHY = "healthy"
    WAITING = "waiting"  # not healthy yet, but Flink or time may cure it
    BLOCKED = "blocked"  # the cluster cannot run it: a restart would not help, a person must know
    UNHEALTHY = "unhealthy"  # runs, but does not work: replace it
    LOST = "lost"  # no such job: submit it
    DOUBLED = "doubled"  # runs more than once: keep the oldest


@dataclass(frozen=True)
class JobHealth:
    """Its condition and the reason in one line."""

    condition: JobCondition
    reason: str


@dataclass(frozen=True)
class ObservedJob:
    """What was seen of one logical job.

    Args:
        jobs: every entry of the overview with the job's name, final ones included.
        checkpoints: of the live job, None when there is none.
        rest_healthy_s: for how long the JobManager has been answering without a break (seconds).
        restarts: (epoch seconds, numRestarts) of the live job as seen in earlier runs, oldest first, now included.
        slots_needed: the job's parallelism.
    """

    jobs: tuple[JobSummary, ...]
    cluster: Cluster
    checkpoints: CheckpointStatus | None
    rest_healthy_s: float
    restarts: Sequence[tuple[float, int]] = ()
    slots_needed: int = 1


def judge(seen: ObservedJob, freshness_s: float, now: float) -> JobHealth:
    """Judge one job at `now` (epoch seconds). `freshness_s` bounds the age of its last completed checkpoint."""
    live = [job for job in seen.jobs if not job.final]
    if len(live) > 1:
        return JobHealth(JobCondition.DOUBLED, f"{len(live)} jobs of this name are live")
    if not live:
        return _absent(seen)
    return _live(live[0], seen, freshness_s, now)


def _absent(seen: ObservedJob) -> JobHealth:
    if seen.jobs:
        last = max(seen.jobs, key=lambda job: job.start_ms)
        return JobHealth(JobCondition.LOST, f"job {last.jid} is {last.state}")
    if seen.rest_healthy_s < LOST_AFTER_S:
        reason = f"no job yet, the JobManager has answered for {seen.rest_healthy_s:.0f} s of {LOST_AFTER_S:.0f} s"
        return JobHealth(JobCondition.WAITING, reason)
    return JobHealth(JobCondition.LOST, f"no job, and the JobManager has answered for {seen.rest_healthy_s:.0f} s")


def _live(job: JobSummary, seen: ObservedJob, freshness_s: float, now: float) -> JobHealth:
    age = progress_age_s(job, seen.checkpoints, now)
    tasks = f"{job.tasks_running} of {job.tasks_total} tasks running"
    fresh = f"last checkpoint {age:.0f} s ago"
    looping = restarts_within(seen.restarts, now)
    if looping > RESTART_LIMIT:
        return JobHealth(JobCondition.UNHEALTHY, f"{looping} restarts within {RESTART_WINDOW_S:.0f} s, {tasks}")
    if job.all_running and age < freshness_s:
        return JobHealth(JobCondition.HEALTHY, f"RUNNING, {tasks}, {fresh}")
    if age < freshness_s or (job.state == CANCELLING and now - job.changed_ms / 1000 < CANCEL_TIMEOUT_S):
        return JobHealth(JobCondition.WAITING, f"{job.state}, {tasks}, {fresh}")
    if not job.all_running and _slots_after_cancel(job, seen.cluster) < seen.slots_needed:
        slots = f"{seen.cluster.slots_available} of {seen.cluster.slots_total} slots are free"
        reason = f"{job.state}, {tasks}, {slots} on {seen.cluster.taskmanagers} TaskManager(s)"
        return JobHealth(JobCondition.BLOCKED, reason)
    return JobHealth(JobCondition.UNHEALTHY, f"{job.state}, {tasks}, {fresh}, bound {freshness_s:.0f} s")


def _slots_after_cancel(job: JobSummary, cluster: Cluster) -> int:
    """Free slots if the job were cancelled, at least: one that has a running task gives one back."""
    return cluster.slots_available + (1 if job.tasks_running else 0)


def progress_age_s(job: JobSummary, checkpoints: CheckpointStatus | None, now: float) -> float:
    """Seconds since the job last proved progress: its newest completed checkpoint or, before the first, its start."""
    moments = [job.start_ms]
    if checkpoints and checkpoints.latest:
        moments.append(checkpoints.latest.completed_ms)
    return max(0.0, now - max(moments) / 1000)


def restarts_within(seen: Sequence[tuple[float, int]], now: float, window_s: float = RESTART_WINDOW_S) -> int:
    """How often a job restarted within the window; a falling counter (new JobManager) is a new baseline."""
    counts = [count for at, count in seen if now - at <= window_s]
    return sum(max(0, later - earlier) for earlier, later in pairwise(counts))
