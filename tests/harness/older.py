"""An older release of this repository, to be upgraded."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from local.home.places import REPOSITORY


def checkout_of(commit: str, folder: Path) -> Path:
    """A clone of this repository in `folder` that stands on `commit`; skips the test where the history is cut."""
    clone = folder / "clone"
    git(REPOSITORY, "clone", "--quiet", str(REPOSITORY), str(clone))
    if subprocess.run(["git", "-C", str(clone), "cat-file", "-e", commit], check=False, capture_output=True).returncode:
        pytest.skip(f"this clone's history does not reach {commit}: fetch it whole")
    git(clone, "checkout", "--quiet", commit)
    return clone


def move_to_this_release(clone: Path) -> None:
    """What `git pull` does to a user's checkout."""
    git(clone, "fetch", "--quiet", str(REPOSITORY), "HEAD")
    git(clone, "checkout", "--quiet", "FETCH_HEAD")


def git(folder: Path, *arguments: str) -> str:
    """What a git command says."""
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()
