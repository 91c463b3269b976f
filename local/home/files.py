"""Files of a home that hold a secret: only their owner reads them."""

from __future__ import annotations

import os
from pathlib import Path

from local.errors import PipelineError


def read_private(path: Path) -> str:
    """The text of a file that only its owner reads. Raises PipelineError when others can too, OSError."""
    if path.stat().st_mode & 0o077:
        raise PipelineError(f"{path} can be read by others: chmod 600 it and rotate what it holds")
    return path.read_text()


def write_private(path: Path, text: str, *, executable: bool = False, for_other_user: bool = False) -> None:
    """Writes a file that only its owner reads (secrets stand in most), or that another account can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = (0o755 if for_other_user else 0o700) if executable else (0o644 if for_other_user else 0o600)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as handle:
        os.fchmod(descriptor, mode)
        handle.write(text)


def replace_private(path: Path, text: str) -> None:
    """Writes a file that only its owner reads; the old one stays in its place until the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(descriptor)
    temporary.replace(path)


def make_private_folder(folder: Path) -> None:
    """Makes a folder, or takes one that is ours. Raises PipelineError on another account's (it may lie in /tmp)."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise PipelineError(f"{folder} belongs to another account: remove it, or choose another PIPELINE_HOME")
