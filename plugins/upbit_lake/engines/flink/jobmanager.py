"""Client of the JobManager's REST: jobs, their checkpoints and exceptions, cancel, stop with savepoint."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import requests

from upbit_lake.engines.clock import SYSTEM, Clock, wait_until
from upbit_lake.engines.flink.reason import reason_of

# Answers come within milliseconds; a JobManager that recovers its jobs keeps a question waiting.
HTTP_TIMEOUT_S = 20.0
POLL_S = 0.2
# More than `task.cancellation.timeout` in flink/config.yaml, after which a TaskManager with a stuck task ends itself.
CANCEL_TIMEOUT_S = 120.0
# A job that is restarted takes a cancellation some seconds later.
CANCEL_AGAIN_S = 10.0
# The state of a stream is some megabytes and stops in 0.6 s; the rest is for a store that is slow.
SAVEPOINT_TIMEOUT_S = 120.0
CANCELLING = "CANCELLING"
FINAL_STATES = frozenset({"FAILED", "CANCELED", "FINISHED"})


class FlinkRestError(RuntimeError):
    """The JobManager refused or failed. One line: what was asked, what it said."""


class FlinkUnreachableError(FlinkRestError):
    """No answer from the JobManager: it is away or starting."""


@dataclass(frozen=True)
class Cluster:
    """What the cluster can run: registered TaskManagers and their slots."""

    taskmanagers: int
    slots_total: int
    slots_available: int


@dataclass(frozen=True)
class JobSummary:
    """A line of `/jobs/overview`. Tasks counted over all vertices and subtasks.

    `start_ms`: epoch ms. `changed_ms`: when the job or one of its tasks last changed its state, likewise.
    """

    jid: str
    name: str
    state: str
    start_ms: int
    tasks_running: int
    tasks_total: int
    changed_ms: int = 0

    @property
    def final(self) -> bool:
        """True when the job will never run again."""
        return self.state in FINAL_STATES

    @property
    def all_running(self) -> bool:
        """True when the job and each of its tasks run; the job's state alone proves nothing."""
        return self.state == "RUNNING" and self.tasks_total > 0 and self.tasks_running == self.tasks_total


@dataclass(frozen=True)
class Checkpoint:
    """A completed checkpoint: S3 path, time of completion (epoch ms)."""

    path: str
    completed_ms: int


@dataclass(frozen=True)
class CheckpointStatus:
    """Counts since the JobManager took the job (they fall to zero at its restart) and the newest completed one."""

    completed: int
    failed: int
    latest: Checkpoint | None
    restored_path: str | None


class JobManager(Protocol):
    """What the control plane asks of Flink's JobManager and does to its jobs.

    Every method raises FlinkUnreachableError while the JobManager is away, and FlinkRestError when it refuses.
    """

    def cluster(self) -> Cluster:
        """The JobManager returns its TaskManagers and slots."""

    def jobs(self) -> list[JobSummary]:
        """The JobManager returns all jobs that it knows, final ones included."""

    def checkpoints(self, jid: str) -> CheckpointStatus:
        """The JobManager returns a job's checkpoint counts and its newest completed checkpoint."""

    def restarts(self, jid: str) -> int:
        """The JobManager returns how often it restarted a job; it refreshes that only every 10 s."""

    def last_failure(self, jid: str) -> str | None:
        """The JobManager returns in one line why a job failed last, or None."""

    def cancel(self, jid: str, timeout_s: float = CANCEL_TIMEOUT_S) -> None:
        """The job is final within `timeout_s` seconds; its retained checkpoints stay."""

    def stop_with_savepoint(self, jid: str, directory: str, timeout_s: float = SAVEPOINT_TIMEOUT_S) -> str:
        """The job stops with a savepoint below `directory`, whose path is returned, within `timeout_s` seconds."""


class FlinkRest:
    """The JobManager at `url`, without a trailing slash."""

    def __init__(self, url: str, clock: Clock = SYSTEM) -> None:
        self._url = url
        self._http = requests.Session()
        self._clock = clock

    def cluster(self) -> Cluster:
        """TaskManagers and slots; raises FlinkUnreachableError while the JobManager is away."""
        data = self._call("GET", "/overview")
        return Cluster(data["taskmanagers"], data["slots-total"], data["slots-available"])

    def jobs(self) -> list[JobSummary]:
        """All jobs that this JobManager knows, final ones included."""
        return [job_summary(item) for item in self._call("GET", "/jobs/overview")["jobs"]]

    def checkpoints(self, jid: str) -> CheckpointStatus:
        """Checkpoint counts and the newest completed checkpoint of a job."""
        return checkpoint_status(self._call("GET", f"/jobs/{jid}/checkpoints"))

    def restarts(self, jid: str) -> int:
        """numRestarts of a job; the JobManager refreshes it only every 10 s."""
        data = self._call("GET", f"/jobs/{jid}/metrics?get=numRestarts")
        return int(float(data[0]["value"])) if data else 0

    def last_failure(self, jid: str) -> str | None:
        """One line: why the job failed last, or None."""
        data = self._call("GET", f"/jobs/{jid}/exceptions?maxExceptions=1")
        entries = data.get("exceptionHistory", {}).get("entries", [])
        return reason_of(entries[0]["stacktrace"]) if entries else None

    def cancel(self, jid: str, timeout_s: float = CANCEL_TIMEOUT_S) -> None:
        """Cancel a job and wait until it is final; its retained checkpoints stay.

        It is asked again while the job is not even CANCELLING: a request that meets a restarting job may be lost.
        """
        self._call("PATCH", f"/jobs/{jid}?mode=cancel")
        asked = self._clock.monotonic()

        def live_entry() -> dict[str, Any] | None:
            nonlocal asked
            found = self._entry(jid)
            if found is None or found["state"] in FINAL_STATES:
                return None
            if found["state"] != CANCELLING and self._clock.monotonic() - asked >= CANCEL_AGAIN_S:
                asked = self._clock.monotonic()
                # Refused when it has ended since the look, which the next look will see.
                with suppress(FlinkRestError):
                    self._call("PATCH", f"/jobs/{jid}?mode=cancel")
            return found

        live = wait_until(live_entry, lambda found: found is None, timeout_s, POLL_S, self._clock)
        if live is not None:
            raise FlinkRestError(f"job {jid} was cancelled but is {described(live)} after {timeout_s:.0f} s")

    def stop_with_savepoint(self, jid: str, directory: str, timeout_s: float = SAVEPOINT_TIMEOUT_S) -> str:
        """Stop a job with a savepoint below `directory` and give its path.

        A savepoint request ends COMPLETED even when it failed: only a location without a failure cause counts.
        """
        request = self._call("POST", f"/jobs/{jid}/stop", {"targetDirectory": directory, "drain": False})
        path = f"/jobs/{jid}/savepoints/{request['request-id']}"

        def ended(answer: Mapping[str, Any]) -> bool:
            return bool(answer["status"]["id"] == "COMPLETED")

        answer = wait_until(lambda: self._call("GET", path), ended, timeout_s, POLL_S, self._clock)
        if not ended(answer):
            raise FlinkRestError(f"savepoint of job {jid} did not end within {timeout_s:.0f} s")
        return savepoint_location(jid, answer.get("operation") or {})

    def _entry(self, jid: str) -> dict[str, Any] | None:
        return next((item for item in self._call("GET", "/jobs/overview")["jobs"] if item["jid"] == jid), None)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            answer = self._http.request(method, self._url + path, json=body, timeout=HTTP_TIMEOUT_S)
        except requests.RequestException as error:
            raise FlinkUnreachableError(f"JobManager {self._url}: no answer ({type(error).__name__})") from None
        if answer.status_code == 503:
            raise FlinkUnreachableError(f"JobManager {self._url}: {reason_of(answer.text)}")
        if answer.status_code >= 400:
            raise FlinkRestError(f"{method} {path.partition('?')[0]}: {reason_of(answer.text)}")
        return answer.json() if answer.text else {}


def job_summary(item: Mapping[str, Any]) -> JobSummary:
    """A JobSummary from an entry of `/jobs/overview`."""
    tasks = item["tasks"]
    return JobSummary(
        item["jid"],
        item["name"],
        item["state"],
        item["start-time"],
        tasks.get("running", 0),
        tasks.get("total", 0),
        item.get("last-modification", 0),
    )


def described(item: Mapping[str, Any]) -> str:
    """State and task counts of an entry of `/jobs/overview`, e.g. `CANCELLING (2 canceling, 4 canceled of 6 tasks)`."""
    counts = [f"{count} {state}" for state, count in item["tasks"].items() if count and state != "total"]
    return f"{item['state']} ({', '.join(counts) or 'none'} of {item['tasks'].get('total', 0)} tasks)"


def checkpoint_status(data: Mapping[str, Any]) -> CheckpointStatus:
    """A CheckpointStatus from `/jobs/:id/checkpoints`; a savepoint counts as completed too when it is the newest."""
    newest = data["latest"].get("completed")
    restored = data["latest"].get("restored") or {}
    latest = Checkpoint(newest.get("external_path") or "", newest["latest_ack_timestamp"]) if newest else None
    return CheckpointStatus(
        data["counts"]["completed"], data["counts"]["failed"], latest, restored.get("external_path")
    )


def savepoint_location(jid: str, operation: Mapping[str, Any]) -> str:
    """The path of a finished savepoint; raises FlinkRestError with the cause when it failed."""
    if operation.get("failure-cause"):
        cause = operation["failure-cause"]
        raise FlinkRestError(f"savepoint of job {jid} failed: {reason_of(str(cause.get('stack-trace', cause)))}")
    if not operation.get("location"):
        raise FlinkRestError(f"savepoint of job {jid} ended without a location")
    return str(operation["location"])
