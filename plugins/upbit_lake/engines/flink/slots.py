"""Batch work takes the slot that the streaming jobs leave free, and is deferred when one of them needs it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from upbit_lake.engines.clock import SYSTEM, Clock, wait_until
from upbit_lake.engines.flink.jobmanager import Cluster, JobManager, JobSummary

POLL_S = 2.0


class BatchYieldsError(RuntimeError):
    """Batch work must not run now. One line: what the streaming jobs wait for."""


@dataclass(frozen=True)
class StreamingJob:
    """What must not change for a streaming job while batch work runs."""

    jid: str
    start_ms: int
    restarts: int


def slot_problem(cluster: Cluster, jobs: Iterable[JobSummary], streaming: Iterable[str]) -> str | None:
    """Why batch work must wait, None when it may run: a streaming job is not running, or no slot is free."""
    live = {job.name: job for job in jobs if not job.final}
    for name in streaming:
        if name in live and not live[name].all_running:
            return f"streaming job {name} waits for its slots ({live[name].state})"
    if cluster.slots_available < 1:
        return f"no free slot ({cluster.slots_total} in {cluster.taskmanagers} TaskManagers, all taken)"
    return None


def await_slot(rest: JobManager, streaming: Iterable[str], timeout_s: float, clock: Clock = SYSTEM) -> None:
    """Wait until batch work may run; raises BatchYieldsError after `timeout_s` s, FlinkRestError."""
    names = list(streaming)
    problem = wait_until(
        lambda: slot_problem(rest.cluster(), rest.jobs(), names), lambda found: found is None, timeout_s, POLL_S, clock
    )
    if problem is not None:
        raise BatchYieldsError(f"batch work deferred: {problem}; the next run retries")


def streaming_jobs(rest: JobManager, streaming: Iterable[str]) -> dict[str, StreamingJob]:
    """The running streaming jobs by name, to be compared before and after."""
    names = set(streaming)
    return {
        job.name: StreamingJob(job.jid, job.start_ms, rest.restarts(job.jid))
        for job in rest.jobs()
        if job.name in names and not job.final
    }


def disturbed(before: dict[str, StreamingJob], after: dict[str, StreamingJob]) -> list[str]:
    """The streaming jobs that were restarted or replaced in between."""
    return sorted(name for name, job in before.items() if after.get(name) != job)
