"""The request frame, and the names of the ways a connection ends."""

import json

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

from upbit_ingester.upbit.session import SilenceError, cause_of, refusal, subscription


def refused(status: int, **headers: str) -> InvalidStatus:
    return InvalidStatus(Response(status, "x", Headers(headers), b"Too Many Requests"))


def test_one_request_lists_every_code() -> None:
    request = json.loads(subscription("trade", ("KRW-BTC", "KRW-ETH"), "t1"))
    assert request == [
        {"ticket": "t1"},
        {"type": "trade", "codes": ["KRW-BTC", "KRW-ETH"], "is_only_snapshot": False, "is_only_realtime": False},
        {"format": "DEFAULT"},
    ]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ConnectionClosedOK(Close(1000, ""), Close(1000, ""), True), "close_1000"),
        (ConnectionClosedError(None, None), "close_1006"),
        (ConnectionClosedError(Close(1012, ""), Close(1012, ""), True), "close_1012"),
        (ConnectionClosedError(None, Close(1011, "keepalive ping timeout")), "close_1011"),
        (ConnectionClosedError(None, Close(1009, "too big")), "close_1009"),
        (SilenceError("no data for 45 s"), "silence"),
        (refused(429), "handshake_429"),
        (refused(418), "handshake_418"),
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(), "connect"),
        (ValueError(), "defect"),
    ],
)
def test_every_end_has_a_name(error: Exception, cause: str) -> None:
    assert cause_of(error) == cause


def test_a_refused_handshake_states_how_long_to_stay_away() -> None:
    assert refusal(refused(429, **{"Retry-After": "9"})) == (429, 9)
    assert refusal(refused(418)) == (418, 60)
    assert refusal(refused(503, **{"Retry-After": "9"})) == (503, 0)
    assert refusal(ConnectionRefusedError()) == (0, 0)
