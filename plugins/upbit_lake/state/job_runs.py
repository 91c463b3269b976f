"""Remembers which Flink job id belongs to which logical job, and on what it was started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from upbit_lake.engines.postgres import Database, as_json


@dataclass(frozen=True)
class JobRun:
    """One submission of a logical job.

    Args:
        fingerprint: of its SQL and settings.
        topic_ids: ids of the topics it reads; another id means that the topic was recreated.
        table_ids: creation times (epoch ms) of the tables it writes, likewise.
    """

    job_id: str
    name: str
    started_from: str
    fingerprint: str
    topic_ids: Mapping[str, str]
    table_ids: Mapping[str, int]


def remember(db: Database, run: JobRun) -> None:
    """Record a run; the same job id again updates what is known of it."""
    values = vars(run) | {"topic_ids": as_json(dict(run.topic_ids)), "table_ids": as_json(dict(run.table_ids))}
    db.query("job_runs/remember", values)


def forget(db: Database, job_id: str) -> None:
    """Forget a run."""
    db.query("job_runs/forget", {"job_id": job_id})


def bootstrapped(db: Database) -> bool:
    """True once a job has run: before the first bootstrap there is nothing to supervise, close or verify."""
    return bool(db.query("job_runs/bootstrapped")[0]["bootstrapped"])


def runs_of(db: Database, name: str) -> list[JobRun]:
    """The runs of logical job `name`, newest first."""
    fields = JobRun.__dataclass_fields__
    return [JobRun(**{key: row[key] for key in fields}) for row in db.query("job_runs/of_job", {"name": name})]
