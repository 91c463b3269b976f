from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from local.credentials import load_or_create, parse
from local.errors import PipelineError
from local.places import Places

FILE = Path("credentials.json")


def test_secrets_are_made_once_for_their_owner_only(places: Places) -> None:
    made = load_or_create(places)
    assert places.credentials_file.stat().st_mode & 0o777 == 0o600
    assert load_or_create(places) == made


def test_two_homes_share_no_secret(places: Places, tmp_path: Path) -> None:
    other = Places(places.repository, places.parts, tmp_path / "other")
    assert not set(asdict(load_or_create(places)).values()) & set(asdict(load_or_create(other)).values())


def test_kafkas_cluster_id_can_stand_on_a_command_line(places: Places) -> None:
    cluster = load_or_create(places).kafka_cluster_id
    assert len(cluster) == 22
    assert not cluster.startswith("-")


def test_a_file_that_others_can_read_is_refused(places: Places) -> None:
    load_or_create(places)
    places.credentials_file.chmod(0o640)
    with pytest.raises(PipelineError, match="can be read by others: chmod 600"):
        load_or_create(places)


def test_lost_secrets_are_not_replaced_in_a_home_that_was_made_with_them(places: Places) -> None:
    places.home.mkdir()
    places.source_file.write_text("{}")
    with pytest.raises(PipelineError, match="is gone, its home needs it"):
        load_or_create(places)
    assert not places.credentials_file.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("{", "is not JSON"),
        ("[]", "is no table of texts"),
        ('{"airflow_password": 1}', "is no table of texts"),
        ("{}", "empty, missing or unknown airflow_password"),
    ],
)
def test_a_broken_file_is_refused_with_a_cure(text: str, said: str) -> None:
    with pytest.raises(PipelineError, match=f"{said}.*restore it from a backup"):
        parse(FILE, text)


def test_an_empty_and_an_unknown_secret_are_named(places: Places) -> None:
    whole = asdict(load_or_create(places))
    with pytest.raises(PipelineError, match=r"unknown s3_secret_key:"):
        parse(FILE, json.dumps({**whole, "s3_secret_key": ""}))
    with pytest.raises(PipelineError, match=r"unknown nonsense:"):
        parse(FILE, json.dumps({**whole, "nonsense": "x"}))
