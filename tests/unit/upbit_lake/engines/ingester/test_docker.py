from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from tests.twins.clock import HandClock
from upbit_lake.contract.settings import Settings
from upbit_lake.engines.ingester.choice import ingester_control
from upbit_lake.engines.ingester.control import ControlError, ProcessState
from upbit_lake.engines.ingester.docker import DockerControl, container_state

STARTED = 1_795_680_000  # 2026-11-26T08:00:00Z


def inspected(status: str) -> dict[str, Any]:
    return {"State": {"Status": status, "StartedAt": "2026-11-26T08:00:00.123456789Z"}}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("running", ProcessState(True, "running", 60.0)),
        ("exited", ProcessState(False, "exited")),
        ("restarting", ProcessState(False, "restarting")),
        ("paused", ProcessState(False, "paused")),
    ],
)
def test_the_engine_s_words(status: str, state: ProcessState) -> None:
    assert container_state(inspected(status), STARTED + 60.0) == state


class Proxy(BaseHTTPRequestHandler):
    """Answers as socket proxy and engine do: what is not allowed is refused with 403."""

    asked: ClassVar[list[str]] = []

    def _answer(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        name = self.path.split("/")[3]
        self.send_response({"upbit-ingester": 200 if self.command == "GET" else 204}.get(name, 403))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(json.dumps(inspected("running")).encode() if name == "upbit-ingester" else b"Forbidden")

    do_GET = do_POST = _answer  # noqa: N815 (the names that the server calls)


@pytest.fixture
def proxy() -> Iterator[str]:
    Proxy.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_inspect_and_restart_are_all_that_is_asked(proxy: str) -> None:
    control = DockerControl(proxy, "upbit-ingester", HandClock(STARTED + 5.0))
    assert control.state() == ProcessState(True, "running", 5.0)
    control.restart()
    assert Proxy.asked == [
        "GET /v1.40/containers/upbit-ingester/json",
        "POST /v1.40/containers/upbit-ingester/restart?t=30",
    ]


def test_a_refusal_is_one_line(proxy: str) -> None:
    with pytest.raises(ControlError, match=r"^GET json of postgres: 403 Forbidden$"):
        DockerControl(proxy, "postgres").state()


def test_the_settings_choose_it_and_an_unreachable_proxy_is_one_line() -> None:
    chosen = {"CONTROL_INGESTER_BY": "docker", "CONTROL_INGESTER_DOCKER_URL": "http://127.0.0.1:1"}
    secrets = {"S3_ACCESS_KEY": "k", "S3_SECRET_KEY": "s"}
    with pytest.raises(ControlError, match=r"proxy at http://127.0.0.1:1/.* does not answer"):
        ingester_control(Settings.from_environment(secrets | chosen)).state()
