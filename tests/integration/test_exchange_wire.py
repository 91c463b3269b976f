"""The local exchange as a process, its wire seen by an independent client (`websockets`) and plain HTTP."""

import json
import signal
import socket
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.integration.local_exchange import (
    STREAMS,
    Exchange,
    ask,
    awaited,
    everything,
    received,
    silent,
    socket_to,
)
from upbit_exchange.journal import ledger

CODES = 6
OPTIONS = ("--codes", str(CODES), "--rate", "200")


def test_the_clock_waits_for_a_full_audience_over_several_sockets(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", str(CODES), "--start", "2026-01-02T03:04:05Z", "--speed", "12")
    codes = exchange.codes()
    with socket_to(exchange) as ticker, socket_to(exchange) as trade, socket_to(exchange) as book:
        for client, stream in ((ticker, "ticker"), (trade, "trade")):
            ask(client, {"type": stream, "codes": codes})
            received(client, CODES)
            assert silent(client, 1.3), "less than 2 s after the last subscription"
        assert not exchange.status()["running"]
        ask(book, {"type": "orderbook", "codes": codes})
        awaited(lambda: exchange.status()["running"], seconds=1)


def test_a_snapshot_per_code_and_stream_then_exactly_the_ledger_in_its_order(exchange: Exchange) -> None:
    codes = exchange.codes()
    assert len(codes) == CODES
    with socket_to(exchange) as client:
        assert client.response is not None
        assert client.response.headers["remaining-req"] == "group=websocket; min=300; sec=4"
        ask(client, *everything(codes))
        snapshots = [json.loads(frame) for frame in received(client, 3 * CODES)]
        realtime = received(client, 400)
    assert [(s["type"], s["code"], s["stream_type"]) for s in snapshots] == [
        (stream, code, "SNAPSHOT") for stream in STREAMS for code in codes
    ]
    entries = list(ledger.read(exchange.directory))
    assert [entry.n for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry.kind for entry in entries[: 3 * CODES]] == ["initial"] * 3 * CODES
    assert realtime == [bytes(entry.frame) for entry in entries[3 * CODES :][:400]]


def format_of(frame: bytes) -> str:
    value = json.loads(frame)
    (inner,) = value if isinstance(value, list) else (value,)
    return ("SIMPLE" if "ty" in inner else "JSON") + ("_LIST" if isinstance(value, list) else "")


def next_is(client: ClientConnection, form: str) -> bool:
    return format_of(received(client, 1)[0]) == form


def test_formats(exchange: Exchange) -> None:
    codes = exchange.codes()
    with socket_to(exchange) as client:
        for form in ("SIMPLE", "JSON_LIST", "SIMPLE_LIST"):
            ask(client, *everything(codes), form=form)
            # Frames of the subscription before may still be on their way.
            awaited(partial(next_is, client, form))
            assert {format_of(frame) for frame in received(client, 30)} == {form}


def test_only_snapshot_and_only_realtime(exchange: Exchange) -> None:
    codes = exchange.codes()
    with socket_to(exchange) as client:
        ask(client, {"type": "ticker", "codes": codes, "is_only_snapshot": True})
        assert {json.loads(frame)["stream_type"] for frame in received(client, CODES)} == {"SNAPSHOT"}
        assert silent(client)
        ask(client, {"type": "orderbook", "codes": codes, "is_only_realtime": True})
        assert {json.loads(frame)["stream_type"] for frame in received(client, 50)} == {"REALTIME"}


def test_a_second_request_replaces_the_first_and_books_come_in_the_depth_asked_for(exchange: Exchange) -> None:
    btc = exchange.codes()[0]
    with socket_to(exchange) as client:
        ask(client, *everything(exchange.codes()))
        received(client, 50)
        ask(client, {"type": "orderbook", "codes": [f"{btc}.5"]})
        frames = [json.loads(frame, parse_float=Decimal) for frame in received(client, 120)]
        first = next(i for i, frame in enumerate(frames) if len(frame.get("orderbook_units", ())) == 5)
        assert frames[first]["stream_type"] == "SNAPSHOT"
        for frame in frames[first:]:
            assert (frame["type"], frame["code"], len(frame["orderbook_units"])) == ("orderbook", btc, 5)
            assert frame["total_ask_size"] == sum(unit["ask_size"] for unit in frame["orderbook_units"])
        client.send('[{"ticket":"x"},{"method":"LIST_SUBSCRIPTIONS"}]')
        answer = awaited(lambda: next((f for f in map(json.loads, received(client, 1)) if "method" in f), None))
        assert answer["result"] == [{"type": "orderbook", "codes": [btc], "level": 0}]


def test_unknown_codes_are_met_with_silence_and_the_known_one_is_served(exchange: Exchange) -> None:
    btc = exchange.codes()[0]
    with socket_to(exchange) as client:
        ask(client, {"type": "ticker", "codes": ["KRW-NOPE", btc.lower()]})
        assert silent(client)
        assert client.ping().wait(5)
        ask(client, {"type": "ticker", "codes": ["KRW-NOPE", btc]})
        assert {json.loads(frame)["code"] for frame in received(client, 5)} == {btc}


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ("hello", '{"error":{"message":"Format 이 맞지 않습니다.","name":"WRONG_FORMAT"}}'),
        (
            '[{"type":"trade","codes":["KRW-BTC"]}]',
            '{"error":{"name":"NO_TICKET","message":"티켓이 존재하지 않거나, 유효하지 않습니다."}}',
        ),
    ],
)
def test_an_error_frame_then_close_1000(exchange: Exchange, message: str, frame: str) -> None:
    with socket_to(exchange) as client:
        client.send(message)
        assert received(client, 1) == [frame.encode()]
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


def test_ping_text_is_answered_by_up_on_the_server_s_tick(exchange: Exchange) -> None:
    with socket_to(exchange) as client:
        client.send("PING")
        assert client.recv(timeout=12) == b'{"status":"UP"}'


def test_an_idle_socket_is_dropped_without_a_close_frame(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "2", "--idle-timeout", "1")
    with socket_to(exchange) as idle, socket_to(exchange) as pinging:
        began = time.monotonic()
        for _ in range(8):
            assert pinging.ping().wait(5)
            time.sleep(0.25)
        with pytest.raises(ConnectionClosed) as closed:
            idle.recv(timeout=5)
        assert closed.value.rcvd is None
        assert time.monotonic() - began >= 1
        assert pinging.ping().wait(5)


def test_a_client_that_does_not_read_is_dropped_and_the_others_are_served(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "4", "--rate", "3000", "--client-buffer-mb", "1")
    codes = exchange.codes()
    with socket.create_connection(("127.0.0.1", exchange.port)) as deaf, socket_to(exchange) as reader:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(
            b"GET /websocket/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        request = json.dumps([{"ticket": "deaf"}, *everything(codes)]).encode()
        assert 126 <= len(request) < 65536
        # An unmasked client frame is against the protocol: mask with zeros.
        deaf.sendall(b"\x81\xfe" + len(request).to_bytes(2) + b"\0\0\0\0" + request)
        ask(reader, *everything(codes))
        awaited(lambda: received(reader, 200) and exchange.status()["subscribers"] == 2)
        awaited(lambda: received(reader, 200) and exchange.status()["subscribers"] == 1)
        assert len(received(reader, 500)) == 500


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_goes_on_from_the_ledger(start: Callable[..., Exchange], number: int) -> None:
    began = int(time.time() * 1000) - 3_600_000
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began // 1000))
    options = ("--codes", "3", "--rate", "300", "--speed", "5", "--start", moment)
    first = start(*options)
    assert not first.status()["running"]
    codes = first.codes()
    with socket_to(first) as client:
        ask(client, *everything(codes))
        received(client, 1500)
    assert first.end(number) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    before = list(ledger.read(first.directory))
    clock = max(entry.time for entry in before)
    assert began - 1000 <= before[20].time
    assert clock < time.time() * 1000 - 3_000_000

    second = start(*options)
    assert second.status()["entries"] == len(before)
    newest = second.json("/v1/trades/ticks?market=KRW-BTC&count=1")[0]["sequential_id"]
    trades = [entry for entry in before if entry.stream == "trade" and entry.code == "KRW-BTC"]
    assert str(newest) == trades[-1].key["sequential_id"]
    with socket_to(second) as client:
        ask(client, {"type": "trade", "codes": ["KRW-BTC"]})
        snapshot = json.loads(received(client, 1)[0])
        assert (snapshot["stream_type"], snapshot["sequential_id"]) == ("SNAPSHOT", newest)
        ask(client, *everything(codes))
        received(client, 500)
    second.end()
    after = list(ledger.read(second.directory))
    assert [entry.n for entry in after] == list(range(1, len(after) + 1))
    assert after[: len(before)] == before
    keys = [(entry.stream, *entry.key.values()) for entry in after]
    assert len(set(keys)) == len(keys)
    assert min(e.time for e in after[len(before) :] if e.stream == "ticker") >= clock - 1000


def test_same_seed_same_ledger_whatever_the_speed(start: Callable[..., Exchange]) -> None:
    written = []
    for name, speed in (("slow", "5"), ("fast", "60")):
        options = ("--codes", "3", "--rate", "100", "--seed", "9", "--start", "2026-01-01T23:59:50Z")
        exchange = start(*options, "--speed", speed, name=name)
        with socket_to(exchange) as client:
            ask(client, *everything(exchange.codes()))
            received(client, 1000)
        exchange.end()
        written.append([entry for entry, _ in zip(ledger.read(exchange.directory), range(1000), strict=False)])
    assert len(written[0]) == 1000
    assert written[0] == written[1]
