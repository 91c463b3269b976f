"""The ingester's process under supervisord."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from typing import Any

from upbit_lake.engines.clock import SYSTEM, Clock, wait_until
from upbit_lake.engines.ingester.control import ControlError, ProcessState

# supervisord calls a process RUNNING once it has lived for `startsecs`, 10 s in local/processes/supervisor.py.
START_TIMEOUT_S = 30.0
POLL_S = 0.2
# supervisord's fault codes: nothing is wrong when the process is already where it should be.
ALREADY_STARTED = 60
NOT_RUNNING = 70


class SupervisorControl:
    """The ingester under supervisord, spoken to over its unix socket."""

    def __init__(self, socket_path: str, process: str, clock: Clock = SYSTEM) -> None:
        self._process = process
        self._path = socket_path
        self._clock = clock
        # The host is never looked up: the transport connects to the socket.
        self._proxy: Any = xmlrpc.client.ServerProxy("http://supervisor", transport=UnixTransport(socket_path))

    def state(self) -> ProcessState:
        """The process's state in supervisord's words (RUNNING, STARTING, BACKOFF, FATAL, EXITED, STOPPED …)."""
        return process_state(self._call("getProcessInfo", self._process))

    def restart(self) -> None:
        """Stop (SIGTERM, so that it drains) and start; returns when supervisord calls it running."""
        self._call("stopProcess", self._process, True, ignore=NOT_RUNNING)
        self._call("startProcess", self._process, False, ignore=ALREADY_STARTED)
        state = wait_until(
            self.state, lambda state: _runs(state) or state.word == "FATAL", START_TIMEOUT_S, POLL_S, self._clock
        )
        if state.word == "FATAL":
            raise ControlError(f"{self._process} was started but dies at once: its supervisor gave up; see its log")
        if not _runs(state):
            raise ControlError(f"{self._process} was started but is {state.word} after {START_TIMEOUT_S:.0f} s")

    def _call(self, method: str, *arguments: Any, ignore: int | None = None) -> Any:
        try:
            return getattr(self._proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == ignore:
                return None
            raise ControlError(f"supervisord: {method} {self._process}: {fault.faultString}") from None
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise ControlError(f"supervisord at {self._path} does not answer ({error})") from None


def _runs(state: ProcessState) -> bool:
    return state.running and state.word != "STARTING"


def process_state(info: dict[str, Any]) -> ProcessState:
    """A ProcessState from supervisord's getProcessInfo."""
    running = info["statename"] in ("RUNNING", "STARTING")
    age = float(info["now"] - info["start"]) if running and info.get("start") else None
    return ProcessState(running, info["statename"], age)


class UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002 (the interface names it)
        """A connection to the socket, whatever the host is called."""
        return _UnixConnection(self._path)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
