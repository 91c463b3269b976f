"""The contract is read strictly: each refusal names the key's path and a cure."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from upbit_lake.contract.model import CONTRACT_FILE, ContractError
from upbit_lake.contract.reader import load_contract, parse_contract

# The contract of commit 8afb9c2. Its keys are required; a key that came after it has a default.
FIRST = CONTRACT_FILE.parent / "tests" / "fixtures" / "8afb9c2" / "pipeline.toml"


def data(file: Path = CONTRACT_FILE) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def test_the_repository_s_contract_is_valid() -> None:
    contract = load_contract()
    assert {"ticker", "trade", "orderbook"} <= set(contract.streams)
    assert contract.topics["upbit-trade"].config["min.insync.replicas"] == "2"
    assert contract.streams["trade"].key == ("code", "sequential_id")
    assert contract.topics_of_job("trade") == ("upbit-trade", "upbit-dead-letter")


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
        (("streams", "trade", "snapshots"), "none", "streams.trade.snapshots: must be 'never' or 'recent', not 'none'"),
        (("streams", "trade", "refetch"), "candles", "streams.trade.refetch: must be 'trades', not 'candles'"),
        (("streams", "orderbook", "refetch"), "trades", "streams.orderbook.refetch: only one stream holds the trades"),
        (("streams", "trade", "sheddable"), 1, "streams.trade.sheddable: must be bool, not int"),
        (("streams", "trade", "quiet_after_s"), True, "streams.trade.quiet_after_s: must be int, not bool"),
        (
            ("derived", "candle_1m", "from"),
            "tade",
            "derived.candle_1m.from: 'tade' is not a stream; add [streams.…]",
        ),
        (("derived", "candle_1m", "source"), "trade", "derived.candle_1m.source: unknown key"),
        (
            ("derived", "candles"),
            {"from": "trade", "time": "x"},
            "derived.candles: no such table; add [tables.candles]",
        ),
        (("derived", "ticker"), {"from": "trade", "time": "x"}, "derived.ticker: no file sql/maintenance/exact_ticker"),
        (("derived",), {}, "tables.candle_1m: no stream is stored in it; add [derived.candle_1m]"),
        (("derived",), "x", "derived: must be a table"),
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


def test_what_is_special_about_the_first_streams_needs_no_key() -> None:
    first, today = parse_contract(data(FIRST)), load_contract()
    assert first.streams == {name: today.streams[name] for name in first.streams}
    assert first.derived == {name: today.derived[name] for name in first.derived}


def test_another_stream_s_special_keys_have_defaults_of_no_consequence() -> None:
    changed = data(FIRST)
    changed["streams"]["candle.1s"] = {**changed["streams"]["ticker"], "time": "candle_time"}
    stream = parse_contract(changed).streams["candle.1s"]
    assert (stream.snapshots, stream.sheddable, stream.expires, stream.refetch) == ("recent", False, False, None)
    assert stream.quiet_after_s == 3600


def test_a_name_with_a_dot_is_kept_quoted_in_paths_and_spelled_for_sql() -> None:
    changed = data(FIRST)
    changed["streams"]["candle.1s"] = dict(changed["streams"]["ticker"])
    stream = parse_contract(changed).streams["candle.1s"]
    assert (stream.name, stream.sql_name) == ("candle.1s", "candle_1s")
    changed["streams"]["candle.1s"]["topik"] = "x"
    with pytest.raises(ContractError, match=r'^streams\."candle\.1s"\.topik: unknown key'):
        parse_contract(changed)


def test_what_is_computed_knows_its_source_and_its_time() -> None:
    contract = load_contract()
    assert contract.source_table("candle_1m") == "trade"
    assert contract.derived_from("trade") == ["candle_1m"]
    assert contract.source_table("trade") is None
    times = {table: contract.time_column(table) for table in ("candle_1m", "trade", "dead_letter")}
    assert times == {"candle_1m": "candle_start", "trade": "trade_timestamp", "dead_letter": None}


def test_without_its_stream_nothing_is_computed() -> None:
    changed = data(FIRST)
    for section, name in (("streams", "trade"), ("tables", "candle_1m"), ("tables", "trade")):
        del changed[section][name]
    assert parse_contract(changed).derived == {}
