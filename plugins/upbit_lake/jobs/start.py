"""The streaming jobs: found by name, submitted once, started from the highest rung that holds."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from upbit_lake.contract.model import Contract, Job
from upbit_lake.contract.sql_files import load_statements, sql_variables
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.gateway import GatewayError, GatewaySession
from upbit_lake.engines.flink.jobmanager import FlinkRestError, JobSummary
from upbit_lake.engines.flink.session import STREAMING, declare_sources, lake_session
from upbit_lake.engines.lake.files import created_ms
from upbit_lake.jobs.ladder import Rung
from upbit_lake.jobs.restore_points import RestorePoint, restore_points
from upbit_lake.reconcile.topics import topic_ids
from upbit_lake.state import job_runs
from upbit_lake.state.job_runs import JobRun

log = logging.getLogger(__name__)

RECOVERY_PATH = "execution.state-recovery.path"
START_TIMEOUT_S = 90.0
SLOT_TIMEOUT_S = 60.0
POLL_S = 0.3


class JobStartError(RuntimeError):
    """A job does not start, on no rung. One line: which job, why."""


class NoSlotError(JobStartError):
    """The cluster has no free slot: not the job's fault, and no rung would help."""


@dataclass(frozen=True)
class Started:
    """A job that runs: its Flink id and the rung it stands on."""

    job_id: str
    started_from: str


def pipeline_name(contract: Contract, job: Job) -> str:
    """The name under which Flink runs a job: the key by which it is found."""
    return f"{contract.lake.database} {job.name}"


def live_jobs(engines: Engines, job: Job) -> list[JobSummary]:
    """The non-final Flink jobs of a logical job, oldest first."""
    name = pipeline_name(engines.contract, job)
    found = [item for item in engines.flink.jobs() if item.name == name and not item.final]
    return sorted(found, key=lambda item: item.start_ms)


def job_properties(contract: Contract, job: Job) -> dict[str, str]:
    """The settings of a job's session. A restart by Flink itself never gives up: the supervising DAG does."""
    return {
        **STREAMING,
        "pipeline.name": pipeline_name(contract, job),
        "parallelism.default": str(job.parallelism),
        "execution.checkpointing.interval": f"{contract.checkpoints.interval_s} s",
        "execution.checkpointing.timeout": f"{contract.checkpoints.timeout_s} s",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "30 s",
    }


def fingerprint(contract: Contract, job: Job) -> str:
    """Changes when a job's SQL, its sources or its settings change; not with endpoints, secrets or starting points."""
    digest = hashlib.sha256()
    for path in [contract.root / job.sql, *sorted((contract.root / "sql" / "sources").glob("*.sql"))]:
        digest.update(path.read_bytes())
    digest.update(repr(sorted(job_properties(contract, job).items())).encode())
    digest.update(str(contract.lake.snapshot_max_age_s).encode())
    return digest.hexdigest()[:16]


def start(engines: Engines, job: Job, rungs: Iterable[Rung]) -> Started:
    """Start `job` on the first rung on which all its tasks run, and remember the run.

    Args:
        rungs: in order; one that is dear to find may be made only when it is asked for.

    Raises:
        NoSlotError: no free slot within SLOT_TIMEOUT_S.
        JobStartError: no rung holds; a job that did not come up was cancelled.
    """
    wait_for_slot(engines, job)
    failures: list[str] = []
    for rung in rungs:
        log.info("starting job %s from %s", job.name, rung.description)
        try:
            return Started(_attempt(engines, job, rung), rung.description)
        except (GatewayError, JobStartError) as error:
            log.warning("job %s does not start from %s: %s", job.name, rung.description, error)
            failures.append(str(error))
    raise JobStartError(f"job {job.name} starts from none of {len(failures)} points; last: {failures[-1]}")


def _attempt(engines: Engines, job: Job, rung: Rung) -> str:
    """Submit a job and wait until it runs; one that does not is cancelled and, when it left no state, forgotten."""
    job_id = None
    try:
        job_id = submit(engines, job, rung)
        wait_running(engines, job_id)
    except (GatewayError, JobStartError):
        cancel_all(engines, live_jobs(engines, job))
        if job_id and not restore_points_of(engines, [job_id]):
            job_runs.forget(engines.db, job_id)
        raise
    return job_id


def restore_points_of(engines: Engines, job_ids: Sequence[str]) -> list[RestorePoint]:
    """What these Flink jobs left to restore from, newest first."""
    checkpoints = engines.contract.checkpoints
    return restore_points(engines.s3, job_ids, checkpoints.directory, checkpoints.savepoint_directory)


def submit(engines: Engines, job: Job, rung: Rung) -> str:
    """Submit a job's SQL and remember the run; gives the Flink job id."""
    contract, settings = engines.contract, engines.settings
    statements = load_statements(contract.root / job.sql, sql_variables(contract, settings))
    properties = job_properties(contract, job)
    with lake_session(engines.gateway, contract, settings, properties["pipeline.name"], properties) as session:
        declare_sources(session, contract, settings, rung.startup)
        job_id = _submit(session, statements, rung.recovery_path)
    if job_id is None:
        raise JobStartError(f"{job.sql}: no statement started a job")
    remember(engines, job, job_id, rung.description)
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


def remember(engines: Engines, job: Job, job_id: str, started_from: str) -> None:
    """Record that `job_id` is a run of `job`, on the topics and tables as they are now."""
    run = JobRun(
        job_id,
        pipeline_name(engines.contract, job),
        started_from,
        fingerprint(engines.contract, job),
        *identities(engines, job),
    )
    job_runs.remember(engines.db, run)


def identities(engines: Engines, job: Job) -> tuple[Mapping[str, str], Mapping[str, int]]:
    """(topic → id, table → creation time) of what a job reads and writes; what does not exist is left out."""
    contract = engines.contract
    topics = topic_ids(engines.kafka, contract.topics_of_job(job.name))
    times = {name: created_ms(engines.s3, contract.lake, name) for name in written_tables(contract, job)}
    return topics, {name: created for name, created in times.items() if created is not None}


def written_tables(contract: Contract, job: Job) -> list[str]:
    """The lake tables that a job's SQL writes, derived ones (candles) included."""
    text = (contract.root / job.sql).read_text(encoding="utf-8")
    written = set(re.findall(r"INSERT\s+INTO\s+(?:\w+\.)+(\w+)", text, re.IGNORECASE))
    return [table for table in contract.tables if table in written]


def wait_for_slot(
    engines: Engines,
    job: Job,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until the cluster has the slots that `job` needs; raises NoSlotError."""
    deadline = clock() + SLOT_TIMEOUT_S
    while True:
        cluster = engines.flink.cluster()
        if cluster.slots_available >= job.parallelism:
            return
        if clock() > deadline:
            raise NoSlotError(
                f"job {job.name} needs {job.parallelism} free slot(s): {cluster.slots_available} of "
                f"{cluster.slots_total} are free on {cluster.taskmanagers} TaskManager(s)"
            )
        sleep(POLL_S)


def wait_running(
    engines: Engines,
    job_id: str,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until all tasks of a job run; raises JobStartError when it ends or does not come up in time."""
    deadline = clock() + START_TIMEOUT_S
    while True:
        job = next((item for item in engines.flink.jobs() if item.jid == job_id), None)
        if job is not None and job.all_running:
            return
        if job is not None and job.final:
            raise JobStartError(f"{job.state}: {engines.flink.last_failure(job_id) or 'no reason given'}")
        if clock() > deadline:
            why = engines.flink.last_failure(job_id) if job else "the JobManager does not know it"
            raise JobStartError(f"not running after {START_TIMEOUT_S:.0f} s: {why or 'no failure reported'}")
        sleep(POLL_S)


def runs(engines: Engines, job: Job) -> list[JobRun]:
    """The remembered runs of a logical job, newest first."""
    return job_runs.runs_of(engines.db, pipeline_name(engines.contract, job))


def cancel_all(engines: Engines, jobs: Sequence[JobSummary]) -> None:
    """Cancel `jobs`; their retained checkpoints stay. One that ended meanwhile is no error."""
    for job in jobs:
        try:
            engines.flink.cancel(job.jid)
        except FlinkRestError as error:
            if any(item.jid == job.jid and not item.final for item in engines.flink.jobs()):
                raise JobStartError(f"job {job.jid} cannot be cancelled: {error}") from None


def stop_keeping_state(engines: Engines, job: JobSummary) -> None:
    """Stop a job with a savepoint or, when that fails, cancel it: its retained checkpoints stay."""
    try:
        path = engines.flink.stop_with_savepoint(job.jid, engines.contract.checkpoints.savepoint_directory)
        log.info("job %s stopped with savepoint %s", job.name, path)
    except FlinkRestError as error:
        log.warning("job %s: no savepoint (%s), cancelled instead", job.name, error)
        cancel_all(engines, [job])
