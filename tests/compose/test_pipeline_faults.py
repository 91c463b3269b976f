"""What is stopped or killed in containers while it streams: the pipeline goes on or heals with no human."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.compose.asking import reading_s3
from tests.compose.project import Project
from tests.harness.waiting import until

pytestmark = [pytest.mark.compose, pytest.mark.nightly]

FRESH_S = 480
# Every process but the container's first one, which then ends too: the engine sees a crash, no stop by hand.
CRASH = "import os, signal; os.kill(-1, signal.SIGKILL)"
NEWEST = "SELECT max(trade_timestamp) AS t FROM trade"


@pytest.fixture(autouse=True)
def healthy_afterwards(pipeline: Project) -> Iterator[None]:
    """The next test begins with all containers."""
    yield
    pipeline.wait_healthy()


def goes_on(pipeline: Project) -> None:
    """Trades of after now reach the lake, and none until then is missing."""
    began, now_ms = time.monotonic(), pipeline.clock_ms()
    until("newer trades in the lake", lambda: pipeline.lake(NEWEST)[0]["t"] > now_ms + 1000, FRESH_S, every_s=3)
    print(f"fresh after {time.monotonic() - began:.0f} s")
    pipeline.assert_no_trade_is_missing()


def crash(pipeline: Project, service: str) -> None:
    """Kills what runs in a container; returns when the engine has started it again."""
    container = pipeline.container(service)
    before = container.state["StartedAt"]
    pipeline.engine.try_docker("exec", container.name, "python", "-c", CRASH)

    def again() -> bool:
        state = container.state
        return bool(state["Running"] and state["StartedAt"] > before)

    until(f"{service} runs again", again, 120)


def jobs(pipeline: Project) -> dict[str, str]:
    """Name → id of the jobs that run; none while Flink does not answer."""
    with suppress(AssertionError):
        found = pipeline.get("airflow-scheduler", "http://flink-rest:8081/jobs/overview")["jobs"]
        return {job["name"]: job["jid"] for job in found if job["state"] == "RUNNING"}
    return {}


@pytest.mark.parametrize("service", ["minio-3", "kafka-2"])
def test_it_goes_on_without_one_node(pipeline: Project, service: str) -> None:
    pipeline.compose("stop", service)
    try:
        goes_on(pipeline)
    finally:
        pipeline.compose("start", service)


def test_no_read_fails_while_a_node_of_the_store_goes_and_comes(pipeline: Project) -> None:
    with reading_s3(pipeline):
        pipeline.compose("stop", "minio-3")
        pipeline.compose("start", "minio-3")
        pipeline.wait_healthy()


def test_a_crashed_taskmanager_heals(pipeline: Project) -> None:
    crash(pipeline, "taskmanager-1")
    goes_on(pipeline)


def test_a_crashed_jobmanager_continues_the_same_jobs(pipeline: Project) -> None:
    before = jobs(pipeline)
    assert before
    crash(pipeline, "jobmanager")
    until("the same jobs run", lambda: jobs(pipeline) == before, FRESH_S, every_s=3)
    goes_on(pipeline)
    assert jobs(pipeline) == before


def test_the_whole_project_stopped_and_started_comes_back(pipeline: Project) -> None:
    pipeline.compose("stop")
    pipeline.compose("start")
    pipeline.wait_healthy()
    goes_on(pipeline)


def test_an_engine_that_was_restarted_brings_everything_back(pipeline: Project) -> None:
    if pipeline.engine.restart is None:
        pytest.skip("the engine was not started by the tests: it is not theirs to restart")
    pipeline.engine.restart()
    pipeline.wait_healthy()
    goes_on(pipeline)
