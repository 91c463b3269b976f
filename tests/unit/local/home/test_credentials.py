from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from local.errors import PipelineError
from local.home.credentials import load_or_create, parse
from local.home.places import Places

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
        ("[]", "is not a table of texts"),
        ('{"airflow_password": 1}', "is not a table of texts"),
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


def test_a_home_from_before_kafkas_logins_gets_them_and_keeps_the_rest(places: Places) -> None:
    made = asdict(load_or_create(places))
    older = {name: value for name, value in made.items() if not name.startswith("kafka_") or "cluster" in name}
    places.credentials_file.write_text(json.dumps(older))
    now = asdict(load_or_create(places))
    assert older.items() <= now.items()
    fresh = [now[name] for name in now.keys() - older.keys()]
    assert len(fresh) == len(set(fresh)) == 5
    assert all(fresh)
    assert places.credentials_file.stat().st_mode & 0o777 == 0o600
    assert asdict(load_or_create(places)) == now, "made once"


def test_a_deleted_password_is_made_again_and_an_empty_one_refused(places: Places) -> None:
    made = asdict(load_or_create(places))
    places.credentials_file.write_text(json.dumps({k: v for k, v in made.items() if k != "kafka_flink_password"}))
    now = asdict(load_or_create(places))
    assert [name for name in made if made[name] != now[name]] == ["kafka_flink_password"]
    places.credentials_file.write_text(json.dumps({**made, "kafka_flink_password": ""}))
    with pytest.raises(PipelineError, match="unknown kafka_flink_password:"):
        load_or_create(places)
