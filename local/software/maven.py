"""Jars of a lock file: fetched through jgo's Maven client, each checked against its SHA-256.

A lock line is `<sha256> <group>:<artifact>:<version>`. The lock names every jar, so no dependency is resolved here;
`./pipeline lock` resolves, from the `jgo.toml` beside the lock.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local.errors import PipelineError


@dataclass(frozen=True)
class Jar:
    sha256: str
    group: str
    artifact: str
    version: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def read_lock(path: Path) -> list[Jar]:
    """Raises PipelineError on a line that is not `<sha256> <group>:<artifact>:<version>`."""
    jars = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        digest, _, coordinate = line.strip().partition(" ")
        parts = coordinate.split(":")
        if not re.fullmatch("[0-9a-f]{64}", digest) or len(parts) != 3:
            raise PipelineError(f"{path}:{number}: not `<sha256> <group>:<artifact>:<version>`: run ./pipeline lock")
        jars.append(Jar(digest, *parts))
    return jars


def fetch(lock: Path, cache: Path, folder_of: Callable[[Jar], Path], progress: Callable[[str], None]) -> None:
    """Puts every jar of `lock` into `folder_of(jar)`; a jar that lies there with the right hash is left alone."""
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=cache)
    jars = read_lock(lock)
    done = 0

    def place(jar: Jar) -> None:
        nonlocal done
        target = folder_of(jar) / jar.file_name
        if not (target.exists() and _sha256(target) == jar.sha256):
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy_checked(_download(context, jar), target, jar)
        done += 1
        progress(f"{done}/{len(jars)} jars")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(place, jars))


def _download(context: object, jar: Jar) -> Path:
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()  # type: ignore[attr-defined]
    cached = artifact.cached_path
    if cached is not None and Path(cached).exists() and _sha256(Path(cached)) != jar.sha256:
        Path(cached).unlink()  # torn by an earlier run
    try:
        return Path(artifact.resolve())
    except Exception as error:
        raise PipelineError(
            f"cannot fetch {jar.group}:{jar.artifact}:{jar.version}: {str(error) or type(error).__name__}; "
            "check the network and run it again"
        ) from error


def _copy_checked(source: Path, target: Path, jar: Jar) -> None:
    found = _sha256(source)
    if found != jar.sha256:
        source.unlink()
        raise PipelineError(f"{jar.file_name} has SHA-256 {found}, the lock says {jar.sha256}: do not use this mirror")
    temporary = target.with_suffix(".part")
    shutil.copyfile(source, temporary)
    temporary.replace(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
