"""Starts a streaming job: submitted once, from the highest rung that holds, remembered with what it stands on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from upbit_lake.contract.model import Job
from upbit_lake.contract.sql_files import load_statements, sql_variables
from upbit_lake.engines.clock import wait_until
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.gateway import GatewayError, GatewaySession
from upbit_lake.engines.flink.jobmanager import JobSummary
from upbit_lake.engines.flink.session import declare_sources, lake_session
from upbit_lake.jobs.facts import JobFacts, live_jobs
from upbit_lake.jobs.identity import job_properties, pipeline_name
from upbit_lake.jobs.ladder import Rung
from upbit_lake.jobs.stop import JobError, cancel_all
from upbit_lake.state import job_runs
from upbit_lake.state.job_runs import JobRun

log = logging.getLogger(__name__)

RECOVERY_PATH = "execution.state-recovery.path"
# A job runs some seconds after its submission; one whose checkpoint lies on a store that is slow needs longer.
START_TIMEOUT_S = 90.0
# A TaskManager that was killed is noticed after 11 to 15 s, and 18 s after its start its slots are taken again.
SLOT_TIMEOUT_S = 60.0
POLL_S = 0.3


class JobStartError(JobError):
    """A job does not start, on no rung. One line: which job, why."""


class NoSlotError(JobStartError):
    """The cluster has no free slot: not the job's fault, and no rung would help."""


@dataclass(frozen=True)
class Started:
    """A job that runs: its Flink id and the rung it stands on."""

    job_id: str
    started_from: str


def start(engines: Engines, facts: JobFacts, rungs: Iterable[Rung]) -> Started:
    """Start a job on the first rung on which all its tasks run, and remember the run.

    Args:
        rungs: in order; one that is dear to find may be made only when it is asked for.

    Raises:
        NoSlotError: no free slot within SLOT_TIMEOUT_S.
        JobStartError: no rung holds; a job that did not come up was cancelled.
    """
    job = facts.job
    wait_for_slot(engines, job)
    failures: list[str] = []
    for rung in rungs:
        log.info("starting job %s from %s", job.name, rung.description)
        try:
            return Started(_attempt(engines, facts, rung), rung.description)
        except (GatewayError, JobError) as error:
            log.warning("job %s does not start from %s: %s", job.name, rung.description, error)
            failures.append(str(error))
    raise JobStartError(f"job {job.name}: all {len(failures)} restart points failed; last error: {failures[-1]}")


def _attempt(engines: Engines, facts: JobFacts, rung: Rung) -> str:
    """Submit a job and wait until it runs; one that does not is cancelled and, when it left no state, forgotten."""
    job_id = None
    try:
        job_id = submit(engines, facts, rung)
        wait_running(engines, job_id)
    except (GatewayError, JobError):
        cancel_all(engines, live_jobs(engines, facts.job))
        if job_id and not facts.list_points([job_id]):
            job_runs.forget(engines.db, job_id)
        raise
    return job_id


def submit(engines: Engines, facts: JobFacts, rung: Rung) -> str:
    """Submit a job's SQL and remember the run; gives the Flink job id."""
    contract, settings, job = engines.contract, engines.settings, facts.job
    statements = load_statements(contract.root / job.sql, sql_variables(contract, settings))
    properties = job_properties(contract, job)
    with lake_session(engines.gateway, contract, settings, properties["pipeline.name"], properties) as session:
        declare_sources(session, contract, settings, rung.startup)
        job_id = _submit(session, statements, rung.recovery_path)
    if job_id is None:
        raise JobStartError(f"{job.sql}: no statement started a job")
    remember(engines, facts, job_id, rung.description)
    return job_id


def _submit(session: GatewaySession, statements: Sequence[str], recovery_path: str | None) -> str | None:
    if recovery_path:
        session.set(RECOVERY_PATH, recovery_path)
    try:
        return next((result.job_id for result in map(session.run, statements) if result.job_id), None)
    finally:
        # The setting is sticky: the session's next INSERT would restore the same state.
        if recovery_path:
            session.reset(RECOVERY_PATH)


def remember(engines: Engines, facts: JobFacts, job_id: str, started_from: str) -> None:
    """Record that `job_id` is a run of the job, on the topics and tables of its facts."""
    name = pipeline_name(engines.contract, facts.job)
    job_runs.remember(engines.db, JobRun(job_id, name, started_from, facts.fingerprint, facts.topics, facts.tables))


def wait_for_slot(engines: Engines, job: Job) -> None:
    """Wait until the cluster has the slots that `job` needs; raises NoSlotError."""
    cluster = wait_until(
        engines.flink.cluster,
        lambda seen: seen.slots_available >= job.parallelism,
        SLOT_TIMEOUT_S,
        POLL_S,
        engines.clock,
    )
    if cluster.slots_available < job.parallelism:
        raise NoSlotError(
            f"job {job.name} needs {job.parallelism} free slot(s): {cluster.slots_available} of "
            f"{cluster.slots_total} are free on {cluster.taskmanagers} TaskManager(s)"
        )


def wait_running(engines: Engines, job_id: str) -> None:
    """Wait until all tasks of a job run; raises JobStartError when it ends or does not come up in time."""

    def look() -> JobSummary | None:
        return next((item for item in engines.flink.jobs() if item.jid == job_id), None)

    def settled(job: JobSummary | None) -> bool:
        return job is not None and (job.all_running or job.final)

    job = wait_until(look, settled, START_TIMEOUT_S, POLL_S, engines.clock)
    if job is None:
        raise JobStartError(f"not running after {START_TIMEOUT_S:.0f} s: the JobManager does not know it")
    if job.final:
        raise JobStartError(f"{job.state}: {engines.flink.last_failure(job_id) or 'no reason given'}")
    if not job.all_running:
        why = engines.flink.last_failure(job_id) or "no failure reported"
        raise JobStartError(f"not running after {START_TIMEOUT_S:.0f} s: {why}")
