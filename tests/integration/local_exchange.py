"""The local exchange as a process of its own, and what a client of its wire needs."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.harness.waiting import until
from tests.integration.fault_switch import FaultSwitch

ROOT = Path(__file__).parents[2]
STREAMS = ("ticker", "trade", "orderbook")


class Exchange:
    """A running exchange of its own directory; ended by its own process id."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self._log = directory.parent / f"{directory.name}.log"
        ports = ["--port", "0", "--admin-port", "0"]
        command = [sys.executable, "-m", "upbit_exchange", *ports, "--ledger", str(directory)]
        with self._log.open("ab") as log:
            start = self._log.stat().st_size
            self.process = subprocess.Popen([*command, *options], stderr=log, env=environment())
        self.admin_port, self.port = map(int, awaited(lambda: self._announced(start)))
        self.faults = FaultSwitch(self.admin_port, directory)

    def _announced(self, start: int) -> tuple[str, ...] | None:
        assert self.process.poll() is None, self._log.read_text()
        found = re.search(
            r"http://127\.0\.0\.1:(\d+)/_local/faults.*ws://127\.0\.0\.1:(\d+)/websocket/v1",
            self._log.read_text()[start:],
            re.DOTALL,
        )
        return found.groups() if found else None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/websocket/v1"

    def http(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        port = self.admin_port if path.startswith("/_local/faults") else self.port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, body

    def json(self, path: str) -> Any:
        status, _, body = self.http(path)
        assert status == 200, body
        return json.loads(body, parse_float=Decimal)

    def status(self) -> Any:
        return self.json("/_local/status")

    def codes(self) -> list[str]:
        return [market["market"] for market in self.json("/v1/market/all")]

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=10)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
    return {**kept, "PYTHONPATH": str(ROOT / "exchange")}


def awaited(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """The condition's first true value."""
    return until("the condition comes true", condition, seconds, 0.02)


def socket_to(exchange: Exchange, compression: str | None = None) -> ClientConnection:
    return connect(exchange.url, compression=compression, ping_interval=None, max_queue=None, close_timeout=1)


def ask(client: ClientConnection, *wishes: dict[str, Any], form: str | None = None) -> None:
    client.send(json.dumps([{"ticket": "test"}, *wishes, *([{"format": form}] if form else [])]))


def everything(codes: list[str]) -> list[dict[str, Any]]:
    return [{"type": stream, "codes": codes} for stream in STREAMS]


def received(client: ClientConnection, count: int) -> list[bytes]:
    frames = [client.recv(timeout=10) for _ in range(count)]
    assert all(isinstance(frame, bytes) for frame in frames), "Upbit sends binary frames only"
    return [frame for frame in frames if isinstance(frame, bytes)]


def silent(client: ClientConnection, seconds: float = 0.6) -> bool:
    try:
        client.recv(timeout=seconds)
    except TimeoutError:
        return True
    return False
