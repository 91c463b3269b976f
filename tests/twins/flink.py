"""Flink's JobManager and SQL gateway in memory. tests/contract holds them against the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from upbit_lake.engines.flink.gateway import GatewayError, Result
from upbit_lake.engines.flink.jobmanager import (
    CANCEL_TIMEOUT_S,
    SAVEPOINT_TIMEOUT_S,
    CheckpointStatus,
    Cluster,
    FlinkRestError,
    JobSummary,
)

NO_CHECKPOINT = CheckpointStatus(0, 0, None, None)


@dataclass
class JobManagerTwin:
    """A JobManager that knows the jobs it is given. `away`: what every question raises while it is set."""

    listed: list[JobSummary] = field(default_factory=list)
    states: dict[str, CheckpointStatus] = field(default_factory=dict)
    restarted: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    slots: int = 4
    away: FlinkRestError | None = None
    asked: list[str] = field(default_factory=list)

    def cluster(self) -> Cluster:
        self._answer("cluster")
        taken = sum(not job.final for job in self.listed)
        return Cluster(2, self.slots, self.slots - taken)

    def jobs(self) -> list[JobSummary]:
        self._answer("jobs")
        return list(self.listed)

    def checkpoints(self, jid: str) -> CheckpointStatus:
        self._answer("checkpoints")
        self._job(jid)
        return self.states.get(jid, NO_CHECKPOINT)

    def restarts(self, jid: str) -> int:
        self._answer("restarts")
        self._job(jid)
        return self.restarted.get(jid, 0)

    def last_failure(self, jid: str) -> str | None:
        self._answer("last_failure")
        self._job(jid)
        return self.failures.get(jid)

    def cancel(self, jid: str, timeout_s: float = CANCEL_TIMEOUT_S) -> None:  # noqa: ARG002 (it is at once)
        self._answer("cancel")
        # Flink takes the cancellation of a job that has ended, and nothing happens.
        if not self._job(jid).final:
            self._end(jid, "CANCELED")

    def stop_with_savepoint(self, jid: str, directory: str, timeout_s: float = SAVEPOINT_TIMEOUT_S) -> str:  # noqa: ARG002
        self._answer("stop_with_savepoint")
        self._end(jid, "FINISHED")
        return f"{directory}/savepoint-{jid[:6]}-0"

    def _answer(self, question: str) -> None:
        self.asked.append(question)
        if self.away is not None:
            raise self.away

    def _job(self, jid: str) -> JobSummary:
        for job in self.listed:
            if job.jid == jid:
                return job
        raise FlinkRestError(f"job {jid} not found")

    def _end(self, jid: str, state: str) -> None:
        job = self._job(jid)
        if job.final:
            raise FlinkRestError(f"job {jid} is {job.state}")
        self.listed[self.listed.index(job)] = replace(job, state=state, tasks_running=0)


def no_rows(_: str) -> Result:
    """The answer of a statement that has none."""
    return Result((), (), None)


@dataclass
class SessionTwin:
    """A session that answers by `answer`, which may raise GatewayError. `options` are those set now."""

    answer: Callable[[str], Result]
    options: dict[str, str]
    ran: list[str]

    def run(self, statement: str, timeout_s: float = 0.0) -> Result:  # noqa: ARG002 (it is at once)
        self.ran.append(statement)
        return self.answer(statement)

    def run_all(self, statements: list[str], timeout_s: float = 0.0) -> list[Result]:
        return [self.run(statement, timeout_s) for statement in statements]

    def set(self, key: str, value: str) -> None:
        self.options[key] = value

    def reset(self, key: str) -> None:
        self.options.pop(key, None)


@dataclass
class GatewayTwin:
    """A gateway whose sessions answer by `answer`. `ran`: every statement; `away`: what opening a session raises."""

    answer: Callable[[str], Result] = no_rows
    away: GatewayError | None = None
    ran: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    def version(self) -> str:
        if self.away is not None:
            raise self.away
        return "2.1"

    @contextmanager
    def session(self, name: str, properties: Mapping[str, str] | None = None) -> Iterator[SessionTwin]:
        if self.away is not None:
            raise self.away
        self.opened.append(name)
        yield SessionTwin(self.answer, dict(properties or {}), self.ran)
