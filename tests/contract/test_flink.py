"""Flink: the JobManager's word on a job's life, the gateway's sessions; on a real cluster and in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

import pytest

from tests.contract.pair import BOTH, TWIN
from tests.harness.home import Home
from tests.harness.waiting import until
from tests.integration.control_plane import s3_client
from tests.twins.flink import GatewayTwin, JobManagerTwin
from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import Settings
from upbit_lake.engines.flink.gateway import FlinkGateway, Gateway, GatewayError, GatewayUnreachableError, Result
from upbit_lake.engines.flink.jobmanager import (
    FlinkRest,
    FlinkRestError,
    FlinkUnreachableError,
    JobManager,
    JobSummary,
)
from upbit_lake.engines.flink.session import STREAMING
from upbit_lake.engines.s3 import S3Store
from upbit_lake.reconcile.buckets import reconcile_buckets

UNKNOWN = "0" * 32
NOWHERE = "http://127.0.0.1:9"
SAVEPOINTS = load_contract().checkpoints.savepoint_directory
PATIENCE_S = 60.0


@dataclass
class Scene:
    """A cluster, its gateway, both of them gone, and a way to start a job that needs one slot."""

    flink: JobManager
    gateway: Gateway
    flink_away: JobManager
    gateway_away: Gateway
    start: Callable[[str], str]

    def job(self, jid: str) -> JobSummary:
        return next(job for job in self.flink.jobs() if job.jid == jid)


def answered(statement: str) -> Result:
    if statement.startswith("VALUES"):
        return Result(("EXPR$0",), ((1,), (2,)), None)
    if statement.startswith("SELECT"):
        raise GatewayError("SqlValidatorException: Object 'nosuch' not found")
    return Result((), (), None)


@pytest.fixture(params=BOTH)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    if request.param == TWIN:
        twin, numbers = JobManagerTwin(), count(1)

        def begin(name: str) -> str:
            twin.listed.append(JobSummary(uuid4().hex, name, "RUNNING", next(numbers), 2, 2))
            return twin.listed[-1].jid

        flink_away = JobManagerTwin(away=FlinkUnreachableError("JobManager: no answer"))
        gateway_away = GatewayTwin(away=GatewayUnreachableError("SQL gateway: no answer"))
        yield Scene(twin, GatewayTwin(answered), flink_away, gateway_away, begin)
        return
    home: Home = request.getfixturevalue("engines")
    settings = Settings.from_environment(home.task_environment)
    flink, gateway = FlinkRest(settings.flink_rest_url), FlinkGateway(settings.flink_gateway_url)
    reconcile_buckets(S3Store(s3_client(settings)), load_contract().buckets)
    started: list[str] = []

    def start(name: str) -> str:
        properties = {**STREAMING, "parallelism.default": "1", "pipeline.name": name}
        with gateway.session(name, properties) as session:
            session.run("CREATE TEMPORARY TABLE n (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1')")
            session.run("CREATE TEMPORARY TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole')")
            jid = session.run("INSERT INTO nowhere SELECT n FROM n").job_id or ""
        started.append(jid)
        until("all its tasks run", lambda: any(j.jid == jid and j.all_running for j in flink.jobs()), PATIENCE_S, 0.2)
        return jid

    yield Scene(flink, gateway, FlinkRest(NOWHERE), FlinkGateway(NOWHERE), start)
    for job in flink.jobs():
        if job.jid in started and not job.final:
            flink.cancel(job.jid)


def test_a_job_takes_a_slot_runs_and_gives_it_back_when_it_is_cancelled(scene: Scene) -> None:
    free = scene.flink.cluster().slots_available
    jid = scene.start("contract runs")
    job = scene.job(jid)
    assert (job.name, job.state, job.all_running, job.final) == ("contract runs", "RUNNING", True, False)
    assert scene.flink.cluster().slots_available == free - 1
    assert scene.flink.restarts(jid) == 0
    assert scene.flink.last_failure(jid) is None
    assert scene.flink.checkpoints(jid).restored_path is None
    scene.flink.cancel(jid)
    job = scene.job(jid)
    assert (job.state, job.final, job.all_running) == ("CANCELED", True, False)
    until("the slot is free", lambda: scene.flink.cluster().slots_available == free, PATIENCE_S, 0.2)


def test_a_job_stops_with_a_savepoint_below_the_folder(scene: Scene) -> None:
    jid = scene.start("contract stops")
    path = scene.flink.stop_with_savepoint(jid, SAVEPOINTS)
    assert path.startswith(f"{SAVEPOINTS}/savepoint-{jid[:6]}-")
    until("it is final", lambda: scene.job(jid).final, PATIENCE_S, 0.2)
    assert scene.job(jid).state == "FINISHED"


def test_a_job_that_is_unknown_is_an_error(scene: Scene) -> None:
    asked: list[Callable[[str], object]] = [scene.flink.checkpoints, scene.flink.last_failure, scene.flink.cancel]
    for ask in asked:
        with pytest.raises(FlinkRestError) as error:
            ask(UNKNOWN)
        assert not isinstance(error.value, FlinkUnreachableError)
        assert "\n" not in str(error.value)


def test_a_job_that_has_ended_stays_as_it_ended(scene: Scene) -> None:
    jid = scene.start("contract ends")
    scene.flink.cancel(jid)
    scene.flink.cancel(jid)
    with pytest.raises(FlinkRestError):
        scene.flink.stop_with_savepoint(jid, SAVEPOINTS)
    assert scene.job(jid).state == "CANCELED"


def test_a_jobmanager_that_is_away_says_so(scene: Scene) -> None:
    for ask in (scene.flink_away.cluster, scene.flink_away.jobs):
        with pytest.raises(FlinkUnreachableError, match="no answer"):
            ask()


def test_a_session_answers_with_rows_or_one_line(scene: Scene) -> None:
    assert scene.gateway.version()
    with scene.gateway.session("contract", {"execution.runtime-mode": "batch"}) as session:
        session.set("pipeline.name", "contract values")
        found = session.run("VALUES (1), (2)")
        assert (found.columns, sorted(found.rows)) == (("EXPR$0",), [(1,), (2,)])
        assert [row["EXPR$0"] for row in found.dicts()] == [row[0] for row in found.rows]
        session.reset("pipeline.name")
        with pytest.raises(GatewayError, match="Object 'nosuch' not found") as error:
            session.run_all(["VALUES (1), (2)", "SELECT * FROM nosuch"])
        assert "\n" not in str(error.value)


def test_a_gateway_that_is_away_says_so(scene: Scene) -> None:
    with pytest.raises(GatewayUnreachableError, match="no answer"):
        scene.gateway_away.version()
    with pytest.raises(GatewayUnreachableError, match="no answer"), scene.gateway_away.session("contract"):
        pass
