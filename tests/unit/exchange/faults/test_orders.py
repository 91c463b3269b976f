"""Which faults can be ordered, and how nonsense is refused."""

import pytest

from upbit_exchange.faults.catalogue import KINDS, FaultError, order

CODES = ("KRW-BTC", "KRW-ETH", "KRW-XRP")


@pytest.mark.parametrize("name", KINDS)
def test_every_fault_can_be_ordered_with_its_name_alone(name: str) -> None:
    given = {
        "set": name,
        **({"code": "KRW-NEW"} if name == "list" else {"code": "KRW-BTC"} if name == "delist" else {}),
    }
    assert order(given, CODES).name == name


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "fault '' is unknown; /_local/faults/kinds lists them"),
        ({"set": "clos"}, "is it close"),
        ({"set": "close", "close_code": "1006"}, "close_code 1006 is none that a close frame may carry"),
        ({"set": "close", "close_code": "12"}, "close_code '12' is not a whole number from 1000 to 4999"),
        ({"set": "close", "wait": "3"}, "close takes no 'wait'; it takes close_code, code, count, duration, every"),
        ({"set": "drop", "count": "1.5"}, "count '1.5' is not a whole number"),
        ({"set": "drop", "every": "nan"}, "every 'nan' is not a number from 0.01"),
        ({"set": "silence", "code": "krw-btc"}, "code 'krw-btc' is not listed"),
        ({"set": "silence", "stream": "trades"}, "silence is for stream ticker, trade, orderbook, candle.1s"),
        ({"set": "microseconds", "stream": "trade"}, "microseconds is for stream orderbook; not for 'trade'"),
        ({"set": "bad_json", "stream": "candle.1m"}, "bad_json is for stream ticker, trade, orderbook; not"),
        ({"set": "handshake", "status": "500"}, "status '500' is none of 429, 418, 403, 503"),
        ({"set": "handshake", "stream": "trade"}, "handshake takes no 'stream'"),
        ({"set": "removed", "field": "Trade Price"}, "field 'Trade Price' is not the name of a field"),
        ({"set": "list"}, "list needs code=KRW-…"),
        ({"set": "list", "code": "KRW-BTC"}, "code 'KRW-BTC' cannot be listed"),
        ({"set": "list", "code": "KRW-"}, "code 'KRW-' cannot be listed"),
        ({"set": "delist", "code": "KRW-NEW"}, "code 'KRW-NEW' is not listed"),
    ],
)
def test_nonsense_is_refused_in_one_line_that_says_what_to_do(given: dict[str, object], says: str) -> None:
    with pytest.raises(FaultError) as refused:
        order(given, CODES)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_in_a_recording_nothing_can_be_made_to_happen() -> None:
    for name, kind in KINDS.items():
        if kind.acts in ("market", "listing"):
            with pytest.raises(FaultError, match="needs a market"):
                order({"set": name}, CODES, replayed=True)
    assert order({"set": "silence"}, CODES, replayed=True)
