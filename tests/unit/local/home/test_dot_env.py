from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from local.errors import PipelineError
from local.home.credentials import Credentials
from local.home.dot_env import write

NAMES = {
    *(field.name.upper() for field in fields(Credentials)),
    *("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
}


def test_every_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert "made" in write(path)
    made = path.read_text()
    assert {line.partition("=")[0] for line in made.splitlines()} == NAMES
    assert all(line.partition("=")[2] for line in made.splitlines())
    assert path.stat().st_mode & 0o777 == 0o600
    assert write(path) == f"{path} holds every secret"
    assert path.read_text() == made


def test_what_is_there_stays_and_what_is_missing_is_added(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.touch(mode=0o600)
    path.write_text("# by hand\nUPBIT_CODES=KRW-BTC\nPOSTGRES_PASSWORD=chosen")
    assert "added" in write(path)
    text = path.read_text()
    assert text.startswith("# by hand\nUPBIT_CODES=KRW-BTC\nPOSTGRES_PASSWORD=chosen\n")
    assert text.count("POSTGRES_PASSWORD=") == 1
    assert {line.partition("=")[0] for line in text.splitlines()} >= NAMES


def test_the_local_exchange_is_the_source_when_asked(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    write(path)
    assert "exchange" not in path.read_text()
    write(path, exchange=True)
    assert "COMPOSE_PROFILES=exchange\nUPBIT_WEBSOCKET_URL=ws://exchange:" in path.read_text()


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.touch(mode=0o600)
    path.write_text("POSTGRES_PASSWORD=\n")
    with pytest.raises(PipelineError, match="POSTGRES_PASSWORD is empty: give it a value, or delete its line"):
        write(path)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.touch(mode=0o644)
    with pytest.raises(PipelineError, match="can be read by others"):
        write(path)
