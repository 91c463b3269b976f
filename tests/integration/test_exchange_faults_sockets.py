"""Faults of sockets, handshakes and SNAPSHOTs as a client of the local exchange sees them."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.fault_scene import CODES, OPTIONS, ended, subscribed, until
from tests.integration.local_exchange import (
    STREAMS,
    Exchange,
    ask,
    awaited,
    received,
    silent,
    socket_to,
)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 4000])
def test_a_close_with_any_code(exchange: Exchange, code: int) -> None:
    with subscribed(exchange) as client:
        exchange.faults.set("close", close_code=code)
        closed = ended(client)
    assert closed.rcvd is not None
    assert closed.rcvd.code == code
    assert exchange.status()["faults"] == exchange.faults.counts() == {"close": 1}


def test_an_error_frame_then_close_1000(exchange: Exchange) -> None:
    with subscribed(exchange) as client:
        exchange.faults.set("error_close")
        last = until(client, lambda frame: b'"error"' in frame)[-1]
        assert json.loads(last)["error"]["name"] == "INTERNAL_ERROR"
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


def test_a_drop_has_no_close_frame_a_reset_is_a_reset(exchange: Exchange) -> None:
    for name in ("drop", "reset"):
        with subscribed(exchange) as client:
            exchange.faults.set(name)
            closed = ended(client)
        assert closed.rcvd is None
        assert isinstance(closed.__cause__, ConnectionResetError) == (name == "reset")


def test_only_the_oldest_socket_of_the_stream_is_struck(exchange: Exchange) -> None:
    codes = exchange.codes()
    with socket_to(exchange) as ticker, socket_to(exchange) as first, socket_to(exchange) as second:
        for client, stream in ((ticker, "ticker"), (first, "trade"), (second, "trade")):
            ask(client, {"type": stream, "codes": codes})
            received(client, CODES)
        exchange.faults.set("drop", stream="trade")
        assert ended(first).rcvd is None
        received(second, 20)
        received(ticker, 20)


def test_half_open_neither_data_nor_pong_nor_close_and_the_next_socket_is_served(exchange: Exchange) -> None:
    with subscribed(exchange) as client:
        exchange.faults.set("half_open")
        exchange.faults.acted("half_open")
        awaited(lambda: silent(client))
        assert not client.ping().wait(1)
        assert silent(client)
        with subscribed(exchange) as other:
            received(other, 50)
        began = time.monotonic()
        client.close()  # no answer either: the client gives up after its close_timeout
        assert time.monotonic() - began >= 1


def test_every_so_many_seconds_every_socket(exchange: Exchange) -> None:
    exchange.faults.set("drop", every=0.5, count=0)
    for _ in range(3):
        with socket_to(exchange) as client:
            assert ended(client).rcvd is None
    exchange.faults.clear("drop")
    with subscribed(exchange) as client:
        received(client, 100)
    assert exchange.faults.counts()["drop"] == 3


@pytest.mark.parametrize(
    ("options", "status", "retry_after", "says"),
    [
        ({"status": 429}, 429, None, b"Too many API requests."),
        ({"status": 418, "wait": 30}, 418, "30", b"teapot"),
        ({"status": 418, "wait": 30, "stated": "body"}, 418, None, b"30 seconds"),
        ({"status": 403}, 403, None, b"Forbidden"),
        ({"status": 503}, 503, None, b"Unavailable"),
    ],
)
def test_handshakes_are_refused_in_plain_text(
    exchange: Exchange, options: dict[str, Any], status: int, retry_after: str | None, says: bytes
) -> None:
    exchange.faults.set("handshake", count=1, **options)
    with pytest.raises(InvalidStatus) as refusal:
        socket_to(exchange)
    response = refusal.value.response
    assert (response.status_code, response.headers.get("Retry-After")) == (status, retry_after)
    assert response.headers["Content-Type"].startswith("text/plain")
    assert response.body is not None
    assert says in response.body
    with subscribed(exchange):
        assert exchange.faults.counts() == {"handshake": 1}


def test_snapshots_missing_and_slow(exchange: Exchange) -> None:
    codes = exchange.codes()
    exchange.faults.set("snapshot_missing", stream="trade", code=codes[0])
    exchange.faults.set("snapshot_slow", stream="ticker", code=codes[1], ms=800)
    with socket_to(exchange) as client:
        began = time.monotonic()
        ask(client, *({"type": stream, "codes": codes, "is_only_snapshot": True} for stream in STREAMS))
        shown = [(s["type"], s["code"]) for s in map(json.loads, received(client, 3 * CODES - 1))]
        assert time.monotonic() - began >= 0.8
        assert silent(client)
    assert shown[-1] == ("ticker", codes[1])
    assert {(stream, code) for stream in STREAMS for code in codes} - set(shown) == {("trade", codes[0])}


def test_the_idle_timeout_can_change(start: Callable[..., Exchange]) -> None:
    exchange = start(*OPTIONS, "--idle-timeout", "600")
    with socket_to(exchange) as client:
        exchange.faults.set("idle_timeout", seconds=1)
        assert ended(client).rcvd is None


def test_a_socket_that_never_completes_its_handshake_disturbs_no_other(exchange: Exchange) -> None:
    with socket.create_connection(("127.0.0.1", exchange.port)):
        exchange.faults.set("drop", count=0, every=0.1, duration=1)
        exchange.faults.ended()
        with subscribed(exchange) as client:
            received(client, 20)
