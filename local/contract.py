"""The runner's own reader of pipeline.toml: it reads what it shows; the control plane's reader judges it all."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from local import door
from local.errors import PipelineError
from local.home.places import Places

# What was computed from which stream before the contract said it.
FIRST_DERIVED = {"candle_1m": {"from": "trade"}}


@dataclass(frozen=True)
class Stream:
    """What the runner shows of a stream of the contract; see pipeline.toml."""

    name: str
    topic: str
    table: str


def refuse_broken(places: Places) -> None:
    """Raises PipelineError naming the key when pipeline.toml is not what every part can read."""
    try:
        # It needs the standard library only, so it judges before anything is installed.
        door.bare(places).ask("contract")
    except PipelineError as error:
        where = f"{places.repository / 'pipeline.toml'}: "
        raise PipelineError(where + str(error).removeprefix(where)) from None


def read_streams(path: Path) -> list[Stream]:
    """The streams of the contract, in its order. Raises PipelineError naming the path of a key that is missing."""
    try:
        with path.open("rb") as handle:
            sections: dict[str, dict[str, Any]] = tomllib.load(handle)["streams"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise PipelineError(f"{path}: no readable [streams]: {error}; restore it from git") from None
    return [_stream(path, name, section) for name, section in sections.items()]


def read_derived(path: Path) -> dict[str, str]:
    """The stream that each computed table comes from, by table."""
    with path.open("rb") as handle:
        contract = tomllib.load(handle)
    first = {
        name: FIRST_DERIVED[name]
        for name in FIRST_DERIVED
        if name in contract["tables"] and FIRST_DERIVED[name]["from"] in contract["streams"]
    }
    return {name: str(section["from"]) for name, section in contract.get("derived", first).items()}


def read_buckets(path: Path) -> list[str]:
    """The names of the buckets."""
    with path.open("rb") as handle:
        return sorted(tomllib.load(handle)["buckets"])


def read_parallelism(path: Path) -> int:
    """The slots that the streaming jobs take together."""
    with path.open("rb") as handle:
        return sum(int(job["parallelism"]) for job in tomllib.load(handle)["jobs"].values())


def _stream(path: Path, name: str, section: dict[str, Any]) -> Stream:
    wanted = [f.name for f in fields(Stream) if f.name != "name"]
    for key in wanted:
        if key not in section:
            close = difflib.get_close_matches(key, section, 1)
            hint = f"did you mean it by {close[0]!r}?" if close else f"the runner reads {', '.join(wanted)}"
            raise PipelineError(f"{path}: streams.{name}.{key} is missing: {hint}")
    return Stream(name, **{key: section[key] for key in wanted})
