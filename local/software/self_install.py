"""Makes the runner's own environment (uv, supervisor, jgo, PostgreSQL, the S3 store). Standard library only."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shlex
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path

from local.errors import PipelineError, last_words
from local.home.places import Places

# Newest first, as `pipeline` looks for them; a test keeps the two equal.
SUPPORTED = ("3.13", "3.12", "3.11")
# Of the Python that runs this: after the hand-over it is the one that the parts were made by.
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
_ASK = "import sys; print(*sys.version_info[:2], sep='.')"


def refuse_other_platforms() -> None:
    """Raises PipelineError anywhere but on Linux x86-64 with a supported Python."""
    if RUNNING not in SUPPORTED:
        raise PipelineError(
            f"Python {platform.python_version()} at {sys.executable} is not supported ({' '.join(SUPPORTED)}): "
            "install one of these, or set PIPELINE_PYTHON to one"
        )
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "AMD64"):
        raise PipelineError(
            f"{platform.system()} {platform.machine()} is not supported: the engines' wheels are for Linux x86-64"
        )


def ensure_own_environment(places: Places) -> Path:
    """Returns the Python of the runner's environment, made or brought up to date when its lock file changed.

    One that another supported Python made is kept as long as that Python is there, unless PIPELINE_PYTHON names one.
    """
    refuse_other_platforms()
    lock = places.repository / "local" / "requirements.lock"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    root, stamp, python = places.venv("local"), places.stamp("local"), places.python("local")
    version = version_to_use(root, os.environ)
    if _is_done(stamp, wanted) and is_whole(root, version):
        return python
    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root.parent / "local.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not (_is_done(stamp, wanted) and is_whole(root, version)):
                # A half-made one is recreated; a whole one that is out of date may be in use by a running home.
                from_scratch = not (stamp.exists() and is_whole(root, version))
                if from_scratch:
                    _refuse_while_in_use(root)
                # On stderr: stdout belongs to the command, which may print CSV.
                print("installing the runner (supervisor, PostgreSQL, S3 store) …", file=sys.stderr, flush=True)
                if from_scratch:
                    venv.create(root, with_pip=True, clear=True, symlinks=True)
                _pip(python, lock)
                stamp.write_text(wanted)
    except OSError as error:
        raise PipelineError(f"cannot write {root}: {error.strerror}; free the disk or set PIPELINE_PARTS") from error
    except subprocess.CalledProcessError as error:
        raise PipelineError(f"no virtual environment in {root}: {error}; free the disk and run it again") from error
    return python


def is_whole(root: Path, version: str = RUNNING) -> bool:
    """True when a virtual environment was made where it lies, and by this version of Python.

    Its scripts hold its path, so a moved one cannot run; its packages lie in a folder named after the version.
    """
    try:
        activate = (root / "bin" / "activate").read_text()
    except OSError:
        return False
    # Releases of Python differ in where they name it, and in how they quote it.
    named = re.findall(r"^\s*(?:export )?VIRTUAL_ENV=(.*)$", activate, re.MULTILINE)
    in_its_place = [str(root.resolve())] in (shlex.split(path) for path in named)
    return in_its_place and (root / "bin" / "python").exists() and made_by(root) == version


def made_by(root: Path) -> str | None:
    """Which Python a virtual environment was made by, for example 3.12; None where there is none."""
    try:
        text = (root / "pyvenv.cfg").read_text()
    except OSError:
        return None
    # `venv` writes version, uv writes version_info.
    found = re.search(r"^version(?:_info)? = (\d+\.\d+)\b", text, re.MULTILINE)
    return found and found[1]


def version_of(python: Path | str) -> str | None:
    """Which version an interpreter is, asked of itself, for example 3.12; None where it does not run."""
    try:
        done = subprocess.run([str(python), "-ISc", _ASK], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def version_to_use(root: Path, environment: Mapping[str, str]) -> str:
    """The version that the runner's environment has, while its Python is there; otherwise the one that runs this."""
    made = made_by(root)
    if made == RUNNING or made not in SUPPORTED or environment.get("PIPELINE_PYTHON"):
        return RUNNING
    # An upgraded system may have put another version in its place.
    return made if version_of(root / "bin" / "python") == made else RUNNING


def _refuse_while_in_use(root: Path) -> None:
    """Raises PipelineError where another Python is asked for while a home runs on the one that would be removed."""
    made = made_by(root)
    if made in (None, RUNNING) or version_of(root / "bin" / "python") != made:
        return
    for pid, program in _programs():
        if program.startswith(f"{root.parent}{os.sep}"):
            raise PipelineError(
                f"pid {pid} runs from {root.parent}, which Python {made} made: run ./pipeline down without "
                f"PIPELINE_PYTHON, or set PIPELINE_PARTS to another folder for Python {RUNNING}"
            )


def _programs() -> Iterator[tuple[int, str]]:
    """Pid and program of every other process that this account may look at."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            program = os.fsdecode((folder / "cmdline").read_bytes().split(b"\0")[0])
        except OSError:
            continue
        if int(folder.name) != os.getpid():
            yield int(folder.name), program


def _is_done(stamp: Path, wanted: str) -> bool:
    return stamp.exists() and stamp.read_text() == wanted


def _pip(python: Path, lock: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    done = subprocess.run(
        [*command, "--requirement", str(lock)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PipelineError(f"pip could not install {lock}: {last_words(done)}; check the network and run it again")
