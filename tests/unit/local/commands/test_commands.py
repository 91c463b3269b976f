"""Commands that the runner runs: their last words, and how they end when the user interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.commands.test import run_to_its_end
from local.errors import PipelineError, last_words


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Started in the background by a shell, the tests and so their children would not hear an interrupt at all."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("out", "err", "said"),
    [("a\nb\n", "", "b"), ("a", "c\nd\n", "d"), ("", "", "exit code 3, nothing said"), ("e", " \n", "e")],
)
def test_last_words(out: str, err: str, said: str) -> None:
    assert last_words(subprocess.CompletedProcess([], 3, out, err)) == said


# Ready when the file is there; clearing up after an interrupt takes longer than subprocess.run would wait.
CHILD = """
import pathlib, sys, threading
started, cleared = map(pathlib.Path, sys.argv[1:])
try:
    started.touch()
    threading.Event().wait(30)
except KeyboardInterrupt:
    threading.Event().wait(0.6)
    cleared.touch()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_interrupted_may_clear_up(tmp_path: Path, number: signal.Signals) -> None:
    """A Ctrl-C reaches the child from the terminal; here the whole group is signalled as a terminal does."""
    started, cleared = tmp_path / "started", tmp_path / "cleared"
    code = (
        "import os, sys; from pathlib import Path; from local.commands.test import run_to_its_end\n"
        "run_to_its_end([sys.executable, '-c', *sys.argv[1:]], Path('/'), dict(os.environ))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, CHILD, str(started), str(cleared)],
        start_new_session=True, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    _until_there(started)
    if number == signal.SIGINT:
        os.killpg(parent.pid, number)
    else:
        parent.send_signal(number)
    _, said = parent.communicate(timeout=20)
    assert b"PipelineError: interrupted" in said
    assert cleared.exists()


def test_an_exit_code_is_passed_on(tmp_path: Path) -> None:
    assert run_to_its_end([sys.executable, "-c", "raise SystemExit(5)"], tmp_path, dict(os.environ)) == 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _until_there(path: Path) -> None:
    tick = threading.Event()
    for _ in range(400):
        if path.exists():
            return
        tick.wait(0.05)
    raise PipelineError(f"{path} did not come")
