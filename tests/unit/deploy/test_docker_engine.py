"""Which engine the tests of the images get, decided with stand-ins for `docker` and `dockerd` on the PATH."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.compose import engine

# An engine answers while its socket is there. Ours ends on SIGTERM, as dockerd does.
DOCKER = '#!/bin/sh\n[ "$1" = info ] && [ -e "${DOCKER_HOST#unix://}" ]\n'
DOCKERD = """\
#!{python}
import pathlib, signal, sys
socket = pathlib.Path(sys.argv[sys.argv.index("--host") + 1].removeprefix("unix://"))
signal.signal(signal.SIGTERM, lambda *_: (socket.unlink(), sys.exit(0)))
{act}
signal.pause()
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without an engine: its folder of programs, alone on the PATH beside what they need."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "nice"):
        (programs / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    monkeypatch.setattr(engine, "FOLDER", tmp_path / "engine")
    monkeypatch.setattr(engine, "LEAST_SHARE", ())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return programs


def test_one_that_answers_is_used_and_left_running(machine: Path) -> None:
    _program(machine / "docker", DOCKER)
    running = machine.parent / "nothing.sock"
    running.touch()
    with engine.engine() as found:
        assert found.environment["DOCKER_HOST"] == f"unix://{running}"
    assert running.exists()


def test_one_that_was_started_is_ended(machine: Path) -> None:
    _install(machine, "socket.touch()")
    with engine.engine() as started:
        socket = Path(started.environment["DOCKER_HOST"].removeprefix("unix://"))
        assert socket.exists()
    assert not socket.exists()


def test_one_that_was_started_can_be_restarted_and_is_ended(machine: Path) -> None:
    _install(machine, "socket.touch()")
    with engine.engine() as started:
        assert started.restart
        started.restart()
        socket = Path(started.environment["DOCKER_HOST"].removeprefix("unix://"))
        assert socket.exists()
    assert not socket.exists()


def test_one_that_does_not_come_up_is_a_reason(machine: Path) -> None:
    _install(machine, 'sys.exit("no such storage driver")')
    with pytest.raises(engine.NoEngineError, match="did not come up: no such storage driver"), engine.engine():
        pass


@pytest.mark.parametrize("installed", [True, False])
def test_without_root_none_is_started(machine: Path, monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    if installed:
        _install(machine, "socket.touch()")
    with pytest.raises(engine.NoEngineError, match="only root"), engine.engine():
        pass


def test_without_packages_none_is_installed(machine: Path) -> None:
    with pytest.raises(engine.NoEngineError, match="only root on Debian can install one"), engine.engine():
        pass
    _program(machine / "apt-get", "#!/bin/sh\necho E: no network >&2\nexit 100\n")
    with pytest.raises(engine.NoEngineError, match="apt-get update failed: E: no network"), engine.engine():
        pass


def _install(machine: Path, act: str) -> None:
    _program(machine / "docker", DOCKER)
    _program(machine / "dockerd", DOCKERD.format(python=sys.executable, act=act))
    _program(machine / "debootstrap", "#!/bin/sh\n")


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
