"""The whole pipeline in containers: data end to end, closed to whoever has no key, hardened, and healed by Airflow."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest

from tests.compose.asking import ask, ask_kafka, ask_postgres, ask_s3
from tests.compose.project import AIRFLOW_PORT, GET, IN_AIRFLOW, ONCE, Project
from tests.end_to_end.conftest import close_hours, run_dag
from tests.harness import truth
from tests.harness.waiting import until

pytestmark = pytest.mark.compose

CATCH_UP_S = 900
HEAL_S = 480
MINUTE_MS = 60_000
# Without a capability uid 0 may open the engine's socket, which belongs to it, and do nothing else.
MAY_BE_ROOT = {"socket-proxy"}


@pytest.fixture(scope="module")
def closed_hour(pipeline: Project) -> truth.Hour:
    """The last whole hour before the project was started, closed by Airflow."""
    end_ms = pipeline.started_ms - pipeline.started_ms % (60 * MINUTE_MS)
    hour = truth.hour_of(end_ms - 1)
    until("exchange clock past the hour", lambda: pipeline.clock_ms() > end_ms + 3 * MINUTE_MS, CATCH_UP_S)
    close_hours(pipeline.airflow(), pipeline.lake, [hour], CATCH_UP_S)
    return hour


def test_every_container_is_hardened_and_bounded(project: Project) -> None:
    for name, found in project.containers().items():
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        assert not host["Privileged"], name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert host["PidsLimit"] > 0, name
        assert host["Memory"] > 0, name
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}, name
        assert host["RestartPolicy"]["Name"] == ("on-failure" if name in ONCE else "unless-stopped"), name
        root = found["Config"]["User"].partition(":")[0] in ("", "0", "root")
        assert not root or name in MAY_BE_ROOT, name
        sockets = [mount["Source"] for mount in found["Mounts"] if mount["Source"].endswith("docker.sock")]
        assert bool(sockets) == (name == "socket-proxy"), name


def test_one_port_is_published_to_this_machine_only(project: Project) -> None:
    bindings = {
        (name, bound["HostIp"], bound["HostPort"])
        for name, found in project.containers().items()
        for bounds in (found["NetworkSettings"]["Ports"] or {}).values()
        for bound in bounds or []
    }
    assert bindings == {("airflow-api", "127.0.0.1", str(AIRFLOW_PORT))}
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    ours = [line.split()[3] for line in listening.splitlines() if line.split()[3].endswith(f":{AIRFLOW_PORT}")]
    assert ours == [f"127.0.0.1:{AIRFLOW_PORT}"]


def test_every_dag_is_imported(pipeline: Project) -> None:
    api = pipeline.airflow()
    assert api.ask("GET", "/importErrors")["import_errors"] == []


def test_kafka_takes_no_one_without_a_login(pipeline: Project) -> None:
    assert ask_kafka(pipeline, "airflow", pipeline.secrets["KAFKA_AIRFLOW_PASSWORD"]) == "ok"
    assert "KafkaException" in ask_kafka(pipeline, "airflow", "guessed")
    assert "KafkaException" in ask_kafka(pipeline)


def test_s3_takes_a_service_s_own_key_for_what_that_service_does(pipeline: Project) -> None:
    secrets = pipeline.secrets
    airflow = (secrets["S3_ACCESS_KEY"], secrets["S3_SECRET_KEY"])
    assert ask_s3(pipeline, *airflow) == "ok"
    assert "AccessDenied" in ask_s3(pipeline, *airflow, deletes="anything")
    assert "SignatureDoesNotMatch" in ask_s3(pipeline, airflow[0], "guessed")
    assert "403" in ask(pipeline, GET, "http://s3:9000/paimon")


def test_postgres_takes_each_role_for_its_own_database(pipeline: Project) -> None:
    right = pipeline.secrets["PAIMON_DB_PASSWORD"]
    assert ask_postgres(pipeline, "paimon", right, "paimon") == "ok"
    assert "CONNECT privilege" in ask_postgres(pipeline, "paimon", right, "airflow")
    assert "authentication failed" in ask_postgres(pipeline, "paimon", "guessed", "paimon")
    assert "no password" in ask_postgres(pipeline, "paimon", "", "paimon")


def test_airflow_takes_no_one_without_a_login(pipeline: Project) -> None:
    assert "401" in ask(pipeline, GET, "http://airflow-api:8080/api/v2/dags")


@pytest.mark.parametrize("url", ["flink-rest:8081/overview", "flink-gateway:8083/info", "socket-proxy:2375/_ping"])
def test_who_commands_is_reached_by_airflow_s_scheduler_only(pipeline: Project, url: str) -> None:
    assert "not known" in ask(pipeline, GET, f"http://{url}") or "resolution" in ask(pipeline, GET, f"http://{url}")
    if "proxy" not in url:
        assert pipeline.get("airflow-scheduler", f"http://{url}")
        # Nor by the address that the same container has in the network of the data.
        by_service = url.replace("flink-rest", "jobmanager").replace("flink-gateway", "gateway")
        assert "refused" in ask(pipeline, GET, f"http://{by_service}")


def test_one_look_in_the_scheduler_says_that_all_is_healthy(pipeline: Project) -> None:
    scheduler = pipeline.container("airflow-scheduler").name
    look = ("exec", scheduler, "python", "-m", "upbit_lake", "status", "--json")

    def healthy() -> dict[str, Any]:
        done = pipeline.engine.try_docker(*look)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    found = until("all is healthy", healthy, HEAL_S, every_s=3)
    assert [engine["engine"] for engine in found["engines"]] == ["kafka", "flink", "lake", "postgres", "ingester"]
    assert {job["condition"] for job in found["jobs"]} == {"healthy"}


ASK_ENGINE = """
import http.client, sys
method, path = sys.argv[1:3]
connection = http.client.HTTPConnection("socket-proxy", 2375, timeout=60)
connection.request(method, path, body="{}", headers={"Content-Type": "application/json"})
print(connection.getresponse().status)
"""


def ask_engine(project: Project, method: str, path: str) -> int:
    """The status of the proxy's answer to the scheduler."""
    return int(project.run("airflow-scheduler", *IN_AIRFLOW, "-c", ASK_ENGINE, method, f"/v1.40/containers/{path}"))


def test_the_engine_is_asked_about_the_ingester_and_nothing_else(pipeline: Project) -> None:
    ingester, other = (pipeline.container(name).name for name in ("ingester", "postgres"))
    assert ask_engine(pipeline, "GET", f"{ingester}/json") == 200
    refused = [
        ("POST", "create"), ("POST", f"{ingester}/exec"), ("POST", f"{ingester}/stop"), ("POST", f"{ingester}/kill"),
        ("POST", f"{other}/stop"), ("POST", f"{other}/restart"), ("GET", f"{other}/json"), ("GET", "json"),
        ("DELETE", ingester), ("GET", f"{ingester}/archive?path=/"), ("POST", f"{ingester}/../{other}/restart"),
        ("POST", f"{ingester}%2F..%2F{other}/restart"),
    ]  # fmt: skip
    assert {(method, path): ask_engine(pipeline, method, path) for method, path in refused} == dict.fromkeys(
        refused, 403
    )
    before = pipeline.container("ingester").state["StartedAt"]
    assert ask_engine(pipeline, "POST", f"{ingester}/restart?t=30") == 204
    assert pipeline.container("ingester").state["StartedAt"] > before
    pipeline.wait_healthy()


def test_a_closed_hour_of_the_lake_equals_the_ledger(pipeline: Project, closed_hour: truth.Hour) -> None:
    ledger = pipeline.ledger()
    truth.assert_trades_and_candles_are_exact(pipeline.lake, ledger, closed_hour)
    for stream in ("ticker", "orderbook"):
        truth.assert_each_key_stands_once(pipeline.lake, ledger, stream, closed_hour)


def test_the_closed_hour_is_verified_green(pipeline: Project, closed_hour: truth.Hour) -> None:
    run_dag(pipeline.airflow(), "verify_paimon_partitions")


def test_a_killed_ingester_is_brought_back_by_airflow(pipeline: Project) -> None:
    ingester = pipeline.container("ingester")
    # The engine takes it for stopped by hand, and leaves it so.
    pipeline.engine.docker("kill", ingester.name)
    began = time.monotonic()
    until("supervise_ingester brings it back", lambda: ingester.state["Running"], HEAL_S, every_s=3)
    print(f"the ingester ran again after {time.monotonic() - began:.0f} s")
    pipeline.wait_healthy()
    pipeline.assert_no_trade_is_missing()
