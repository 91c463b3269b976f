"""What Flink answers is understood: reasons are one line, a savepoint without a location is no savepoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.twins.clock import HandClock
from upbit_lake.engines.flink.gateway import next_token
from upbit_lake.engines.flink.jobmanager import (
    FlinkRest,
    FlinkRestError,
    checkpoint_status,
    job_summary,
    savepoint_location,
)
from upbit_lake.engines.flink.reason import reason_of

STACK = """<Exception on server side:
org.apache.flink.table.gateway.api.utils.SqlGatewayException: Failed to execute.
\tat org.apache.flink.X.y(X.java:1)
Caused by: org.apache.flink.table.api.ValidationException: SQL validation failed.
\tat org.apache.flink.X.y(X.java:2)
Caused by: org.apache.calcite.sql.validate.SqlValidatorException: Object 'nope' not found
\tat org.apache.calcite.Z.y(Z.java:3)

End of exception on server side>"""


def test_the_last_cause_is_the_reason() -> None:
    text = json.dumps({"errors": ["Internal server error.", STACK]})
    assert reason_of(text) == "SqlValidatorException: Object 'nope' not found"


def test_a_reason_is_short_and_one_line() -> None:
    assert len(reason_of("Caused by: " + "x" * 10_000)) == 400
    assert reason_of("") == "no reason given"
    assert reason_of('{"errors": ["Session not found."]}') == "Session not found."


@pytest.mark.parametrize(
    ("uri", "token"), [("/v2/sessions/a/operations/b/result/12?rowFormat=JSON", 12), (None, None), ("", None)]
)
def test_the_next_page_is_found(uri: str | None, token: int | None) -> None:
    assert next_token(uri) == token


def test_a_failed_savepoint_says_completed_and_is_refused() -> None:
    with pytest.raises(FlinkRestError, match="no such bucket"):
        savepoint_location(
            "j1", {"failure-cause": {"stack-trace": "a\nCaused by: java.io.IOException: no such bucket"}}
        )
    with pytest.raises(FlinkRestError, match="without a location"):
        savepoint_location("j1", {})
    assert savepoint_location("j1", {"location": "s3://flink/savepoints/savepoint-1"}).startswith("s3://")


def test_running_without_running_tasks_is_not_running() -> None:
    item = {"jid": "a", "name": "n", "state": "RUNNING", "start-time": 1, "tasks": {"total": 2, "running": 1}}
    assert not job_summary(item).all_running
    item["tasks"] = {"total": 2, "running": 2}
    assert job_summary(item).all_running


def test_a_job_without_checkpoints_has_none() -> None:
    status = checkpoint_status(
        {"counts": {"completed": 0, "failed": 1}, "latest": {"completed": None, "restored": None}}
    )
    assert status.latest is None
    assert status.failed == 1


class SecondsClock(HandClock):
    """Each pause lasts a second."""

    def sleep(self, seconds: float) -> None:
        super().sleep(max(1.0, seconds))


class Cancelled(FlinkRest):
    """A JobManager that shows a job in `states`, one a second, the last one for ever."""

    def __init__(self, *states: str) -> None:
        self.clock, self.asked, self.states = SecondsClock(), list[float](), states
        super().__init__("http://jobmanager", self.clock)

    def _call(self, method: str, path: str, body: Any = None) -> Any:  # noqa: ARG002 (as the client's)
        if method == "PATCH":
            self.asked.append(self.clock.now())
            return {}
        state = self.states[min(int(self.clock.now()), len(self.states) - 1)]
        tasks = {"total": 6, "running": 0, "canceling": 2, "canceled": 4}
        return {"jobs": [{"jid": "j1", "name": "n", "state": state, "start-time": 1, "tasks": tasks}]}


def test_a_job_that_does_not_become_cancelling_is_asked_again() -> None:
    rest = Cancelled(*["RESTARTING"] * 25, *["CANCELLING"] * 30, "CANCELED")
    rest.cancel("j1")
    assert rest.asked == [0, 10, 20]


def test_a_cancel_outlasts_flinks_own_timeout_and_says_what_it_saw() -> None:
    rest = Cancelled("CANCELLING")
    with pytest.raises(FlinkRestError, match=r"CANCELLING \(2 canceling, 4 canceled of 6 tasks\) after 120 s"):
        rest.cancel("j1")
    assert rest.asked == [0]
