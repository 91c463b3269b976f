"""`./pipeline lock`: resolves every requirement again and writes the lock files. For maintainers."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

from rich.console import Console

from local.errors import PipelineError, last_words
from local.home.places import Places
from local.software.self_install import SUPPORTED

WITH_DEPENDENCIES = (
    ".",
    "ingester",
    "exchange",
    "local",
    "local/java",
    "local/flink-build",
    "local/bench/cryptofeed",
    "deploy/images/minio",
    "tests",
)
ALONE = ("flink",)
JARS = ("local/kafka", "flink")


def lock_everything(places: Places, console: Console) -> None:
    """Raises PipelineError when a set does not resolve."""
    for folder in (*WITH_DEPENDENCIES, *ALONE):
        _lock_python(places, folder, alone=folder in ALONE)
        console.print(f"  {folder}/requirements.lock")
    for folder in JARS:
        _lock_jars(places, places.repository / folder)
        console.print(f"  {folder}/jars.lock")


def _run(command: list[str], where: Path) -> None:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PipelineError(f"{Path(command[0]).name} in {where}: {last_words(done)}")


def _lock_python(places: Places, folder: str, *, alone: bool) -> None:
    command = [
        str(places.venv("local") / "bin" / "uv"), "pip", "compile", "--quiet", "--generate-hashes", "--upgrade",
        "--universal", "--python-version", SUPPORTED[-1], "--no-emit-index-url", "--no-annotate", "--no-header",
        "-o", "requirements.lock", "requirements.txt",
    ]  # fmt: skip
    _run([*command, *(["--no-deps"] if alone else [])], places.repository / folder)


def _lock_jars(places: Places, folder: Path) -> None:
    work = places.parts / "jgo" / folder.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    jgo = [
        str(places.venv("local") / "bin" / "jgo"), "--resolver", "python", "--system-java", "--quiet",
        "--repo-cache", str(places.parts / "m2"), "--cache-dir", str(work), "sync",
    ]  # fmt: skip
    _run(jgo, folder)
    with (work / "jgo.lock.toml").open("rb") as handle:
        found = tomllib.load(handle)["dependencies"]
    lines = sorted((d["groupId"], d["artifactId"], d["version"], d["sha256"]) for d in found)
    (folder / "jars.lock").write_text("".join(f"{sha} {g}:{a}:{v}\n" for g, a, v, sha in lines))
