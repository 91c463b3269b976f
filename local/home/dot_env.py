"""The secrets of the containers, and their source: `.env` beside docker-compose.yml, read by Compose alone."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from local.errors import PipelineError
from local.home.credentials import generate
from local.home.files import read_private, replace_private

# The local exchange is a service of its own profile, and the ingester's source.
EXCHANGE = {
    "COMPOSE_PROFILES": "exchange",
    "UPBIT_WEBSOCKET_URL": "ws://exchange:18070/websocket/v1",
    "UPBIT_REST_URL": "http://exchange:18070/v1",
}


def write(path: Path, *, exchange: bool = False) -> str:
    """Makes the file, or adds to it what it lacks; every line that is there stays. Returns one sentence.

    `exchange`: the source is the local exchange, not the live one.

    Raises:
        PipelineError: others can read the file, or a secret in it is empty.
    """
    there = _read(path)
    given = values(there)
    wanted = {**{name.upper(): value for name, value in asdict(generate()).items()}, **_of_containers_alone()}
    empty = [name for name in wanted if given.get(name) == ""]
    if empty:
        raise PipelineError(
            f"{path}: {', '.join(empty)} is empty: give it a value, or delete its line and run this again"
        )
    missing = {name: value for name, value in (wanted | (EXCHANGE if exchange else {})).items() if name not in given}
    if not missing:
        return f"{path} holds every secret"
    if there and not there.endswith("\n"):
        there += "\n"
    replace_private(path, there + "".join(f"{name}={value}\n" for name, value in missing.items()))
    return f"{path}: {'made' if not given else 'added'} {', '.join(missing)}"


def _of_containers_alone() -> dict[str, str]:
    return {"MINIO_ROOT_USER": secrets.token_hex(10), "MINIO_ROOT_PASSWORD": secrets.token_hex(20)}


def _read(path: Path) -> str:
    try:
        return read_private(path)
    except FileNotFoundError:
        return ""


def values(text: str) -> Mapping[str, str]:
    """NAME=VALUE lines; others are empty or begin with #. Nothing is quoted or expanded."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}
