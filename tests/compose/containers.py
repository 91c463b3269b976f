"""Containers and networks of a test, hardened as the deployment runs them, gone at its end."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.compose.engine import Engine
from tests.harness.waiting import until

HARDENED = (
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "512",
    # Java unpacks its native libraries here.
    "--tmpfs", "/tmp:mode=1777,exec",
)  # fmt: skip
# Containers have the least share of the CPU (engine.py): beside a busy neighbour they start slowly.
HEALTHY_S = 900
STOP_S = 300


@dataclass(frozen=True)
class Container:
    """A container that was started; `name` is also its host's name."""

    engine: Engine
    name: str

    @property
    def state(self) -> dict[str, Any]:
        return dict(json.loads(self.engine.docker("inspect", "--format", "{{json .State}}", self.name)))

    def logs(self) -> str:
        done = self.engine.try_docker("logs", "--tail", "40", self.name)
        return done.stdout + done.stderr

    def run(self, *command: str) -> str:
        """What a command in it says on stdout. Raises AssertionError when it fails."""
        return self.engine.docker("exec", self.name, *command)

    def stop(self) -> int:
        """Asks it to end and returns its exit code: 137 when it had to be killed."""
        self.engine.docker("stop", "--time", str(STOP_S), self.name)
        return int(self.state["ExitCode"])

    def address(self, port: int) -> str:
        """host:port on this machine of a published port."""
        return self.engine.docker("port", self.name, str(port)).splitlines()[0]

    def wait_healthy(self) -> None:
        """Until its own health check is green. Raises AssertionError with its log when it ends or stays red."""

        def settled() -> bool:
            state = self.state
            return state["Health"]["Status"] == "healthy" or not state["Running"]

        try:
            until(f"{self.name} healthy", settled, HEALTHY_S)
            assert self.state["Running"], f"{self.name} ended with {self.state['ExitCode']}"
        except AssertionError as error:
            checks = [check["Output"] for check in self.state["Health"]["Log"]]
            raise AssertionError(f"{error}\nhealth: {checks[-1:]}\nlog: {self.logs()}") from None


def unique(what: str) -> str:
    """A name that no other session has."""
    return f"{what}-{uuid.uuid4().hex[:8]}"


@contextmanager
def running(engine: Engine, image: str, *command: str, options: tuple[str, ...] = ()) -> Iterator[Container]:
    """A hardened container of `image` for the block."""
    name = unique(image)
    try:
        engine.docker("run", "--detach", "--name", name, "--hostname", name, *HARDENED, *options, image, *command)
        yield Container(engine, name)
    finally:
        engine.try_docker("rm", "--force", "--volumes", name)


@contextmanager
def network(engine: Engine) -> Iterator[str]:
    """A bridge network that reaches nothing outside, for the block."""
    name = unique("upbit-test")
    engine.docker("network", "create", "--internal", name)
    try:
        yield name
    finally:
        engine.try_docker("network", "rm", name)
