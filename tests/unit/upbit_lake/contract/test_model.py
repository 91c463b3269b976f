"""The contract is read strictly: each refusal names the key's path and a cure."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from upbit_lake.contract.model import CONTRACT_FILE, ContractError, load_contract, parse_contract

# The contract of commit 8afb9c2. Its keys are required; a key that came after it has a default.
FIRST = CONTRACT_FILE.parent / "tests" / "fixtures" / "8afb9c2" / "pipeline.toml"


def data(file: Path = CONTRACT_FILE) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def test_the_repository_s_contract_is_valid() -> None:
    contract = load_contract()
    assert set(contract.streams) == {"ticker", "trade", "orderbook"}
    assert contract.topics["upbit-trade"].config["min.insync.replicas"] == "2"
    assert contract.streams["trade"].key == ("code", "sequential_id")
    assert contract.topics_of_job("trade") == ("upbit-trade", "upbit-dead-letter")
    assert contract.table_path("trade") == "lake.upbit.trade"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("streams", "trade", "topik"), "x", "streams.trade.topik: unknown key; did you mean 'topic'?"),
        (("lakes",), {}, "lakes: unknown key; did you mean 'lake'?"),
        (("jobs", "trade", "parallelism"), "1", "jobs.trade.parallelism: must be int, not str"),
        (("jobs", "trade", "parallelism"), True, "jobs.trade.parallelism: must be int, not bool"),
        (("hours", "grace_s"), -1, "hours.grace_s: must not be negative"),
        (("streams", "trade", "key"), [], "streams.trade.key: must be a list with at least one text"),
        (("streams", "trade", "topic"), "nowhere", "streams.trade.topic: 'nowhere' is not defined"),
        (("jobs", "trade", "sql"), "sql/none.sql", "jobs.trade.sql: no file sql/none.sql"),
        (
            ("topics", "upbit-trade", "config", "retention.ms"),
            5,
            'topics.upbit-trade.config."retention.ms": must be str',
        ),
        (("tables", "nothing"), {"retention_d": 1}, "tables.nothing: no file sql/tables/nothing.sql"),
        (("streams", "trade", "name"), "x", "streams.trade.name: unknown key"),
    ],
)
def test_a_wrong_key_or_value_is_named_by_its_path(path: tuple[str, ...], value: Any, message: str) -> None:
    changed = data()
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ContractError) as refused:
        parse_contract(changed)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def _leaves(table: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in table.items():
        if isinstance(value, dict) and key != "config":
            found += _leaves(value, (*path, key))
        elif path[:1] not in (("schedules",),):
            found.append((*path, key))
    return found


@pytest.mark.parametrize("path", _leaves(data(FIRST)), ids=".".join)
def test_every_key_is_required(path: tuple[str, ...]) -> None:
    changed = data(FIRST)
    place = changed
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    with pytest.raises(ContractError, match="missing key"):
        parse_contract(changed)
