"""Airflow's four processes on PostgreSQL. Its scheduler waits for the API server: a task started without it dies."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

from local.errors import PipelineError, last_words
from local.home import dot_env
from local.home.environment import for_parts
from local.home.places import Places
from local.home.ports import LOOPBACK
from local.home.setting import Setting
from local.parts.http import get_json
from local.parts.part import Part

USER = "admin"
_MIGRATION = threading.Lock()


def parts(setting: Setting) -> list[Part]:
    common = environment(setting)
    passwords = Path(common["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    files = {passwords: json.dumps({USER: setting.credentials.airflow_password})}
    binary = str(setting.places.venv("airflow") / "bin" / "airflow")

    def process(name: str, *arguments: str, component: str, needs: str = "postgres") -> Part:
        return Part(
            name=name,
            command=(binary, *arguments),
            environment=common,
            files=files,
            ports=("airflow",) if component == "api" else (),
            software=("airflow",),
            needs=(needs,),
            asks=() if component == "api" else ("airflow-api",),
            prepare=lambda: _migrate(setting),
            ready=lambda: _answers(setting) if component == "api" else _healthy(setting, component),
            patience_s=420,
            stop_s=40,
        )

    return [
        process("airflow-api", "api-server", component="api"),
        process("airflow-dags", "dag-processor", component="dag_processor"),
        process("airflow-scheduler", "scheduler", "--skip-serve-logs", component="scheduler", needs="airflow-api"),
        process("airflow-triggerer", "triggerer", "--skip-serve-logs", component="triggerer"),
    ]


def environment(setting: Setting) -> dict[str, str]:
    """Returns the environment of every Airflow process, and so of every task."""
    places, ports, credentials = setting.places, setting.ports, setting.credentials
    api = ports.url("airflow")
    kafka = {"conn_type": "kafka", "extra": setting.kafka_client("airflow")}
    s3 = {
        "conn_type": "aws",
        "login": credentials.s3_access_key,
        "password": credentials.s3_secret_key,
        "extra": {"endpoint_url": ports.url("s3"), "region_name": "us-east-1"},
    }
    return {
        **dot_env.values((_shared(places) / "airflow.env").read_text()),
        **setting.service_environment,
        "CONTROL_INGESTER_BY": "supervisor",
        "CONTROL_INGESTER_SUPERVISOR_SOCKET": str(places.supervisor_socket),
        "CONTROL_INGESTER_PROCESS": "ingester",
        "AIRFLOW_CONN_KAFKA_DEFAULT": json.dumps(kafka),
        "AIRFLOW_CONN_S3_DEFAULT": json.dumps(s3),
        "AIRFLOW_CONN_PIPELINE_DB": setting.database_url("pipeline"),
        "AIRFLOW_HOME": str(places.home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(places.repository / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(places.repository / "plugins"),
        "AIRFLOW__CORE__FERNET_KEY": credentials.airflow_fernet_key,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(places.conf / "airflow" / "passwords.json"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{api}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": setting.database_url("airflow", "postgresql+psycopg2"),
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(ports["airflow"]),
        "AIRFLOW__API__BASE_URL": api,
        "AIRFLOW__API__SECRET_KEY": credentials.airflow_secret_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": credentials.airflow_jwt_secret,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(places.logs / "airflow"),
    }


def _shared(places: Places) -> Path:
    """What Airflow is given in a container too."""
    return places.repository / "deploy" / "shared"


def _answers(setting: Setting) -> bool:
    return get_json(f"{setting.ports.url('airflow')}/api/v2/version") is not None


def _healthy(setting: Setting, component: str) -> bool:
    health: dict[str, Any] = get_json(f"{setting.ports.url('airflow')}/api/v2/monitor/health") or {}
    return bool(health.get(component, {}).get("status") == "healthy")


def _migrate(setting: Setting) -> None:
    """Brings the metadata database and the pools up to date, once for each Airflow version and database.

    Every process asks for it before its start; the first one does it, the others wait.
    """
    with _MIGRATION:
        _migrate_once(setting)


def _migrate_once(setting: Setting) -> None:
    places = setting.places
    pools = _shared(places) / "pools.json"
    lock = places.repository / "requirements.lock"
    wanted = hashlib.sha256(lock.read_bytes() + pools.read_bytes()).hexdigest()
    stamp = places.data / "airflow.migrated"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    for arguments in (("db", "migrate"), ("pools", "import", str(pools))):
        command = [str(places.venv("airflow") / "bin" / "airflow"), *arguments]
        seen = {**for_parts(os.environ), **environment(setting)}
        done = subprocess.run(command, env=seen, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PipelineError(f"airflow {' '.join(arguments)} failed: {last_words(done)}")
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(wanted)
