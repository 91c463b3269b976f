"""The ingester's reader of pipeline.toml: takes what it needs, refuses what is wrong in that, and nothing else."""

import copy
import tomllib
from typing import Any

import pytest

from upbit_ingester import contract

DOCUMENT: dict[str, Any] = tomllib.loads(contract.DEFAULT_PATH.read_text(encoding="utf-8"))


def test_reads_the_topics_of_the_repository() -> None:
    pipeline = contract.load(contract.DEFAULT_PATH)
    assert {name: stream.topic for name, stream in pipeline.streams.items()} == {
        "ticker": "upbit-ticker",
        "trade": "upbit-trade",
        "orderbook": "upbit-orderbook",
    }
    assert pipeline.dead_letter_topic == "upbit-dead-letter"


@pytest.mark.parametrize(
    ("path", "key", "value", "message"),
    [
        ((), "dead_letter", None, "dead_letter: is missing"),
        (("streams", "trade"), "topic", None, "streams.trade.topic: is missing"),
        (("streams", "trade"), "topic", 5, "streams.trade.topic: must be a text that is not empty"),
        (("dead_letter",), "topic", None, "dead_letter.topic: is missing"),
        ((), "streams", {}, "streams: is empty; at least one stream is needed"),
        ((), "dead_letter", 1, "dead_letter: must be a table"),
    ],
)
def test_refuses_by_the_keys_path(path: tuple[str, ...], key: str, value: object, message: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    section = document
    for name in path:
        section = section[name]
    section[key] = value
    if value is None:
        del section[key]
    with pytest.raises(contract.ContractError) as refused:
        contract.parse(document)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("path", "key", "typo", "message"),
    [
        ((), "streams", "strems", "streams: is missing; did you mean it by 'strems'?"),
        (("streams", "trade"), "topic", "topik", "streams.trade.topic: is missing; did you mean it by 'topik'?"),
        (("dead_letter",), "topic", "topics", "dead_letter.topic: is missing; did you mean it by 'topics'?"),
    ],
)
def test_a_misspelt_key_is_missing_and_what_stands_for_it_is_the_hint(
    path: tuple[str, ...], key: str, typo: str, message: str
) -> None:
    document = copy.deepcopy(DOCUMENT)
    section = document
    for name in path:
        section = section[name]
    section[typo] = section.pop(key)
    with pytest.raises(contract.ContractError) as refused:
        contract.parse(document)
    assert str(refused.value) == message
