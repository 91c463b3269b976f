"""docker-compose.yml started as a user does, in a project apart from a running one."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from local.commands.airflow_api import AirflowApi
from local.home import dot_env
from tests.compose.containers import Container
from tests.compose.engine import Engine
from tests.compose.images import Images
from tests.harness import truth
from tests.harness.home import FURTHER
from tests.harness.waiting import until

AIRFLOW_PORT, S3_UI_PORT = 24080 + FURTHER, 24086 + FURTHER
# Every container green, on two cores that start all of them at once.
HEALTHY_S = 600
# They end by themselves once they have done their part.
ONCE = ("kafka-access", "s3-access", "postgres-access", "airflow-init")
# Python with our plugins in one of Airflow's containers; a program that prints what a URL answers.
IN_AIRFLOW = ("env", "PYTHONPATH=/opt/pipeline/plugins", "python")
QUERY = ("python", "-m", "upbit_lake", "query")
GET = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=10).read().decode())"


class Project:
    """One deployment; its secrets lie in `folder`.

    Attributes:
        name: of the project, and so the beginning of each container's name.
    """

    def __init__(self, images: Images, folder: Path, name: str, settings: Mapping[str, str]) -> None:
        self.engine = images.engine
        self.name = name
        self._env = folder / ".env"
        dot_env.write(self._env, exchange=True)
        own = {
            "PIPELINE_PORT_AIRFLOW": str(AIRFLOW_PORT),
            "PIPELINE_PORT_S3_UI": str(S3_UI_PORT),
            "DOCKER_SOCKET": _socket(self.engine),
            "BACKUP_FOLDER": str(folder / "backup"),
            **settings,
        }
        with self._env.open("a") as file:
            file.writelines(f"{key}={value}\n" for key, value in own.items())
        self.take(images)

    def take(self, images: Images, query: Sequence[str] = QUERY) -> None:
        """The next `up` runs these images by their checkout's Compose file; `query`: its command that asks the lake."""
        self._checkout, self._files, self._query = images.repository, images.for_compose(), query

    @property
    def secrets(self) -> Mapping[str, str]:
        return dot_env.values(self._env.read_text())

    def compose(self, *arguments: str) -> str:
        """What one `docker compose` command says on stdout. Raises AssertionError with all it said when it fails."""
        files = [word for file in self._files for word in ("--file", file)]
        command = ["docker-compose", "--project-name", self.name, "--env-file", str(self._env), *files, *arguments]
        # A value of the caller's environment would win over the file's.
        given = self.secrets
        environment = {k: v for k, v in self.engine.environment.items() if k not in given}
        done = subprocess.run(command, cwd=self._checkout, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def rotate(self, *names: str) -> None:
        """Gives secrets new values as docs/containers.md says: `./pipeline secrets` makes those that have no line."""
        lines = self._env.read_text().splitlines(keepends=True)
        self._env.write_text("".join(line for line in lines if line.partition("=")[0] not in names))
        dot_env.write(self._env, exchange=True)

    @property
    def started_ms(self) -> int:
        """When its first container was made, ms since the epoch."""
        made = min(one["Created"] for one in self.containers().values())
        return int(datetime.fromisoformat(made[:19] + "+00:00").timestamp() * 1000)

    def age_s(self) -> float:
        """Seconds since then."""
        return time.time() - self.started_ms / 1000

    def up(self) -> None:
        """`up -d` with the images that are there, and waits until every container is healthy."""
        self.compose("up", "--detach", "--no-build", "--pull", "never")
        self.wait_healthy()

    @contextmanager
    def running(self) -> Iterator[Project]:
        """`up` for the block, then everything of it gone."""
        try:
            self.up()
            yield self
        finally:
            self.compose("down", "--volumes", "--timeout", "30")

    def containers(self) -> dict[str, dict[str, Any]]:
        """What `docker inspect` says of each container, by service; also of those that ended."""
        found = json.loads(self.engine.docker("inspect", *self._list("{{.ID}}")))
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found}

    def container(self, service: str) -> Container:
        (name,) = self._list("{{.Names}}", "--filter", f"label=com.docker.compose.service={service}")
        return Container(self.engine, name)

    def _list(self, form: str, *filters: str) -> list[str]:
        # Of the engine itself: Compose takes a second for it.
        options = ("--filter", f"label=com.docker.compose.project={self.name}", *filters)
        return self.engine.docker("ps", "--all", "--format", form, *options).split()

    def run(self, service: str, *command: str) -> str:
        """What a command in a service's container says on stdout."""
        return self.container(service).run(*command)

    def wait_healthy(self) -> None:
        """Until every container that stays is healthy and the others have ended well; names those that are not."""

        def unwell() -> list[str]:
            return [
                f"{name} {said}" for name, one in self.containers().items() if (said := _unwell(name, one["State"]))
            ]

        last = [""]

        def all_well() -> bool:
            last[:] = unwell()
            return not last

        try:
            until("every container healthy", all_well, HEALTHY_S)
        except AssertionError:
            logs = {line.split()[0]: self.container(line.split()[0]).logs()[-2000:] for line in last}
            raise AssertionError(f"after {HEALTHY_S} s: {last}\n{logs}") from None

    def memory(self) -> list[str]:
        """What each container uses now, one line each."""
        running = self._list("{{.ID}}", "--filter", "status=running")
        said = self.engine.docker("stats", "--no-stream", "--format", "{{.Name}}: {{.MemUsage}}", *running)
        return sorted(line.removeprefix(f"{self.name}-") for line in said.splitlines())

    def airflow(self) -> AirflowApi:
        """A login to its Airflow, over the only port that is published."""
        return AirflowApi(f"http://127.0.0.1:{AIRFLOW_PORT}", self.secrets["AIRFLOW_PASSWORD"])

    def lake(self, statement: str) -> list[dict[str, Any]]:
        """The rows of a query, asked by Airflow's scheduler."""
        said = self.run("airflow-scheduler", *self._query, "--format", "json", statement)
        return list(json.loads(said))

    def get(self, service: str, url: str) -> Any:
        """The JSON that an address of the inner networks answers to a GET from a service with Python."""
        return json.loads(self.run(service, "python", "-c", GET, url))

    def clock_ms(self) -> int:
        """The exchange's clock."""
        return int(self.get("exchange", "http://127.0.0.1:18070/_local/status")["clock_ms"])

    def ledger(self) -> truth.Published:
        """What the exchange has published until now."""
        with tempfile.TemporaryDirectory() as folder:
            self.engine.docker("cp", f"{self.container('exchange').name}:/var/lib/exchange/.", folder)
            return truth.published(folder)

    def assert_no_trade_is_missing(self) -> None:
        """Every trade published until now reaches the lake, once."""
        truth.assert_no_trade_is_missing(self.lake, self.ledger())


def _unwell(service: str, state: Mapping[str, Any]) -> str | None:
    if service in ONCE:
        return None if state["Status"] == "exited" and state["ExitCode"] == 0 else f"is {state['Status']}"
    if state["Status"] != "running":
        return f"is {state['Status']}"
    health = state.get("Health", {"Status": "healthy"})["Status"]
    return None if health == "healthy" else f"is {health}"


def _socket(engine: Engine) -> str:
    host = engine.environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    return host.removeprefix("unix://")
