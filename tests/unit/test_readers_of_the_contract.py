"""Every reader of pipeline.toml takes the contract of commit 8afb9c2, and only one refuses what no reader knows.

`tests/fixtures/8afb9c2/pipeline.toml` is that commit's file, unchanged (`git show 8afb9c2:pipeline.toml`).
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local import contract as local_contract
from local.home.places import REPOSITORY
from upbit_exchange import settings as exchange_settings
from upbit_ingester import settings as ingester_settings
from upbit_lake.contract.model import ContractError
from upbit_lake.contract.reader import FIRST_DERIVED, load_contract, parse_contract

TODAY = REPOSITORY / "pipeline.toml"
FIRST = REPOSITORY / "tests" / "fixtures" / "8afb9c2" / "pipeline.toml"


def read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`below` with every value that `above` gives."""
    nested = {key: overlaid(below[key], value) for key, value in above.items() if isinstance(below.get(key), dict)}
    return {**below, **above, **nested}


def without_later_names(today: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    """`today` without the streams, topics, tables and jobs that were added since."""
    named = ("streams", "topics", "tables", "jobs")
    return {**today, **{part: {name: today[part][name] for name in first[part]} for part in named}}


def ingester(path: Path, folder: Path) -> ingester_settings.Settings:
    return ingester_settings.load(
        {
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "INGESTER_SPOOL_DIR": str(folder / "spool"),
            "PIPELINE_CONTRACT": str(path),
        }
    )


def test_the_contract_of_8afb9c2_means_what_it_meant_a_new_key_has_today_s_value_as_its_default(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_bytes(FIRST.read_bytes())
    (tmp_path / "sql").symlink_to(REPOSITORY / "sql")
    whole = parse_contract(overlaid(without_later_names(read(TODAY), read(FIRST)), read(FIRST)), tmp_path.resolve())
    assert load_contract(tmp_path / "pipeline.toml") == whole


def test_the_ingester_reads_the_contract_of_8afb9c2(tmp_path: Path) -> None:
    first, today = ingester(FIRST, tmp_path), ingester(TODAY, tmp_path)
    streams = {name: today.contract.streams[name] for name in first.contract.streams}
    assert first == replace(today, contract=replace(today.contract, streams=streams), streams=tuple(streams))


@pytest.mark.parametrize("path", [FIRST, TODAY])
def test_ingester_and_control_plane_agree_on_what_is_special_about_a_stream(path: Path, tmp_path: Path) -> None:
    read_by_both = {
        name: (stream.topic, stream.sheddable, stream.expires, stream.quiet_after_s, stream.refetch == "trades")
        for name, stream in parse_contract(read(path)).streams.items()
    }
    assert read_by_both == {
        name: (stream.topic, stream.sheddable, stream.expires, stream.quiet_after_s, stream.refetch)
        for name, stream in ingester(path, tmp_path).contract.streams.items()
    }


def test_the_runner_reads_the_contract_of_8afb9c2() -> None:
    for of in (local_contract.read_streams, local_contract.read_buckets):
        first: list[Any] = of(FIRST)
        assert [item for item in of(TODAY) if item in first] == first
    assert local_contract.read_derived(FIRST) == {"candle_1m": "trade"}


def test_runner_and_control_plane_agree_on_what_is_computed_from_what() -> None:
    derived = load_contract(TODAY).derived
    assert local_contract.read_derived(TODAY) == {name: item.source for name, item in derived.items()}
    first = {name: {"from": item["from"]} for name, item in FIRST_DERIVED.items()}
    assert first == local_contract.FIRST_DERIVED


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """Today's contract with a section and keys that no reader knows."""
    text = TODAY.read_text(encoding="utf-8") + '\n[serving]\nendpoint = "x"\n'
    text, count = re.subn(r"(?m)^(\[streams\.[^\]]+\]|\[dead_letter\])$", r'\1\ncolour = "red"', text)
    assert count == len(read(TODAY)["streams"]) + 1
    path = tmp_path / "pipeline.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_new_section_or_key_stops_neither_ingester_nor_runner_nor_exchange(extended: Path, tmp_path: Path) -> None:
    assert ingester(extended, tmp_path) == ingester(TODAY, tmp_path)
    assert local_contract.read_streams(extended) == local_contract.read_streams(TODAY)
    ledger = {"EXCHANGE_LEDGER": str(tmp_path / "ledger")}
    exchange = exchange_settings.load([], ledger | {"PIPELINE_CONTRACT": str(extended)}, 0)
    assert exchange == exchange_settings.load([], ledger, 0)


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        ("", r"^serving: unknown key; known here: lake,"),
        ('\n[serving]\nendpoint = "x"\n', r"^streams\.ticker\.colour: unknown key; known here: topic,"),
    ],
)
def test_the_control_plane_s_reader_judges_the_whole(extended: Path, cut: str, said: str) -> None:
    extended.write_text(extended.read_text(encoding="utf-8").replace(cut, ""), encoding="utf-8")
    with pytest.raises(ContractError, match=said):
        load_contract(extended)
