"""The supervisor is the runner's side of supervisord, which keeps every part alive.

Its socket and configuration lie in the home.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import time
import xmlrpc.client
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport

from local.errors import PipelineError, last_words
from local.home.environment import for_parts
from local.home.files import make_private_folder, write_private
from local.home.places import Places
from local.parts.part import Part

# In the environment of every process of a home: this distinguishes orphans of a crashed run from others.
MARK = "PIPELINE_OF_HOME"


class Supervisor:
    """One home's supervisord.

    Raises:
        PipelineError: when it cannot be started or refuses a call.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._configuration = places.conf / "supervisord.conf"

    def is_up(self) -> bool:
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except (OSError, PipelineError):
            return False

    def start(self) -> None:
        """Starts supervisord in the background and waits until it answers."""
        for folder in (self._places.logs, self._places.run):
            folder.mkdir(parents=True, exist_ok=True)
        binary = self._places.venv("local") / "bin" / "supervisord"
        environment = {**for_parts(os.environ), MARK: str(self._places.home)}
        done = subprocess.run(
            [str(binary), "-c", str(self._configuration)],
            env=environment, cwd=self._places.home, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise PipelineError(f"supervisord did not start: {last_words(done)}")
        deadline = time.monotonic() + 20
        while not self.is_up():
            if time.monotonic() > deadline:
                raise PipelineError(f"supervisord does not answer: see {self._places.logs / 'supervisord.log'}")
            time.sleep(0.1)

    def load(self, parts: Iterable[Part]) -> list[str]:
        """Writes all configuration, applies it and returns the names of running parts that it restarts."""
        self._write(list(parts))
        if not self.is_up():
            self.start()
            return []
        added, changed, removed = self._call("reloadConfig")[0]
        running = {name for name, info in self.processes().items() if info["statename"] in ("RUNNING", "STARTING")}
        for name in [*changed, *removed]:
            self.stop(name)
            self._call("removeProcessGroup", name)
        for name in [*added, *changed]:
            self._call("addProcessGroup", name)
        return [name for name in changed if name in running]

    def processes(self) -> dict[str, dict[str, Any]]:
        """Returns supervisord's own record (statename, pid, start, exitstatus, …) by part name."""
        return {info["name"]: info for info in cast(list[dict[str, Any]], self._call("getAllProcessInfo"))}

    def start_part(self, name: str) -> None:
        """Starts a part unless it runs; does not wait for it to be ready."""
        try:
            self._call("startProcess", name, False)
        except PipelineError as error:
            if "ALREADY_STARTED" not in str(error):
                raise

    def stop(self, name: str) -> None:
        """Stops a part and waits for its end."""
        try:
            self._call("stopProcess", name, True)
        except PipelineError as error:
            if "NOT_RUNNING" not in str(error):
                raise

    def shutdown(self) -> None:
        """Ends supervisord and waits until its process is gone."""
        pid = int(self._call("getPID"))
        self._call("shutdown")
        deadline = time.monotonic() + 60
        while Path(f"/proc/{pid}").exists() and _is_alive(pid):
            if time.monotonic() > deadline:
                raise PipelineError(f"supervisord (pid {pid}) does not end: see {self._places.logs}/supervisord.log")
            time.sleep(0.1)

    def _call(self, method: str, *arguments: object) -> Any:
        server = xmlrpc.client.ServerProxy(
            "http://127.0.0.1", transport=SupervisorTransport("", "", f"unix://{self._places.supervisor_socket}")
        )
        try:
            return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise PipelineError(f"supervisord refused {method} {arguments}: {fault.faultString}") from None
        finally:
            server("close")()

    def _write(self, parts: list[Part]) -> None:
        self._places.conf.mkdir(parents=True, exist_ok=True)
        make_private_folder(self._places.short_run)  # before a secret is written there: it may lie in /tmp
        for part in parts:
            for path, text in part.files.items():
                write_private(path, text, for_other_user=part.user is not None)
        write_private(self._configuration, self._render(parts))

    def _render(self, parts: list[Part]) -> str:
        run, logs = self._places.run, self._places.logs
        sections = [
            f"[unix_http_server]\nfile={_escape(self._places.supervisor_socket)}\nchmod=0700\n",
            f"[supervisord]\nlogfile={_escape(logs / 'supervisord.log')}\nlogfile_maxbytes=10MB\nlogfile_backups=2\n"
            f"pidfile={_escape(run / 'supervisord.pid')}\nminfds=1024\n" + ("user=root\n" if os.geteuid() == 0 else ""),
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n",
        ]
        return "\n".join([*sections, *(self._program(part) for part in parts)])

    def _program(self, part: Part) -> str:
        script = self._places.conf / "run" / f"{part.name}.sh"
        write_private(script, launch_script(part), executable=True, for_other_user=part.user is not None)
        # Another account may not reach the home, so its process is started without the script.
        command = ("/bin/bash", str(script)) if part.user is None else part.command
        lines = [
            f"[program:{part.name}]",
            f"command={_escape(shlex.join(command))}",
            f'environment={MARK}="{_escape(self._places.home)}",CONFIGURATION="{self._fingerprint(part)}"',
            f"directory={_escape(self._places.home)}" if part.user is None else "directory=/",
            "autostart=false",
            "autorestart=true",
            # A process that ends sooner has failed to start and is tried again ever later. A JVM or Airflow on a busy
            # machine takes seconds to find a wrong setting; with less it would be restarted in a hot loop, for ever.
            "startsecs=10",
            f"startretries={part.start_retries}",
            f"stopsignal={part.stop_signal}",
            f"stopwaitsecs={part.stop_s}",
            # Asked politely, a process ends its own children in its own order; killed, it could not: the group goes.
            "stopasgroup=false",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={_escape(self._places.logs / (part.name + '.log'))}",
            "stdout_logfile_maxbytes=20MB",
            "stdout_logfile_backups=2",
        ]
        if part.user is not None:
            lines.append(f"user={part.user}")
        return "\n".join(lines) + "\n"

    def _fingerprint(self, part: Part) -> str:
        """Changes with all that a part runs with. supervisord compares programs: another text here is a restart."""
        digest = hashlib.sha256(launch_script(part).encode())
        digest.update(json.dumps({str(k): v for k, v in part.files.items()}, sort_keys=True).encode())
        for stamp in map(self._places.stamp, part.software):
            digest.update(stamp.read_bytes() if stamp.exists() else b"")
        for folder in part.code:
            for module in sorted(folder.rglob("*.py")):
                digest.update(f"{module.relative_to(folder)}\0{module.stat().st_size}\0".encode() + module.read_bytes())
        return digest.hexdigest()[:16]


def launch_script(part: Part) -> str:
    """Returns a shell script that sets the environment and becomes the process; also good for starting it by hand."""
    exports = [f"export {name}={shlex.quote(value)}" for name, value in sorted(part.environment.items())]
    return "\n".join(
        ["#!/bin/bash", f"# {part.name}: written by ./pipeline up", *exports, f"exec {shlex.join(part.command)}", ""]
    )


def _is_alive(pid: int) -> bool:
    try:
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0].startswith("Z")
    except OSError:
        return False


def _escape(value: object) -> str:
    return str(value).replace("%", "%%")
