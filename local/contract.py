"""The runner's own reader of pipeline.toml: it shows streams, and leaves the rest to the control plane's reader."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from local.errors import PipelineError, last_words
from local.places import Places

# The control plane's reader needs the standard library only, so it can judge before anything is installed.
_JUDGE = """
import sys
from upbit_lake.contract import ContractError, load_contract
try:
    load_contract()
except ContractError as error:
    sys.exit(str(error))
"""


@dataclass(frozen=True)
class Stream:
    """A stream of the contract; see pipeline.toml."""

    name: str
    topic: str
    table: str
    job: str
    key: tuple[str, ...]
    time: str


def refuse_broken(places: Places) -> None:
    """Raises PipelineError naming the key when pipeline.toml is not what every part can read."""
    environment = {**os.environ, "PYTHONPATH": str(places.repository / "plugins")}
    done = subprocess.run([sys.executable, "-c", _JUDGE], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        where = f"{places.repository / 'pipeline.toml'}: "
        raise PipelineError(where + last_words(done).removeprefix(where))


def read_streams(path: Path) -> list[Stream]:
    """Raises PipelineError naming the key's path when one is missing or unknown."""
    try:
        with path.open("rb") as handle:
            sections: dict[str, dict[str, Any]] = tomllib.load(handle)["streams"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise PipelineError(f"{path}: no readable [streams]: {error}; restore it from git") from None
    return [_stream(path, name, section) for name, section in sections.items()]


def read_buckets(path: Path) -> list[str]:
    """The names of the buckets."""
    with path.open("rb") as handle:
        return sorted(tomllib.load(handle)["buckets"])


def read_jobs(path: Path) -> list[str]:
    """The names under which Flink runs the streaming jobs."""
    with path.open("rb") as handle:
        contract = tomllib.load(handle)
    return [f"{contract['lake']['database']} {job}" for job in sorted(contract["jobs"])]


def _stream(path: Path, name: str, section: dict[str, Any]) -> Stream:
    known = {f.name for f in fields(Stream)} - {"name"}
    wrong = sorted(set(section) ^ known)
    if wrong:
        verb = "unknown" if wrong[0] in section else "missing"
        raise PipelineError(f"{path}: streams.{name}.{wrong[0]} is {verb}: a stream has {', '.join(sorted(known))}")
    return Stream(name, **{**section, "key": tuple(section["key"])})
