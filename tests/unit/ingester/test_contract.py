"""The ingester's reader of pipeline.toml: takes what it needs, refuses what is wrong in that, and nothing else."""

import copy
import tomllib
from typing import Any

import pytest

from upbit_ingester import contract

DOCUMENT: dict[str, Any] = tomllib.loads(contract.DEFAULT_PATH.read_text(encoding="utf-8"))


def test_reads_the_topics_of_the_repository() -> None:
    pipeline = contract.load(contract.DEFAULT_PATH)
    topics = {name: stream.topic for name, stream in pipeline.streams.items()}
    assert topics.items() >= {"ticker": "upbit-ticker", "trade": "upbit-trade", "orderbook": "upbit-orderbook"}.items()
    assert pipeline.dead_letter_topic == "upbit-dead-letter"


def special(stream: contract.Stream) -> tuple[bool, bool, int, bool]:
    return stream.sheddable, stream.expires, stream.quiet_after_s, stream.refetch


def test_what_is_special_about_a_stream_is_as_it_was_where_its_section_does_not_say_it() -> None:
    document = copy.deepcopy(DOCUMENT)
    for name in ("ticker", "trade", "orderbook"):
        document["streams"][name] = {"topic": f"upbit-{name}"}
    document["streams"]["candle.1s"] = {"topic": "upbit-candle-1s"}
    pipeline = contract.parse(document)
    assert {name: special(stream) for name, stream in pipeline.streams.items()} == {
        "ticker": (False, True, 3600, False),
        "trade": (False, False, 3600, True),
        "orderbook": (True, True, 120, False),
        "candle.1s": (False, False, 3600, False),
    }
    assert pipeline.trades == pipeline.streams["trade"]


def test_the_section_says_what_is_special_about_a_stream() -> None:
    document = copy.deepcopy(DOCUMENT)
    del document["streams"]["trade"]
    document["streams"]["fills"] = {
        "topic": "t",
        "sheddable": True,
        "expires": True,
        "quiet_after_s": 5,
        "refetch": "trades",
    }
    document["streams"]["orderbook"] |= {"sheddable": False, "expires": False, "quiet_after_s": 9}
    pipeline = contract.parse(document)
    assert special(pipeline.streams["fills"]) == (True, True, 5, True)
    assert special(pipeline.streams["orderbook"]) == (False, False, 9, False)
    assert pipeline.trades == pipeline.streams["fills"]


def test_a_contract_may_have_no_trades() -> None:
    document = copy.deepcopy(DOCUMENT)
    del document["streams"]["trade"]
    assert contract.parse(document).trades is None


@pytest.mark.parametrize(
    ("path", "key", "value", "message"),
    [
        (("streams", "ticker"), "expires", 1, "streams.ticker.expires: must be true or false"),
        (("streams", "ticker"), "sheddable", "yes", "streams.ticker.sheddable: must be true or false"),
        (
            ("streams", "ticker"),
            "quiet_after_s",
            True,
            "streams.ticker.quiet_after_s: must be a whole number of seconds, 1 or more",
        ),
        (
            ("streams", "ticker"),
            "quiet_after_s",
            0,
            "streams.ticker.quiet_after_s: must be a whole number of seconds, 1 or more",
        ),
        (("streams", "trade"), "refetch", "candles", 'streams.trade.refetch: must be "trades", or be left out'),
        (
            ("streams", "ticker"),
            "refetch",
            "trades",
            "streams.trade.refetch: only one stream holds the trades, ticker does",
        ),
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
