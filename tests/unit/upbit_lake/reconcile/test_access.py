"""Rights in Kafka: what the contract grants, and how a difference is named."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest

from upbit_lake.contract.model import Contract, ContractError
from upbit_lake.contract.reader import parse_contract
from upbit_lake.engines.kafka.admin import Right
from upbit_lake.reconcile.access import differences, wanted_rights


def granted(contract: Contract, principal: str) -> set[tuple[str, str, bool, str]]:
    """(resource, name, whether all names are meant that begin so, operation)."""
    rights = wanted_rights(contract)
    return {(r.resource, r.name, r.prefixed, r.operation) for r in rights if r.principal == f"User:{principal}"}


def test_the_ingester_writes_the_topics_and_does_nothing_else(contract: Contract) -> None:
    topics = (*(stream.topic for stream in contract.streams.values()), "upbit-dead-letter")
    assert granted(contract, "ingester") == {("topic", name, False, "write") for name in topics}


def test_flink_reads_the_topics_and_its_groups_and_does_nothing_else(contract: Contract) -> None:
    topics = {("topic", name, False, "read") for name in contract.topics}
    assert granted(contract, "flink") == topics | {("group", "upbit-lake-", True, "read")}


def test_the_control_plane_writes_dead_letters_only_and_grants_nothing(contract: Contract) -> None:
    rights = granted(contract, "airflow")
    assert {name for _, name, _, operation in rights if operation == "write"} == {"upbit-dead-letter"}
    assert {operation for kind, _, _, operation in rights if kind == "cluster"} == {"describe"}
    assert "delete" not in {operation for *_, operation in rights}


def test_a_new_stream_needs_no_right_of_its_own(contract: Contract) -> None:
    more = replace(contract, topics={**contract.topics, "upbit-new": contract.topics["upbit-trade"]})
    added = wanted_rights(more) - wanted_rights(contract)
    assert {right.principal for right in added} == {"User:ingester", "User:flink", "User:airflow", "User:reader"}
    assert {right.name for right in added} == {"upbit-new"}


def test_what_is_missing_and_what_is_too_much_is_named(contract: Contract) -> None:
    wanted = wanted_rights(contract)
    write = Right("User:ingester", "write", "topic", "upbit-trade")
    found = differences(contract, (wanted - {write}) | {replace(write, operation="read")})
    assert str(found["ingester"]) == "may not write topic upbit-trade, may read topic upbit-trade"
    assert not found["ingester"].new
    assert {str(found[name]) for name in ("flink", "airflow", "reader")} == {""}


def test_a_principal_without_any_right_is_new_and_strangers_are_not_judged(contract: Contract) -> None:
    stranger = replace(contract, access={"ui": replace(contract.access["flink"], name="ui")})
    found = differences(contract, wanted_rights(stranger))
    assert set(found) == {"ingester", "flink", "airflow", "reader"}
    assert all(difference.new and not difference.extra for difference in found.values())


def test_an_unknown_operation_is_refused_by_its_principal(contract: Contract) -> None:
    data = tomllib.loads((contract.root / "pipeline.toml").read_text(encoding="utf-8"))
    data["access"]["flink"]["topics"] = ["raed"]
    with pytest.raises(ContractError, match=r"access\.flink: unknown operation 'raed'; did you mean 'read'"):
        parse_contract(data)
