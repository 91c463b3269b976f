"""Which Python runs the pipeline: what the launcher takes, what made the parts, and when they are made again."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.commands.test import other_pythons
from local.errors import PipelineError
from local.home.places import REPOSITORY, Places
from local.software import self_install
from local.software.self_install import (
    RUNNING,
    SUPPORTED,
    ensure_own_environment,
    is_whole,
    made_by,
    refuse_other_platforms,
    version_of,
    version_to_use,
)

ANOTHER = next(version for version in SUPPORTED if version != RUNNING)


def _program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def _venv(root: Path, version: str) -> Path:
    """What another Python made, with an interpreter that says so."""
    _program(root / "bin" / "python", f"echo {version}")
    (root / "bin" / "activate").write_text(f"VIRTUAL_ENV={root}\n")
    (root / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}.1\n")
    return root


# --- the launcher ----------------------------------------------------------------------------------------------------


def _launch(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", str(REPOSITORY / "pipeline"), "up"]
    environment = {"PATH": str(folder), **settings}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The one folder of a PATH, with what the launcher needs but for a Python."""
    _program(tmp_path / "bin" / "dirname", f'exec {shutil.which("dirname")} "$@"')
    return tmp_path / "bin"


def _python(path: Path, name: str, *, usable: bool = True) -> None:
    """Answers the launcher's question, then says who it is."""
    _program(path / name, f'[ "$1" = -c ] && exit {0 if usable else 1}\necho {name} "$@"')


def test_the_launcher_knows_the_supported_ones() -> None:
    text = (REPOSITORY / "pipeline").read_text()
    listed = re.search(r"^supported='(.*)'$", text, re.MULTILINE)
    assert listed is not None
    assert tuple(listed[1].split()) == SUPPORTED
    assert " ".join(f"python{version}" for version in SUPPORTED) + " python3 python" in text


@pytest.mark.parametrize(
    ("there", "broken", "taken"),
    [
        (SUPPORTED, (), "python3.13"),
        (("3.11", "3.12", ""), (), "python3.12"),
        (("3.13", "3.11"), ("3.13",), "python3.11"),
        (("3", ""), (), "python3"),
        (("3", ""), ("3",), "python"),
    ],
)
def test_the_newest_that_works_is_taken(
    path: Path, there: tuple[str, ...], broken: tuple[str, ...], taken: str
) -> None:
    for version in there:
        _python(path, f"python{version}", usable=version not in broken)
    assert _launch(path).stdout.split() == [taken, "-m", "local", "up"]


def test_the_named_one_wins(path: Path) -> None:
    _python(path, "python3.13")
    _python(path, "chosen-python")
    assert _launch(path, PIPELINE_PYTHON="chosen-python").stdout.split()[0] == "chosen-python"


@pytest.mark.parametrize("settings", [{}, {"PIPELINE_PYTHON": "python3"}])
def test_none_that_is_supported_is_one_line_with_those_that_are(path: Path, settings: dict[str, str]) -> None:
    _python(path, "python3", usable=False)
    refused = _launch(path, **settings)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert f"({' '.join(SUPPORTED)})" in refused.stderr
    assert "PIPELINE_PYTHON" in refused.stderr


def test_the_launchers_question_is_answered_by_a_real_python() -> None:
    question = re.search(r"-c '(.*)' \$supported", (REPOSITORY / "pipeline").read_text())
    assert question is not None
    for asked, code in (((*SUPPORTED,), 0), (("3.9", "2.7"), 1)):
        assert subprocess.run([sys.executable, "-c", question[1], *asked], check=False).returncode == code


def test_another_platforms_python_is_refused_with_those_that_are_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_other_platforms()
    monkeypatch.setattr(self_install, "RUNNING", "3.10")
    with pytest.raises(PipelineError, match=r"is not supported \(3\.13 3\.12 3\.11\): install one"):
        refuse_other_platforms()


# --- which Python the parts have ------------------------------------------------------------------------------------


def test_the_python_that_made_the_parts_is_kept(tmp_path: Path) -> None:
    root = _venv(tmp_path / "local", ANOTHER)
    assert version_to_use(root, {}) == ANOTHER
    assert version_to_use(root, {"PIPELINE_PYTHON": sys.executable}) == RUNNING, "the user asks for another"
    assert version_to_use(tmp_path / "nowhere", {}) == RUNNING


@pytest.mark.parametrize("script", ["echo 3.99", "exit 127"], ids=["upgraded in its place", "does not run"])
def test_a_python_that_has_gone_is_not_kept(tmp_path: Path, script: str) -> None:
    root = _venv(tmp_path / "local", ANOTHER)
    _program(root / "bin" / "python", script)
    assert version_to_use(root, {}) == RUNNING
    assert not is_whole(root)


def test_a_python_that_is_no_longer_supported_is_not_kept(tmp_path: Path) -> None:
    assert version_to_use(_venv(tmp_path / "local", "3.9"), {}) == RUNNING


@pytest.mark.parametrize("line", ["version = 3.12.1", "version_info = 3.12.1", "version = 3.12.1+"])
def test_which_python_made_an_environment(tmp_path: Path, line: str) -> None:
    (tmp_path / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\n{line}\nuv = 0.13.9\n"
    )
    assert made_by(tmp_path) == "3.12"
    assert made_by(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "activate",
    [
        'VIRTUAL_ENV="{}"\nexport VIRTUAL_ENV\n',
        "VIRTUAL_ENV='{}'\n",
        'if cygwin; then\n    export VIRTUAL_ENV=$(cygpath "{}")\nelse\n    export VIRTUAL_ENV="{}"\nfi\n',
        "        VIRTUAL_ENV=$(cygpath {})\n        export VIRTUAL_ENV\n        export VIRTUAL_ENV={}\n",
    ],
    ids=["3.11", "uv", "3.12", "3.13"],
)
def test_every_release_says_where_an_environment_was_made(tmp_path: Path, activate: str) -> None:
    root = _venv(tmp_path / "venv", RUNNING)
    (root / "bin" / "activate").write_text(activate.replace("{}", str(root)))
    assert is_whole(root)
    assert not is_whole(root, ANOTHER), "made by another Python"
    (root / "bin" / "activate").write_text(activate.replace("{}", "/elsewhere"))
    assert not is_whole(root)


def test_parts_in_use_are_not_made_again_for_another_python(
    places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = _venv(places.venv("local"), ANOTHER)
    places.stamp("local").touch()
    program = places.venv("airflow") / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    monkeypatch.setenv("PIPELINE_PYTHON", sys.executable)
    with subprocess.Popen([program, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as running:
        with pytest.raises(PipelineError, match=rf"pid {running.pid} runs from .*, which Python {ANOTHER} made: run"):
            ensure_own_environment(places)
        assert running.stdin is not None
        running.stdin.close()
    assert made_by(root) == ANOTHER, "nothing was removed"
    assert capsys.readouterr().err == "", "an installation that is refused is not announced"


def test_a_python_is_asked_for_its_version(tmp_path: Path) -> None:
    assert version_of(sys.executable) == RUNNING
    assert version_of(tmp_path / "nowhere") is None


# --- the tests' other Pythons ---------------------------------------------------------------------------------------


def test_other_pythons_are_found_on_the_path_and_among_pyenvs(tmp_path: Path) -> None:
    shim, name = tmp_path / "shims", f"python{ANOTHER}"
    _program(shim / name, "exit 127")
    _program(shim / f"python{RUNNING}", f"echo {RUNNING}")
    environment = {"PATH": str(shim), "PYENV_ROOT": str(tmp_path / "pyenv")}
    assert other_pythons(environment) == {}
    behind = _program(tmp_path / "pyenv" / "versions" / f"{ANOTHER}.4" / "bin" / name, f"echo {ANOTHER}")
    assert other_pythons(environment) == {ANOTHER: str(behind)}
    _program(shim / name, f"echo {ANOTHER}")
    assert other_pythons(environment) == {ANOTHER: str(shim / name)}
