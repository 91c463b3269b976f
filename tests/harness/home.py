"""A pipeline of the tests' own: real engines in a home and on ports apart from a running one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from confluent_kafka.admin import AdminClient

from local.home import source
from local.home.places import REPOSITORY, Places
from local.home.setting import Setting
from local.parts import airflow, assembly
from local.processes.supervisor import Supervisor
from tests.harness.waiting import until

PORT_OFFSET = 1000
# Where a neighbour has the ports of the tests' engines.
FURTHER = int(os.environ.get("PIPELINE_TEST_PORT_OFFSET") or 0)


class Home:
    """A home below `folder`, driven by `./pipeline` exactly as a user drives it.

    Another checkout than this one has its own `parts`: its lock files are others.
    """

    def __init__(
        self,
        folder: Path,
        port_offset: int = PORT_OFFSET,
        settings: Mapping[str, str] | None = None,
        repository: Path = REPOSITORY,
        parts: Path | None = None,
    ) -> None:
        parts = parts or Path(os.environ.get("PIPELINE_PARTS") or REPOSITORY / ".pipeline" / "parts")
        self.places = Places(repository, parts, folder)
        offset = str(port_offset + FURTHER)
        own = {"PIPELINE_HOME": str(folder), "PIPELINE_PARTS": str(parts), "PIPELINE_PORT_OFFSET": offset}
        self.environment = {**os.environ, **own, **(settings or {})}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environment.pop("PYTHONPATH", None)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One `./pipeline` command; its output is in the exception when it fails."""
        done = subprocess.run(
            [str(self.places.repository / "pipeline"), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"./pipeline {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def up_only(self, *groups: str) -> None:
        """Engines without a bootstrap."""
        self.run("up", "--source", "exchange", "--only", ",".join(groups))

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Home]:
        """`up` with these arguments for the block, then down and gone."""
        try:
            print(self.run("up", *arguments).stdout)
            yield self
        finally:
            self.down()

    def down(self) -> None:
        self.run("down", "--purge", "--yes")

    def kill(self, name: str) -> int:
        """SIGKILL to a part; returns the pid it had."""
        pid = int(Supervisor(self.places).processes()[name]["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_and_wait(self, name: str) -> None:
        """Returns when the supervisor itself has started another process in its place."""
        old, supervisor = self.kill(name), Supervisor(self.places)
        until(f"{name} runs again", lambda: supervisor.processes()[name]["pid"] not in (0, old), 120, 0.2)

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """A part that hangs for the block: it holds its connections, takes new ones and answers none."""
        pid = int(Supervisor(self.places).processes()[name]["pid"])
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @property
    def setting(self) -> Setting:
        chosen = source.load(self.places)
        assert chosen is not None, "this home was never up"
        return assembly.setting(self.places, chosen, self.environment)

    @cached_property
    def kafka_admin(self) -> AdminClient:
        """A client of the brokers' own principal, which may do everything."""
        return AdminClient({**self.setting.kafka_client(), "log_level": 0})

    @property
    def task_environment(self) -> dict[str, str]:
        """What a DAG task sees: endpoints, secrets and Airflow connections."""
        return airflow.environment(self.setting)
