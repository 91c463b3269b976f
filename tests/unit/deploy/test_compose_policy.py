"""What docker-compose.yml must hold for every service, judged from the file as Compose reads it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.home.dot_env import values, write
from local.home.places import REPOSITORY
from upbit_lake.contract.settings import FORMER_NAMES, DockerSettings, Settings, warn_of_former_names

FILE = REPOSITORY / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# What is run by hand while the others stand still.
BY_HAND = {"backup"}
SECRET = re.compile(r"PASSWORD|SECRET|_KEY|FERNET|JWT|MINIO_ROOT|CLUSTER_ID")


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - BY_HAND))
def test_every_service_is_hardened_bounded_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] in ("unless-stopped", "on-failure:5")
    assert {"mem_limit", "pids_limit"} <= service.keys()
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & service.keys()


def test_what_is_run_by_hand_has_no_network_and_no_more_rights_than_files_of_others_need() -> None:
    for service in (SERVICES[name] for name in BY_HAND):
        assert service["network_mode"] == "none"
        assert service["profiles"]
        assert service["restart"] == "no"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert set(service["cap_add"]) == {"CHOWN", "DAC_OVERRIDE", "FOWNER"}


def test_ports_are_open_to_this_machine_only() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports, "Airflow cannot be reached"
    assert [port for given in ports.values() for port in given if not port.startswith("127.0.0.1:")] == []


def test_the_engine_s_socket_is_given_to_its_proxy_only() -> None:
    mounted = [name for name, service in SERVICES.items() if "docker.sock" in str(service.get("volumes"))]
    assert mounted == ["socket-proxy"]
    assert SERVICES["socket-proxy"]["networks"] == ["proxy"]
    assert members("proxy") == {"socket-proxy", "airflow-scheduler"}


def members(network: str) -> set[str]:
    return {name for name, service in SERVICES.items() if network in service.get("networks", ())}


def test_only_airflow_s_scheduler_shares_a_network_with_those_who_command_flink() -> None:
    assert members("control") == {"jobmanager", "gateway", "airflow-scheduler"}


def test_only_who_must_has_a_way_out() -> None:
    outside = {name for name, network in COMPOSE["networks"].items() if not network.get("internal")}
    assert outside == {"edge"}
    assert members("edge") == {"ingester", "airflow-api", "kafka-ui", "s3-ui"}


def test_every_secret_is_required_and_none_has_a_default() -> None:
    found = re.findall(r"\$\{(\w+)([^}]*)\}", FILE.read_text())
    secrets = [(name, rest) for name, rest in found if SECRET.search(name)]
    assert secrets
    assert {rest for _, rest in secrets} == {":?run ./pipeline secrets"}


def test_no_secret_stands_in_the_files() -> None:
    given = {
        key: value
        for service in SERVICES.values()
        for key, value in (service.get("environment") or {}).items()
        if SECRET.search(key) and not key.endswith("_FILE")
    }
    assert [key for key, value in given.items() if "${" not in str(value)] == []
    shared = values((REPOSITORY / "deploy" / "shared" / "airflow.env").read_text())
    assert [key for key in shared if SECRET.search(key)] == []


def scheduler(folder: Path, lines: str) -> dict[str, str]:
    """The environment of Airflow's scheduler as Compose renders it with these lines in `.env`."""
    dot_env = folder / ".env"
    write(dot_env)
    dot_env.write_text(dot_env.read_text() + lines)
    compose = str(Path(sys.executable).with_name("docker-compose"))
    command = [compose, "-f", str(FILE), "--env-file", str(dot_env), "config", "--format", "json"]
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    environment: dict[str, str] = json.loads(done.stdout)["services"]["airflow-scheduler"]["environment"]
    return environment


def test_the_ingester_is_controlled_through_the_proxy(tmp_path: Path) -> None:
    settings = Settings.from_environment(scheduler(tmp_path, ""))
    assert settings.ingester_url == "http://ingester:18090"
    assert settings.ingester_control == DockerSettings("http://socket-proxy:2375", "upbit-ingester")


@pytest.mark.parametrize(
    ("lines", "container"),
    [
        ("INGESTER_PROCESS=old\n", "old"),
        ("CONTROL_INGESTER_PROCESS=new\nINGESTER_PROCESS=old\n", "new"),
    ],
)
def test_a_former_name_in_dot_env_still_serves_with_one_warning(
    tmp_path: Path, lines: str, container: str, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_former_names.cache_clear()
    settings = Settings.from_environment(scheduler(tmp_path, lines))
    assert settings.ingester_control == DockerSettings("http://socket-proxy:2375", container)
    (warning,) = caplog.records
    assert warning.getMessage() == "INGESTER_PROCESS is now CONTROL_INGESTER_PROCESS; rename what is set"


def test_no_setting_of_the_control_plane_is_given_to_the_ingester() -> None:
    assert not [name for name in SERVICES["ingester"]["environment"] if name in FORMER_NAMES or "CONTROL" in name]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("POSTGRES_PASSWORD: postgres", True),
        ("MINIO_ROOT_PASSWORD=minioadmin", True),
        ('"secret_key": "minio123",', True),
        ("POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?run ./pipeline secrets}", False),
        ("password=password)", False),
    ],
)
def test_a_well_known_password_is_a_finding_of_gitleaks(line: str, found: bool) -> None:
    (rule,) = tomllib.loads((REPOSITORY / ".gitleaks.toml").read_text())["rules"]
    assert bool(re.search(rule["regex"], line)) is found


@pytest.mark.parametrize(
    "image", sorted({s["image"] for s in SERVICES.values() if not s["image"].startswith("upbit-")})
)
def test_a_public_image_has_a_version_and_a_digest(image: str) -> None:
    pinned = r":v?\d+(\.\d+)*(-\w+)?@sha256:[0-9a-f]{64}$"
    # docs/containers.md says why this one has no digest.
    assert re.search(pinned, image) or image == "haproxy:3.2", image


def test_whoever_keeps_something_keeps_it_in_a_named_volume() -> None:
    used = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith((".", "/", "$"))
    }
    assert used == set(COMPOSE["volumes"])
