"""The ingester's container, behind a proxy that lets nothing through but `inspect` and `restart` of just this one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import requests

from upbit_lake.engines.clock import SYSTEM, Clock
from upbit_lake.engines.ingester.control import ControlError, ProcessState

# The oldest version of the engine's interface that knows all we ask: every engine since 2019 speaks it.
VERSION = "v1.40"
# `inspect` is answered from memory; an engine that starts containers may be slow.
ASK_TIMEOUT_S = 10.0
# Longer than the ingester takes to drain (ingester/README.md), so that the engine kills only what is stuck.
STOP_S = 30


class DockerControl:
    """A container of this name; `url` is the proxy's."""

    def __init__(self, url: str, container: str, clock: Clock = SYSTEM) -> None:
        self._container = container
        self._url = f"{url}/{VERSION}/containers/{container}"
        self._clock = clock

    def state(self) -> ProcessState:
        """The container's state in the engine's words (created, running, paused, restarting, exited, dead)."""
        return container_state(self._ask("GET", "json", ASK_TIMEOUT_S).json(), self._clock.now())

    def restart(self) -> None:
        """Stop (SIGTERM, so that it drains) and start; returns when the engine has started it."""
        self._ask("POST", f"restart?t={STOP_S}", STOP_S + ASK_TIMEOUT_S)

    def _ask(self, method: str, what: str, timeout_s: float) -> requests.Response:
        try:
            answer = requests.request(method, f"{self._url}/{what}", timeout=timeout_s)
        except requests.RequestException as error:
            raise ControlError(f"the engine's proxy at {self._url} does not answer ({error})") from None
        if not answer.ok:
            said = " ".join(answer.text.split())[:200] or answer.reason
            raise ControlError(f"{method} {what.partition('?')[0]} of {self._container}: {answer.status_code} {said}")
        return answer


def container_state(inspected: dict[str, Any], now_s: float) -> ProcessState:
    """A ProcessState from the engine's answer to `inspect`."""
    state = inspected["State"]
    running = state["Status"] == "running"
    # Nanoseconds are more than Python reads: the seconds are enough.
    age = now_s - datetime.fromisoformat(state["StartedAt"][:19] + "+00:00").timestamp() if running else None
    return ProcessState(running, state["Status"], age)
