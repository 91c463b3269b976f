"""The facts about one job, gathered once: every decision of a reconcile, restart or resume stands on the same answers.

Between two looks Kafka or the store may answer differently, and a plan made of both would fit neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from upbit_lake.contract.model import Job
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.jobmanager import JobSummary
from upbit_lake.engines.kafka.admin import topic_ids
from upbit_lake.engines.lake.files import created_ms
from upbit_lake.jobs import ladder
from upbit_lake.jobs.identity import fingerprint, pipeline_name, written_tables
from upbit_lake.jobs.restore_points import RestorePoint, restore_points
from upbit_lake.state import job_runs
from upbit_lake.state.job_runs import JobRun


@dataclass(frozen=True)
class JobFacts:
    """What Flink, Kafka, the store and the memory of earlier runs say of one job at one moment.

    Args:
        live: its Flink jobs that are not final, oldest first.
        runs: its remembered runs, newest first.
        topics: topic → id, of what it reads. What does not exist is left out.
        tables: table → creation time (epoch ms), of what it writes, likewise.
        fingerprint: of its SQL and settings as they are in the repository.
        list_points: lists what some Flink job ids left to restore from, newest first.
    """

    job: Job
    live: Sequence[JobSummary]
    runs: Sequence[JobRun]
    topics: Mapping[str, str]
    tables: Mapping[str, int]
    fingerprint: str
    list_points: Callable[[Sequence[str]], list[RestorePoint]] = field(repr=False)

    @property
    def last(self) -> JobRun | None:
        """The newest remembered run or, when the live job is remembered, that one."""
        live = {item.jid for item in self.live[:1]}
        of_live = next((run for run in self.runs if run.job_id in live), None)
        return of_live or next(iter(self.runs), None)

    def recreated_since(self, run: JobRun | None) -> list[str]:
        """What of the topics and tables was deleted and created again since `run` started, in words."""
        return ladder.recreated(run, self.topics, self.tables) if run else []

    @property
    def valid_runs(self) -> list[JobRun]:
        """The runs that stand on the topics and tables as they are now; the state of the others is void."""
        return [run for run in self.runs if not self.recreated_since(run)]

    @cached_property
    def restore_points(self) -> list[RestorePoint]:
        """What the valid runs left to restore from, newest first.

        Listed when it is first asked for: a job that is replaced leaves its savepoint after the facts were gathered.
        """
        return self.list_points([run.job_id for run in self.valid_runs])


def gather(engines: Engines, job: Job) -> JobFacts:
    """Gather the facts about `job`; raises what the client of an engine raises that does not answer."""
    contract = engines.contract
    checkpoints = contract.checkpoints

    def list_points(job_ids: Sequence[str]) -> list[RestorePoint]:
        return restore_points(engines.s3, job_ids, checkpoints.directory, checkpoints.savepoint_directory)

    times = {name: created_ms(engines.s3, contract.lake, name) for name in written_tables(contract, job)}
    return JobFacts(
        job=job,
        live=live_jobs(engines, job),
        runs=remembered_runs(engines, job),
        topics=topic_ids(engines.kafka, contract.topics_of_job(job.name)),
        tables={name: created for name, created in times.items() if created is not None},
        fingerprint=fingerprint(contract, job),
        list_points=list_points,
    )


def live_jobs(engines: Engines, job: Job) -> list[JobSummary]:
    """The non-final Flink jobs of a logical job, oldest first."""
    name = pipeline_name(engines.contract, job)
    found = [item for item in engines.flink.jobs() if item.name == name and not item.final]
    return sorted(found, key=lambda item: item.start_ms)


def remembered_runs(engines: Engines, job: Job) -> list[JobRun]:
    """The remembered runs of a logical job, newest first."""
    return job_runs.runs_of(engines.db, pipeline_name(engines.contract, job))
