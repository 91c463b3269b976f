"""The images, built and run: what they hold, what they may not, and that each does its work hardened."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from local.home.places import REPOSITORY
from tests.compose.bases import CERTIFICATE_VARIABLES, INDEX_VARIABLES
from tests.compose.containers import HARDENED, Container, network, running, unique
from tests.compose.images import RECIPES, Images
from tests.compose.project import GET
from tests.harness.waiting import until

pytestmark = [pytest.mark.compose, pytest.mark.nightly]

USER = "10001:10001"
SPOOL_NOT_EMPTY = 1
ENDED_BY_SIGTERM = 143
# One ends by itself, so it has no health check.
STAYING = tuple(name for name in RECIPES if name != "minio-access")
PYTHON_IMAGES = ("exchange", "ingester", "flink", "airflow")
# What installs or compiles.
TOOLS = ("pip", "pip3", "uv", "easy_install", "gcc", "cc", "g++", "make", "go", "javac")
MODULES = ("pip", "ensurepip")
LOOK_FOR_TOOLS = f"""
import importlib.util, shutil
print([tool for tool in {TOOLS!r} if shutil.which(tool)], [m for m in {MODULES!r} if importlib.util.find_spec(m)])
"""
HA = """\
high-availability.type: zookeeper
high-availability.storageDir: file:///tmp/flink/ha
high-availability.cluster-id: /test
high-availability.zookeeper.quorum: zookeeper:2181
"""


@pytest.mark.parametrize("name", STAYING)
def test_an_image_runs_without_privileges_and_says_how_it_is(images: Images, name: str) -> None:
    config = _inspect(images, images.get(name))["Config"]
    assert config["User"] == USER
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert not config.get("Volumes")
    for label in ("title", "description", "licenses"):
        assert config["Labels"][f"org.opencontainers.image.{label}"]


@pytest.mark.parametrize("name", RECIPES)
def test_nothing_of_the_building_machine_is_in_an_image(images: Images, name: str) -> None:
    image = _inspect(images, images.get(name))
    base = RECIPES[name].base
    builder = images.bases.builder(base)
    of_the_builder = set(_layers(images, builder)) - set(_layers(images, base))
    assert not of_the_builder & set(image["RootFS"]["Layers"])
    variables = {line.partition("=")[0] for line in image["Config"]["Env"]}
    assert not variables & {*CERTIFICATE_VARIABLES, *INDEX_VARIABLES}


@pytest.mark.parametrize("name", PYTHON_IMAGES)
def test_nothing_installs_or_compiles_in_a_running_container(images: Images, name: str) -> None:
    image = images.get(name)
    found = images.engine.docker("run", "--rm", *HARDENED, "--entrypoint", "python", image, "-c", LOOK_FOR_TOOLS)
    assert found == "[] []"


def test_the_minio_image_holds_two_programs_and_nothing_else(images: Images, tmp_path: Path) -> None:
    name = unique("upbit-minio")
    images.engine.docker("create", "--name", name, images.get("minio"))
    try:
        images.engine.docker("export", "--output", str(tmp_path / "minio.tar"), name)
    finally:
        images.engine.docker("rm", name)
    with tarfile.open(tmp_path / "minio.tar") as archive:
        files = {member.name for member in archive.getmembers() if member.isfile() and member.size}
        owner = archive.getmember("data").uid
    assert files == {"etc/passwd", "usr/bin/health", "usr/bin/minio"}
    assert owner == int(USER.partition(":")[0])


def test_the_exchange_serves(images: Images) -> None:
    options = ("--tmpfs", "/var/lib/exchange:uid=10001", "--publish", "127.0.0.1::18070")
    with running(images.engine, images.get("exchange"), "--codes", "3", options=options) as exchange:
        exchange.wait_healthy()
        markets = requests.get(f"http://{exchange.address(18070)}/v1/market/all", timeout=30).json()
        assert len(markets) == 3
        assert exchange.run("id", "-u") == "10001"
        assert exchange.stop() == 0


def test_the_ingester_says_in_one_line_what_is_missing(images: Images) -> None:
    done = images.engine.try_docker("run", "--rm", *HARDENED, images.get("ingester"))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "upbit_ingester: KAFKA_BOOTSTRAP_SERVERS: is not set; it takes host:port[,host:port]"
    ]


def test_the_ingester_keeps_frames_while_kafka_is_away(images: Images) -> None:
    with network(images.engine) as net:
        exchange_options = ("--network", net, "--tmpfs", "/var/lib/exchange:uid=10001")
        with running(images.engine, images.get("exchange"), "--codes", "3", options=exchange_options) as exchange:
            settings = {
                "UPBIT_WEBSOCKET_URL": f"ws://{exchange.name}:18070/websocket/v1",
                "UPBIT_REST_URL": f"http://{exchange.name}:18070/v1",
                "KAFKA_BOOTSTRAP_SERVERS": f"{exchange.name}:9092",
            }
            options = ("--network", net, "--tmpfs", "/var/lib/ingester:uid=10001", *_variables(settings))
            with running(images.engine, images.get("ingester"), options=options) as ingester:
                ingester.wait_healthy()
                files = ("find", "/var/lib/ingester", "-type", "f", "-size", "+8k")
                until("frames in the spool", lambda: ingester.run(*files), 300)
                assert ingester.stop() == SPOOL_NOT_EMPTY


def test_minio_keeps_an_object(images: Images) -> None:
    key, secret = "test-user", "test-secret-of-this-test"
    options = (
        "--tmpfs", "/data:uid=10001", "--publish", "127.0.0.1::9000",
        *_variables({"MINIO_ROOT_USER": key, "MINIO_ROOT_PASSWORD": secret, "MINIO_CI_CD": "1"}),
    )  # fmt: skip
    assert images.engine.docker("run", "--rm", *HARDENED, images.get("minio"), "--version").startswith("minio version")
    with running(images.engine, images.get("minio"), "server", "/data", options=options) as minio:
        minio.wait_healthy()
        s3 = boto3.client(
            "s3",
            endpoint_url=f"http://{minio.address(9000)}",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name="us-east-1",
        )
        s3.create_bucket(Bucket="lake")
        s3.put_object(Bucket="lake", Key="a", Body=b"bytes")
        assert s3.get_object(Bucket="lake", Key="a")["Body"].read() == b"bytes"
        assert minio.stop() == 0


def test_flink_says_in_one_line_what_is_missing(images: Images) -> None:
    done = images.engine.try_docker("run", "--rm", *HARDENED, images.get("flink"), "jobmanager")
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["flink: S3_ENDPOINT is not set"]


@pytest.mark.parametrize("properties", ["", HA], ids=["alone", "zookeeper"])
def test_flink_registers_the_slots_of_a_taskmanager(images: Images, properties: str) -> None:
    with network(images.engine) as net:
        settings = {
            "S3_ENDPOINT": "http://s3:9000",
            "S3_ACCESS_KEY": "key",
            "S3_SECRET_KEY": "secret",
            "FLINK_PROPERTIES": properties,
        }

        def role(name: str, *more: str) -> Any:
            options = ("--network", net, "--network-alias", name, *_variables(settings), *more)
            return running(images.engine, images.get("flink"), name, options=options)

        with (
            role("zookeeper", "--tmpfs", "/var/lib/zookeeper:uid=10001") as zookeeper,
            role("jobmanager") as jobmanager,
            role("taskmanager") as taskmanager,
            role("sql-gateway") as gateway,
        ):
            for container in (zookeeper, jobmanager, taskmanager, gateway):
                container.wait_healthy()
            assert _ask(jobmanager, "8081/overview")["slots-total"] == 2
            assert _ask(gateway, "8083/info")["version"] == "2.0.2"
            rendered = jobmanager.run("cat", "/tmp/flink/conf/config.yaml")
            assert "s3.endpoint: http://s3:9000" in rendered
            assert rendered.endswith(properties.strip())
            in_zookeeper = zookeeper.run("sh", "-c", "grep -rlac leader/rest_server /var/lib/zookeeper || true")
            assert bool(in_zookeeper) == bool(properties)
            ended = {container.stop() for container in (gateway, taskmanager, jobmanager, zookeeper)}
            assert ended <= {0, ENDED_BY_SIGTERM}


def test_airflow_has_its_dags(images: Images) -> None:
    image = images.get("airflow")
    home = ("--tmpfs", "/var/lib/airflow:uid=10001")
    locked = next(line for line in _requirements() if line.startswith("apache-airflow=="))
    assert images.engine.docker("run", "--rm", *HARDENED, *home, image, "version").endswith(locked.split("==")[1])
    dags = ("--entrypoint", "python", image, "-m", "pytest", "-q", "-p", "no:cacheprovider", "/opt/pipeline/dags")
    done = images.engine.try_docker("run", "--rm", *HARDENED, *home, *dags)
    assert done.returncode == 0, done.stdout


def test_airflow_is_healthy_when_its_api_answers(images: Images) -> None:
    api = {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://127.0.0.1:8080/execution/", "AIRFLOW__API__WORKERS": "1"}
    options = ("--tmpfs", "/var/lib/airflow:uid=10001", "--entrypoint", "sh", *_variables(api))
    command = "airflow db migrate && exec airflow api-server"
    with running(images.engine, images.get("airflow"), "-c", command, options=options) as airflow:
        airflow.wait_healthy()


def _inspect(images: Images, image: str) -> dict[str, Any]:
    return dict(json.loads(images.engine.docker("image", "inspect", "--format", "{{json .}}", image)))


def _layers(images: Images, image: str) -> list[str]:
    return list(_inspect(images, image)["RootFS"]["Layers"])


def _variables(values: dict[str, str]) -> tuple[str, ...]:
    return tuple(text for name, value in values.items() for text in ("--env", f"{name}={value}"))


def _ask(container: Container, address: str) -> dict[str, Any]:
    """The JSON that the container answers itself: its network has no way to this machine."""
    return dict(json.loads(container.run("python", "-c", GET, f"http://127.0.0.1:{address}")))


def _requirements() -> list[str]:
    return [line.rstrip(" \\") for line in (REPOSITORY / "requirements.lock").read_text().splitlines()]
