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
from pathlib import Path

from local.errors import PipelineError, last_words
from local.home.places import Places


def refuse_other_platforms() -> None:
    """Raises PipelineError anywhere but on Linux x86-64 with Python 3.11."""
    if sys.version_info[:2] != (3, 11):
        raise PipelineError(
            f"Python {platform.python_version()} at {sys.executable}: needs 3.11; install it or set PIPELINE_PYTHON"
        )
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "AMD64"):
        raise PipelineError(
            f"{platform.system()} {platform.machine()} is not supported: the engines' wheels are for Linux x86-64"
        )


def ensure_own_environment(places: Places) -> Path:
    """Returns the Python of the runner's environment, made or brought up to date when its lock file changed."""
    refuse_other_platforms()
    lock = places.repository / "local" / "requirements.lock"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    root, stamp, python = places.venv("local"), places.stamp("local"), places.python("local")
    if _is_done(stamp, wanted) and is_whole(root):
        return python
    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root.parent / "local.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not (_is_done(stamp, wanted) and is_whole(root)):
                # On stderr: stdout belongs to the command, which may print CSV.
                print("installing the runner (supervisor, PostgreSQL, S3 store) …", file=sys.stderr, flush=True)
                # A half-made one is made anew; a whole one that is out of date may be in use by a running home.
                if not (stamp.exists() and is_whole(root)):
                    venv.create(root, with_pip=True, clear=True, symlinks=True)
                _pip(python, lock)
                stamp.write_text(wanted)
    except OSError as error:
        raise PipelineError(f"cannot write {root}: {error.strerror}; free the disk or set PIPELINE_PARTS") from error
    except subprocess.CalledProcessError as error:
        raise PipelineError(f"no virtual environment in {root}: {error}; free the disk and run it again") from error
    return python


def is_whole(root: Path) -> bool:
    """True when a virtual environment was made where it lies: its scripts hold its path, so a moved one cannot run."""
    try:
        activate = (root / "bin" / "activate").read_text()
    except OSError:
        return False
    made_in = re.search(r"^VIRTUAL_ENV=(.*)$", activate, re.MULTILINE)
    return made_in is not None and shlex.split(made_in[1]) == [str(root.resolve())] and (root / "bin/python").exists()


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
