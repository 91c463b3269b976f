"""A Docker engine for the tests: the one that answers, or Debian's own, started for them and ended after them.

`python -m tests.compose.engine` does the same for a person: says how to talk to the engine, keeps it until Ctrl-C.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from tests.harness.waiting import until

PACKAGES = ("docker.io", "debootstrap")
READY_S = 120
# Outside of the repository: images survive a session, and one copy serves every checkout.
FOLDER = Path(os.environ.get("PIPELINE_TEST_ENGINE") or "/var/tmp/upbit-test-engine")
# The least share of the CPU for every container, so that whatever else runs here does not notice (cgroup v1, v2).
LEAST_SHARE = (("cpu/docker/cpu.shares", "2"), ("docker/cpu.weight", "1"))


class NoEngineError(Exception):
    """Why there is no engine, on one line."""


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers.

    Attributes:
        environment: of every client of it.
        origin: where it comes from, for people.
        restart: of an engine that the tests have started.
    """

    environment: Mapping[str, str]
    origin: str
    restart: Callable[[], None] | None = None

    def try_docker(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """One `docker` command, whatever its exit code."""
        command = ["docker", *arguments]
        return subprocess.run(
            command, env=dict(self.environment), input=stdin, capture_output=True, text=True, check=False
        )

    def docker(self, *arguments: str, stdin: str | None = None) -> str:
        """What one `docker` command says on stdout. Raises AssertionError with all it said when it fails."""
        done = self.try_docker(*arguments, stdin=stdin)
        assert done.returncode == 0, f"docker {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()


@contextmanager
def engine() -> Iterator[Engine]:
    """An engine for the block. One that ran before goes on running. Raises NoEngineError."""
    running = _running()
    if running:
        yield running
        return
    _install()
    # A package's own service may have been started by its installation.
    running = _running()
    if running:
        yield running
        return
    with _started() as started:
        yield started


def _running() -> Engine | None:
    """The engine of the environment, or the one that another session keeps in our folder."""
    if not shutil.which("docker"):
        return None
    given = Engine(os.environ, os.environ.get("DOCKER_HOST") or "the engine of this machine")
    if _answers(given):
        return given
    kept = _engine_of(FOLDER)
    return kept if _answers(kept) else None


def _engine_of(folder: Path) -> Engine:
    host = f"unix://{folder}/docker.sock"
    return Engine({**os.environ, "DOCKER_HOST": host}, f"dockerd of Debian's docker.io, {host}")


def _answers(engine: Engine) -> bool:
    return engine.try_docker("info").returncode == 0


def _install() -> None:
    if shutil.which("dockerd") and shutil.which("debootstrap"):
        if os.geteuid() != 0:
            raise NoEngineError("no Docker engine answers, and only root can start one")
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise NoEngineError("no Docker engine answers, and only root on Debian can install one (docker.io)")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (("update",), ("install", "--yes", "--no-install-recommends", *PACKAGES)):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = " ".join(done.stderr.split())[-200:]
            raise NoEngineError(f"no Docker engine answers, and apt-get {arguments[0]} failed: {said}")


@contextmanager
def _started() -> Iterator[Engine]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock, (FOLDER / "dockerd.log").open("w") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = _engine_of(FOLDER)
        if _answers(started):  # by the one who held the lock before us
            yield started
            return
        _give_least_share()
        daemon = _Daemon(started, log)
        try:
            daemon.start()
            yield replace(started, restart=daemon.restart)
        finally:
            daemon.stop()


class _Daemon:
    """A dockerd in FOLDER, for `engine` to talk to."""

    def __init__(self, engine: Engine, log: IO[str]) -> None:
        self._engine = engine
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers. Raises NoEngineError with its last line when it does not."""
        command = [
            "nice", "-n", "19", "dockerd", "--host", f"unix://{FOLDER}/docker.sock", "--data-root", f"{FOLDER}/data",
            "--exec-root", f"{FOLDER}/run", "--pidfile", f"{FOLDER}/dockerd.pid",
        ]  # fmt: skip
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
        )
        self._child = child

        def settled() -> bool:
            return _answers(self._engine) or child.poll() is not None

        with suppress(AssertionError):
            until("dockerd answers", settled, READY_S)
        if not _answers(self._engine):
            last = (FOLDER / "dockerd.log").read_text().splitlines()[-1:]
            raise NoEngineError(f"dockerd did not come up: {' '.join(last)[:300]}")

    def stop(self) -> None:
        """Asks it to end and waits; its containers are stopped, and started again with it when they want to be."""
        if self._child:
            self._child.send_signal(signal.SIGTERM)
            self._child.wait()

    def restart(self) -> None:
        """What a reboot of the machine is to its containers."""
        self.stop()
        self.start()


def _give_least_share() -> None:
    for name, value in LEAST_SHARE:
        path = Path("/sys/fs/cgroup") / name
        if (path.parent.parent / "cgroup.procs").exists():
            with suppress(OSError):  # another layout of cgroups: containers share like everything else
                path.parent.mkdir(exist_ok=True)
                path.write_text(value)


def main() -> int:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        with engine() as ours, suppress(KeyboardInterrupt):
            print(f"{ours.origin}\nexport DOCKER_HOST={ours.environment.get('DOCKER_HOST', '')}", flush=True)
            stop.wait()
    except NoEngineError as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
