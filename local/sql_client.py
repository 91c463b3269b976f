"""`./pipeline sql`: Flink's SQL client with the catalog and the Kafka sources already there."""

from __future__ import annotations

import os
import subprocess

from local.errors import PipelineError
from local.setting import Setting
from local.supervision import make_private_folder, write_private


def open_client(setting: Setting, arguments: list[str]) -> int:
    """Runs the client until the user leaves it; extra arguments go to Flink's script (`-f FILE`)."""
    places = setting.places
    if not places.bootstrapped.exists():
        raise PipelineError(f"{places.home} holds no lake yet: run ./pipeline up")
    make_private_folder(places.short_run)
    environment = {**os.environ, **setting.service_environment, "PYTHONPATH": str(places.repository / "plugins")}
    done = subprocess.run(
        [str(places.python("airflow")), "-m", "upbit_lake.sql_client_init"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise PipelineError((done.stderr.strip().splitlines() or ["the SQL of the session could not be rendered"])[-1])
    # It holds the catalog's password; the client takes its path for a URI, in which no blank may stand.
    initial = places.short_run / "sql-client-init.sql"
    write_private(initial, done.stdout)
    flink = {
        **environment,
        "JAVA_HOME": str(setting.java_home),
        "FLINK_CONF_DIR": str(places.conf / "flink"),
        "FLINK_LOG_DIR": str(places.logs / "flink"),
        "FLINK_PID_DIR": str(places.short_run / "flink"),
    }
    script = str(places.flink / "bin" / "sql-client.sh")
    return subprocess.run([script, "embedded", "-i", str(initial), *arguments], env=flink, check=False).returncode
