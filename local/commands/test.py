"""`./pipeline test`: installs what the tests need and runs the suites, cheapest first."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from rich.console import Console

from local.errors import PipelineError
from local.home.places import Places
from local.software.install import install, part_to_test_on, parts_to_run, parts_to_test
from local.software.self_install import RUNNING, SUPPORTED, version_of

CODE = ("local", "plugins", "dags", "ingester", "exchange", "flink", "deploy", "sql", "tests")
TYPED = (
    "local", "plugins/upbit_lake", "dags", "ingester/upbit_ingester", "exchange/upbit_exchange", "flink", "deploy",
    "sql/queries", "tests",
)  # fmt: skip
# Where the four packages lie.
PACKAGES = (".", "plugins", "ingester", "exchange")
SHELL = (
    "pipeline",
    ".ci/run",
    "deploy/compose/backup.sh",
    "deploy/images/airflow/init.sh",
    "deploy/images/airflow/after_api.sh",
    "deploy/compose/postgres/access.sh",
)
DOCKERFILES = ("exchange", "ingester", "flink", "deploy/images/airflow", "deploy/images/minio")
GITLEAKS, DCLINT = "github.com/zricethezav/gitleaks/v8@v8.30.1", "dclint@3.1.0"
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"

# What `all` (and so CI) runs, in this order.
UNIT = ("tests/unit", "tests/contract", "-m", "not nightly and not engines", "-q")
ALL = ("lint", "unit", "dags", "integration", "e2e", "compose")

# The checks of types know of versions; what holds on the oldest and the newest holds between them.
TYPED_FOR = (SUPPORTED[-1], SUPPORTED[0])

# Suites that need one environment only (compose: everything else is in its images); the others need engines.
ALONE = {"lint": "tests", "unit": "tests", "dags": "airflow", "compose": "tests"}


def run_suite(places: Places, suite: str, console: Console) -> int:
    """Runs one suite, or all; returns 0 when everything passed. Raises PipelineError naming the first that failed."""
    names = ALL if suite == "all" else (suite,)
    parts = [*parts_to_run(places), *parts_to_test(places)]
    others = other_pythons(os.environ) if "unit" in names else {}
    further = [part_to_test_on(places, version, python) for version, python in others.items()]
    install(places, [*(part for part in parts if part.name == ALONE.get(suite, part.name)), *further], console)
    spent: list[str] = []
    for name in names:
        began = time.monotonic()
        console.rule(name)
        _SUITES[name](places)
        spent.append(f"{name} {time.monotonic() - began:.0f} s")
    console.print(f"all passed: {', '.join(spent)}")
    return 0


def _lint(places: Places) -> None:
    _run(places, "ruff", "check", *CODE)
    _run(places, "ruff", "format", "--check", *CODE)
    for version in TYPED_FOR:
        _run(places, "mypy", "--python-version", version, *TYPED)
    _run(places, "lint-imports", "--no-logo", "--no-cache", paths=PACKAGES)
    _run(places, "-m", "local.commands.words", paths=PACKAGES)
    _run(places, "-m", "local.commands.doubles", paths=PACKAGES)
    _run(
        places, "hadolint", *(f"{folder}/Dockerfile" for folder in DOCKERFILES), "deploy/images/minio/access.Dockerfile"
    )
    _run(places, "shellcheck", *SHELL)
    with TemporaryDirectory() as folder:
        rendered = f"{folder}/docker-compose.yml"
        _run(places, "docker-compose", "--profile", "*", "config", "--no-interpolate", "--output", rendered)
        _run_foreign(places, "npx", "--yes", DCLINT, "--config", ".dclintrc.yaml", "--max-warnings", "0", rendered)
    _run_foreign(places, "go", "run", GITLEAKS, "git", "--config", ".gitleaks.toml", "--no-banner", "--redact")
    _run_foreign(places, "go", "run", ACTIONLINT)


def _run_foreign(places: Places, *command: str) -> None:
    """Runs a tool that is not packed for Python; where its language is missing it is skipped, with one line."""
    if not shutil.which(command[0]):
        print(f"skipped, there is no {command[0]} on this machine: {' '.join(command)}")
        return
    _must_pass(places, command, dict(os.environ), " ".join(command))


def _unit(places: Places) -> None:
    """On the Python of the parts, then on every other supported one that is installed."""
    _pytest(places, *UNIT)
    others = other_pythons(os.environ)
    for version in SUPPORTED:
        if version in others:
            print(f"unit tests on Python {version}", flush=True)
            _run(places, "-m", "pytest", *UNIT, "-n", "2", venv=f"tests-{version}")
        elif version != RUNNING:
            print(f"skipped, there is no Python {version} on this machine: unit tests on it", flush=True)


def other_pythons(environment: Mapping[str, str]) -> dict[str, str]:
    """Where the supported Pythons lie, but for the one of the parts: on the PATH, or among pyenv's."""
    found: dict[str, str] = {}
    pyenv = Path(environment.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in SUPPORTED:
        name = f"python{version}"
        candidates = [shutil.which(name, path=environment.get("PATH", "")), *pyenv.glob(f"{version}.*/bin/{name}")]
        # A shim of pyenv's lies on the PATH whether it leads anywhere or not.
        working = (str(python) for python in candidates if python and version_of(python) == version)
        if version != RUNNING and (python := next(working, None)):
            found[version] = python
    return found


def _dags(places: Places) -> None:
    """In Airflow's own environment, which holds requirements.txt and nothing else."""
    _run(places, "-m", "pytest", "dags", "-q", venv="airflow")


def _integration(places: Places) -> None:
    # Tests of the exchange alone mostly wait for its clock, each with a process of its own.
    _pytest(places, "tests/integration", "-m", "not nightly and not engines", "-q", "-n", "4", "--dist", "loadfile")
    _pytest(places, "tests/integration", "tests/contract", "-m", "not nightly and engines", "-v")


def _end_to_end(places: Places) -> None:
    _pytest(places, "tests/end_to_end", "-m", "not nightly", "-v", "-s")


def _compose(places: Places) -> None:
    _pytest(places, "tests/compose", "-m", "not nightly", "-v", "-s")


def _nightly(places: Places) -> None:
    _pytest(places, "tests", "-m", "nightly", "-v", "-s")


_SUITES: dict[str, Callable[[Places], None]] = {
    "lint": _lint,
    "unit": _unit,
    "dags": _dags,
    "integration": _integration,
    "e2e": _end_to_end,
    "compose": _compose,
    "nightly": _nightly,
}


def _pytest(places: Places, *arguments: str) -> None:
    _run(places, "-m", "pytest", *arguments)


def _run(places: Places, *arguments: str, venv: str = "tests", paths: Sequence[str] = ()) -> None:
    """Runs a program of an environment, or a module (`-m`), which finds the packages below `paths`."""
    binaries = places.venv(venv) / "bin"
    command = [str(binaries / "python"), *arguments] if arguments[0] == "-m" else [
        str(binaries / arguments[0]), *arguments[1:]
    ]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
    environment["PATH"] = f"{binaries}{os.pathsep}{environment.get('PATH', '')}"
    environment["PIPELINE_PARTS"] = str(places.parts)
    if paths:
        environment["PYTHONPATH"] = os.pathsep.join(str(places.repository / path) for path in paths)
    _must_pass(places, command, environment, " ".join(arguments))


def _must_pass(places: Places, command: Sequence[str], environment: dict[str, str], name: str) -> None:
    code = run_to_its_end(command, places.repository, environment)
    if code != 0:
        raise PipelineError(f"{name} failed (exit {code}): the lines above say where")


def run_to_its_end(command: Sequence[str], folder: Path, environment: dict[str, str]) -> int:
    """Runs a command and returns its exit code; interrupted, it is waited for: pytest then ends the tests' engines."""
    asked: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        asked.append(number)
        # Ctrl-C has reached the child already, and a second signal would stop its clearing up.
        if asked == [signal.SIGTERM]:
            child.send_signal(signal.SIGINT)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with subprocess.Popen(command, cwd=folder, env=environment) as child:
        try:
            for number in before:
                signal.signal(number, end)
            code = child.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if asked:
        raise PipelineError("interrupted; what the tests had started was ended")
    return code
