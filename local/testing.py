"""`./pipeline test`: installs what the tests need and runs the suites, cheapest first."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

from rich.console import Console

from local.errors import PipelineError
from local.install import install, parts_to_run, parts_to_test
from local.places import Places

CODE = ("local", "plugins", "dags", "ingester", "exchange", "tests")
TYPED = ("local", "plugins/upbit_lake", "ingester/upbit_ingester", "exchange/upbit_exchange", "tests")

# What `all` (and so CI) runs, in this order.
ALL = ("lint", "unit", "dags", "integration", "e2e")


def run_suite(places: Places, suite: str, console: Console) -> int:
    """Runs one suite, or all; returns 0 when everything passed. Raises PipelineError naming the first that failed."""
    install(places, [*parts_to_run(places), *parts_to_test(places)], console)
    spent: list[str] = []
    for name in ALL if suite == "all" else (suite,):
        began = time.monotonic()
        console.rule(name)
        _SUITES[name](places)
        spent.append(f"{name} {time.monotonic() - began:.0f} s")
    console.print(f"all passed: {', '.join(spent)}")
    return 0


def _lint(places: Places) -> None:
    _run(places, "ruff", "check", *CODE)
    _run(places, "ruff", "format", "--check", *CODE)
    _run(places, "mypy", *TYPED)


def _unit(places: Places) -> None:
    _pytest(places, "tests/unit", "-q")


def _dags(places: Places) -> None:
    """In Airflow's own environment, which holds requirements.txt and nothing else."""
    _run(places, "-m", "pytest", "dags", "-q", venv="airflow")


def _integration(places: Places) -> None:
    _pytest(places, "tests/integration", "-m", "not nightly", "-v")


def _end_to_end(places: Places) -> None:
    _pytest(places, "tests/end_to_end", "-m", "not nightly", "-v", "-s")


def _nightly(places: Places) -> None:
    _pytest(places, "tests", "-m", "nightly", "-v", "-s")


_SUITES: dict[str, Callable[[Places], None]] = {
    "lint": _lint,
    "unit": _unit,
    "dags": _dags,
    "integration": _integration,
    "e2e": _end_to_end,
    "nightly": _nightly,
}


def _pytest(places: Places, *arguments: str) -> None:
    _run(places, "-m", "pytest", *arguments)


def _run(places: Places, *arguments: str, venv: str = "tests") -> None:
    binaries = places.venv(venv) / "bin"
    command = [str(binaries / "python"), *arguments] if arguments[0] == "-m" else [
        str(binaries / arguments[0]), *arguments[1:]
    ]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
    environment["PATH"] = f"{binaries}{os.pathsep}{environment.get('PATH', '')}"
    environment["PIPELINE_PARTS"] = str(places.parts)
    done = subprocess.run(command, cwd=places.repository, env=environment, check=False)
    if done.returncode != 0:
        raise PipelineError(f"{' '.join(arguments)} failed (exit {done.returncode}): the lines above say where")
