"""The local exchange as a process, its wire seen by an independent client (`websockets`) and plain HTTP."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from upbit_exchange import ledger

ROOT = Path(__file__).parents[2]
STREAMS = ("ticker", "trade", "orderbook")
CODES = 6


class Exchange:
    """A running exchange of its own directory; ended by its own process id."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self._log = directory.parent / f"{directory.name}.log"
        command = [sys.executable, "-m", "upbit_exchange", "--port", "0", "--ledger", str(directory)]
        with self._log.open("ab") as log:
            start = self._log.stat().st_size
            self.process = subprocess.Popen([*command, *options], stderr=log, env=environment())
        self.port = int(awaited(lambda: self._announced(start)))

    def _announced(self, start: int) -> str | None:
        assert self.process.poll() is None, self._log.read_text()
        found = re.search(r"ws://127\.0\.0\.1:(\d+)/websocket/v1", self._log.read_text()[start:])
        return found[1] if found else None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/websocket/v1"

    def http(self, path: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, body

    def json(self, path: str) -> Any:
        status, _, body = self.http(path)
        assert status == 200, body
        return json.loads(body, parse_float=Decimal)

    def status(self) -> Any:
        return self.json("/_local/status")

    def codes(self) -> list[str]:
        return [market["market"] for market in self.json("/v1/market/all")]

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=10)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
    return {**kept, "PYTHONPATH": str(ROOT / "exchange")}


def awaited(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("the condition did not come true in time")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Exchange]]:
    running: list[Exchange] = []

    def started(*options: str, name: str = "ledger") -> Exchange:
        exchange = Exchange(tmp_path / name, *options)
        running.append(exchange)
        return exchange

    yield started
    for exchange in running:
        exchange.end()


@pytest.fixture
def exchange(start: Callable[..., Exchange]) -> Exchange:
    return start("--codes", str(CODES), "--rate", "200")


def socket_to(exchange: Exchange) -> ClientConnection:
    return connect(exchange.url, compression=None, ping_interval=None, max_queue=None, close_timeout=1)


def ask(client: ClientConnection, *wishes: dict[str, Any], form: str | None = None) -> None:
    client.send(json.dumps([{"ticket": "test"}, *wishes, *([{"format": form}] if form else [])]))


def everything(codes: list[str]) -> list[dict[str, Any]]:
    return [{"type": stream, "codes": codes} for stream in STREAMS]


def received(client: ClientConnection, count: int) -> list[bytes]:
    frames = [client.recv(timeout=10) for _ in range(count)]
    assert all(isinstance(frame, bytes) for frame in frames), "Upbit sends binary frames only"
    return [frame for frame in frames if isinstance(frame, bytes)]


def silent(client: ClientConnection, seconds: float = 0.6) -> bool:
    try:
        client.recv(timeout=seconds)
    except TimeoutError:
        return True
    return False


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


def test_rest_on_the_same_port_equals_the_stream(exchange: Exchange) -> None:
    codes = exchange.codes()
    with socket_to(exchange) as client:
        ask(client, {"type": "trade", "codes": codes, "is_only_realtime": True})
        trades = [json.loads(frame, parse_float=Decimal) for frame in received(client, 60)]
    code = codes[0]
    page = exchange.json(f"/v1/trades/ticks?market={code}&count=500")
    served = {trade["sequential_id"]: trade["trade_volume"] for trade in page}
    mine = {t["sequential_id"]: t["trade_volume"] for t in trades if t["code"] == code}
    assert mine
    assert {i: served[i] for i in mine} == mine
    assert exchange.http("/v1/nope")[0] == 404
    assert exchange.http("/v1/trades/ticks?market=KRW-NOPE")[::2] == (
        404,
        b'{"error":{"name":404,"message":"Code not found"}}',
    )


def test_rest_tells_what_is_left_and_refuses_more_than_10_a_second(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "2")
    _, headers, _ = exchange.http("/v1/candles/minutes/1?market=KRW-BTC")
    assert headers["remaining-req"] == "group=candles; min=600; sec=9"
    assert headers["content-type"] == "application/json;charset=UTF-8"
    burst = (exchange.http("/v1/ticker?markets=KRW-BTC") for _ in range(2000))
    refused = next(answer for answer in burst if answer[0] != 200)
    assert refused[0] == 429
    assert refused[2] == b"Too many API requests."
    free = start("--codes", "2", "--no-rate-limit", name="free")
    assert {free.http("/v1/ticker?markets=KRW-BTC")[0] for _ in range(60)} == {200}


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


RECORDED = (
    '{"ty":"trade","cd":"BTC-ITAM","tms":1618678272375,"ttms":1618678272000,"tp":0.00000113,"tv":3416.89061628,'
    '"ab":"ASK","pcp":0.00000119,"c":"FALL","cp":6E-8,"sid":16186782720000000,"st":"REALTIME"}',
    '{"type":"trade","code":"KRW-LAMB","timestamp":1618678275178,"trade_timestamp":1618678275000,"trade_price":127.0,'
    '"trade_volume":46.48838371,"ask_bid":"BID","prev_closing_price":123.00000000,"sequential_id":1618678275000000,'
    '"stream_type":"SNAPSHOT"}',
    '{"ty":"orderbook","cd":"KRW-LAMB","tms":1618678264237,"tas":1.0,"tbs":2.0,'
    '"obu":[{"ap":127.0,"bp":126.0,"as":1.0,"bs":2.0}],"st":"REALTIME"}',
    '{"ty":"ticker","cd":"KRW-LAMB","tms":1618678276000,"tp":127.0,"atv":1E+3,"st":"REALTIME"}',
)


def test_a_recording_is_published_once_in_its_order_and_then_it_is_quiet(
    start: Callable[..., Exchange], tmp_path: Path
) -> None:
    path = tmp_path / "recorded.jsonl"
    path.write_text("\n".join(RECORDED) + "\n")
    exchange = start("--replay", str(path), "--speed", "4")
    codes = exchange.codes()
    assert codes == ["BTC-ITAM", "KRW-LAMB"]
    with socket_to(exchange) as client:
        ask(client, *everything(codes))
        frames = received(client, 4)
        assert awaited(lambda: exchange.status()["ended"])
        assert silent(client)
        assert client.ping().wait(5)
    assert [json.loads(frame)["type"] for frame in frames] == ["trade", "trade", "orderbook", "ticker"]
    assert all(frame.endswith(b'"stream_type":"REALTIME"}') for frame in frames)
    assert b'"trade_price":0.00000113,' in frames[0]
    assert b'"acc_trade_volume":1E+3,' in frames[3]
    assert [bytes(entry.frame) for entry in ledger.read(exchange.directory)] == frames
    assert exchange.status()["source"] == "replay"
    exchange.end()
    again = start("--replay", str(path))
    assert awaited(lambda: again.status())["ended"]
    assert again.status()["published"]["total"] == 4


def refused(*options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "upbit_exchange", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment(), check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_what_cannot_start_says_so_in_one_line(start: Callable[..., Exchange], tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(RECORDED[0] + "\n{broken\n")
    running = start("--codes", "2")
    file = tmp_path / "file"
    file.touch()
    cases = {
        ("--replay", str(path), "--ledger", str(tmp_path / "l")): (2, f"{path} line 2: "),
        ("--replay", str(path), "--check"): (2, f"{path} line 2: "),
        ("--ledger", str(running.directory)): (2, "running exchange"),
        ("--ledger", str(file)): (2, "give a --ledger directory that can be written"),
        ("--ledger", str(tmp_path / "m"), "--port", str(running.port)): (1, "is taken"),
        ("--codes", "2"): (2, "--ledger DIR is missing"),
    }
    for options, (code, hint) in cases.items():
        exit_code, text = refused(*options)
        assert (exit_code, len(text.splitlines())) == (code, 1), text
        assert hint in text
    assert not (tmp_path / "l").exists()
    running.end()
    exit_code, text = refused("--ledger", str(running.directory), "--codes", "3")
    assert exit_code == 2
    assert "another source" in text


def test_a_good_recording_passes_the_check(tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    path.write_text("\n".join(RECORDED))
    assert refused("--replay", str(path), "--check") == (0, f"{path}: 4 frames, 2 markets, all well-formed\n")
