"""Requests, errors and lists of the WebSocket, text by text."""

import json

import pytest

from upbit_exchange.wire import requests
from upbit_exchange.wire.requests import ListRequest, Ping, RequestError, Subscription, Wish

TICKET = {"ticket": "t"}


def parse(*items: object) -> requests.Request:
    return requests.parse(json.dumps(items))


def test_a_whole_request() -> None:
    request = parse(
        TICKET,
        {"type": "trade", "codes": ["KRW-BTC", "KRW-ETH"], "is_only_realtime": True},
        {"type": "orderbook", "codes": ["KRW-BTC.15", "KRW-ETH.20"]},
        {"type": "orderbook", "codes": ["KRW-BTC"], "level": 10000},
        {"type": "ticker", "codes": ["KRW-BTC"], "isOnlySnapshot": True, "level": 7},
        {"type": "candle.240m", "codes": ["KRW-BTC"]},
        {"format": "SIMPLE_LIST"},
    )
    assert request == Subscription(
        "t",
        (
            Wish("trade", {"KRW-BTC": 30, "KRW-ETH": 30}, snapshot=False),
            Wish("orderbook", {"KRW-BTC": 15, "KRW-ETH": 30}),
            Wish("orderbook", {"KRW-BTC": 30}, level=10000),
            Wish("ticker", {"KRW-BTC": 30}, realtime=False),
            Wish("candle.240m", {"KRW-BTC": 30}),
        ),
        "SIMPLE_LIST",
    )


def test_format_may_be_missing_or_stand_second() -> None:
    wish = {"type": "trade", "codes": ["KRW-BTC"]}
    missing, second = parse(TICKET, wish), parse(TICKET, {"format": "SIMPLE"}, wish)
    assert isinstance(missing, Subscription)
    assert isinstance(second, Subscription)
    assert (missing.format, second.format) == ("DEFAULT", "SIMPLE")


NO_TICKET = '{"error":{"name":"NO_TICKET","message":"티켓이 존재하지 않거나, 유효하지 않습니다."}}'
NO_TYPE = '{"error":{"message":"type 필드가 존재하지 않습니다.","name":"NO_TYPE"}}'
NO_CODES = '{"error":{"message":"codes 필드가 존재하지 않습니다.","name":"NO_CODES"}}'
EMPTY_CODES = '{"error":{"message":"codes 필드가 비어 있습니다.","name":"INVALID_PARAM"}}'
UNKNOWN = '{"error":{"message":"nope 은 지원하지 않는 타입입니다.","name":"INVALID_PARAM"}}'
WRONG_FORMAT = '{"error":{"message":"Format 이 맞지 않습니다.","name":"WRONG_FORMAT"}}'


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ('[{"type":"trade","codes":["KRW-BTC"]}]', NO_TICKET),
        ('[{"ticket":"t"}]', NO_TYPE),
        ('[{"ticket":"t"},{"codes":["KRW-BTC"]}]', NO_TYPE),
        ('[{"ticket":"t"},{"type":"trade"}]', NO_CODES),
        ('[{"ticket":"t"},{"type":"trade","codes":[]}]', EMPTY_CODES),
        ('[{"ticket":"t"},{"type":"nope","codes":["KRW-BTC"]}]', UNKNOWN),
        ('[{"ticket":"t"},{"type":"candle.2m","codes":["KRW-BTC"]}]', UNKNOWN.replace("nope", "candle.2m")),
        ("hello", WRONG_FORMAT),
        ('{"ticket":"t"}', WRONG_FORMAT),
        ('["ticket"]', WRONG_FORMAT),
        ('[{"ticket":"t"},{"type":"trade","codes":"KRW-BTC"}]', WRONG_FORMAT),
        ('[{"ticket":"t"},{"type":"trade","codes":["KRW-BTC"]},{"format":"XML"}]', WRONG_FORMAT),
        (b"\xff\xfe", WRONG_FORMAT),
    ],
)
def test_error_frames_are_the_wire_s(message: str | bytes, frame: str) -> None:
    with pytest.raises(RequestError) as refused:
        requests.parse(message)
    assert refused.value.frame.decode() == frame


def test_ping() -> None:
    assert requests.parse("PING") == requests.parse(b"PING") == Ping()


def test_list_subscriptions() -> None:
    request = parse({"ticket": "x"}, {"method": "LIST_SUBSCRIPTIONS"}, {"format": "SIMPLE"})
    assert request == ListRequest("x", "SIMPLE")
    running = parse(
        TICKET, {"type": "ticker", "codes": ["KRW-BTC"]}, {"type": "orderbook", "codes": ["KRW-ETH"], "level": 0}
    )
    assert isinstance(running, Subscription)
    assert isinstance(request, ListRequest)
    assert requests.listing(request, running, "DEFAULT").decode() == (
        '{"method":"LIST_SUBSCRIPTIONS","result":[{"type":"ticker","codes":["KRW-BTC"]},'
        '{"type":"orderbook","codes":["KRW-ETH"],"level":0}],"ticket":"x"}'
    )
    assert requests.listing(request, running, "SIMPLE").decode() == (
        '{"mthd":"LIST_SUBSCRIPTIONS","rslt":[{"ty":"ticker","cds":["KRW-BTC"]},'
        '{"ty":"orderbook","cds":["KRW-ETH"],"lv":0}],"tckt":"x"}'
    )
    assert requests.listing(request, None, "JSON_LIST").startswith(b"[{")
