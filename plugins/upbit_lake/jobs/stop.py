"""Ends Flink jobs so that what they left to restore from stays."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from upbit_lake.contract.model import Job
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.jobmanager import FlinkRestError, JobSummary

log = logging.getLogger(__name__)


class JobError(RuntimeError):
    """A job does not start or does not end. One line: which job, why."""


def cancel_all(engines: Engines, jobs: Sequence[JobSummary]) -> None:
    """Cancel `jobs`; their retained checkpoints stay. One that ended meanwhile is no error. Raises JobError."""
    for job in jobs:
        try:
            engines.flink.cancel(job.jid)
        except FlinkRestError as error:
            if any(item.jid == job.jid and not item.final for item in engines.flink.jobs()):
                raise JobError(f"job {job.jid} cannot be cancelled: {error}") from None


def keep_oldest(engines: Engines, job: Job, live: Sequence[JobSummary]) -> list[JobSummary]:
    """The oldest of the `live` jobs of one name (oldest first) stays, the others are cancelled: two write twice."""
    if len(live) > 1:
        log.warning("job %s runs %d times: cancelling all but the oldest", job.name, len(live))
        cancel_all(engines, live[1:])
    return list(live[:1])


def stop_keeping_state(engines: Engines, job: JobSummary) -> None:
    """Stop a job with a savepoint or, when that fails, cancel it: its retained checkpoints stay."""
    try:
        path = engines.flink.stop_with_savepoint(job.jid, engines.contract.checkpoints.savepoint_directory)
        log.info("job %s stopped with savepoint %s", job.name, path)
    except FlinkRestError as error:
        log.warning("job %s: no savepoint (%s), cancelled instead", job.name, error)
        cancel_all(engines, [job])
