"""Faults of the local exchange as a client sees them: a real process, a real WebSocket client, plain HTTP."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.integration.local_exchange import (
    STREAMS,
    Exchange,
    ask,
    awaited,
    environment,
    everything,
    received,
    silent,
    socket_to,
)
from upbit_exchange import ledger
from upbit_exchange.catalogue import KINDS

CODES = 6


OPTIONS = ("--codes", str(CODES), "--rate", "200", "--no-rate-limit", "--rest-lag", "0")


@pytest.fixture
def exchange(start: Callable[..., Exchange]) -> Exchange:
    return start(*OPTIONS)


def switch(exchange: Exchange, **query: Any) -> Any:
    return exchange.json(f"/_local/faults?{urlencode(query)}")


def on(exchange: Exchange, name: str, **options: Any) -> None:
    switch(exchange, set=name, **options)


def counts(exchange: Exchange) -> dict[str, int]:
    found: dict[str, int] = exchange.status()["faults"]
    return found


def acted(exchange: Exchange, name: str, times: int = 1) -> None:
    awaited(lambda: counts(exchange).get(name, 0) >= times)


def log(exchange: Exchange) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (exchange.directory / "faults.jsonl").read_text().splitlines()]


@contextmanager
def subscribed(exchange: Exchange, **options: Any) -> Iterator[ClientConnection]:
    """A socket on everything whose market runs."""
    chosen = {"compression": None, "ping_interval": None, "max_queue": None, "close_timeout": 1} | options
    with connect(exchange.url, **chosen) as client:
        ask(client, *everything(exchange.codes()))
        received(client, 3 * CODES)
        received(client, 5)
        yield client


def ended(client: ClientConnection) -> ConnectionClosed:
    """How the connection ends; what still comes before is read away."""
    while True:
        try:
            client.recv(timeout=10)
        except ConnectionClosed as closed:
            return closed


def collect(client: ClientConnection, enough: Callable[[list[bytes]], bool]) -> list[bytes]:
    """What comes until it is enough."""
    frames: list[bytes] = []

    def more() -> bool:
        frames.extend(received(client, 20))
        return enough(frames)

    awaited(more, seconds=30)
    return frames


def until(client: ClientConnection, wanted: Callable[[bytes | str], bool], seconds: float = 10) -> list[bytes | str]:
    """What comes up to the first frame that is wanted."""
    frames: list[bytes | str] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        frames.append(client.recv(timeout=seconds))
        if wanted(frames[-1]):
            return frames
    raise AssertionError(f"{len(frames)} frames, none of them the one that is wanted")


def published(exchange: Exchange) -> list[bytes]:
    return [bytes(entry.frame) for entry in ledger.read(exchange.directory) if entry.kind == "realtime"]


# --- switching ---------------------------------------------------------------------------------------------------


def test_faults_are_listed_cleared_counted_and_nonsense_is_one_line(exchange: Exchange) -> None:
    assert [kind["fault"] for kind in exchange.json("/_local/faults/kinds")] == list(KINDS)
    number = switch(exchange, set="silence", stream="trade", duration=60)["on"]
    on(exchange, "half_open", stream="ticker")
    listed = switch(exchange)["on"]
    assert [(fault["id"], fault["name"], fault["stream"]) for fault in listed] == [
        (number, "silence", "trade"),
        (number + 1, "half_open", "ticker"),
    ]
    assert switch(exchange, clear=number) == {"cleared": 1}
    assert switch(exchange, clear="all") == {"cleared": 1}
    assert switch(exchange)["on"] == []
    for query in ("set=clos", "set=drop&count=many", "clear=drop", "clear=all&set=drop", "drop", "set=gap&code=KRW-X"):
        status, headers, body = exchange.http(f"/_local/faults?{query}")
        assert (status, headers["content-type"], body.count(b"\n")) == (400, "text/plain;charset=UTF-8", 1), body
    assert exchange.http("/_local/faults/nope")[0] == 400
    assert counts(exchange) == {}


# --- sockets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 4000])
def test_a_close_with_any_code(exchange: Exchange, code: int) -> None:
    with subscribed(exchange) as client:
        on(exchange, "close", close_code=code)
        closed = ended(client)
    assert closed.rcvd is not None
    assert closed.rcvd.code == code
    assert counts(exchange) == {"close": 1}


def test_an_error_frame_then_close_1000(exchange: Exchange) -> None:
    with subscribed(exchange) as client:
        on(exchange, "error_close")
        last = until(client, lambda frame: b'"error"' in frame)[-1]
        assert json.loads(last)["error"]["name"] == "INTERNAL_ERROR"
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


def test_a_drop_has_no_close_frame_a_reset_is_a_reset(exchange: Exchange) -> None:
    for name in ("drop", "reset"):
        with subscribed(exchange) as client:
            on(exchange, name)
            closed = ended(client)
        assert closed.rcvd is None
        assert isinstance(closed.__cause__, ConnectionResetError) == (name == "reset")


def test_only_the_oldest_socket_of_the_stream_is_struck(exchange: Exchange) -> None:
    codes = exchange.codes()
    with socket_to(exchange) as ticker, socket_to(exchange) as first, socket_to(exchange) as second:
        for client, stream in ((ticker, "ticker"), (first, "trade"), (second, "trade")):
            ask(client, {"type": stream, "codes": codes})
            received(client, CODES)
        on(exchange, "drop", stream="trade")
        assert ended(first).rcvd is None
        received(second, 20)
        received(ticker, 20)


def test_half_open_neither_data_nor_pong_nor_close_and_the_next_socket_is_served(exchange: Exchange) -> None:
    with subscribed(exchange) as client:
        on(exchange, "half_open")
        acted(exchange, "half_open")
        awaited(lambda: silent(client))
        assert not client.ping().wait(1)
        assert silent(client)
        with subscribed(exchange) as other:
            received(other, 50)
        began = time.monotonic()
        client.close()  # no answer either: the client gives up after its close_timeout
        assert time.monotonic() - began >= 1


def test_every_so_many_seconds_every_socket(exchange: Exchange) -> None:
    on(exchange, "drop", every=0.5, count=0)
    for _ in range(3):
        with socket_to(exchange) as client:
            assert ended(client).rcvd is None
    switch(exchange, clear="drop")
    with subscribed(exchange) as client:
        received(client, 100)
    assert counts(exchange)["drop"] == 3


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
    on(exchange, "handshake", count=1, **options)
    with pytest.raises(InvalidStatus) as refusal:
        socket_to(exchange)
    response = refusal.value.response
    assert (response.status_code, response.headers.get("Retry-After")) == (status, retry_after)
    assert response.headers["Content-Type"].startswith("text/plain")
    assert response.body is not None
    assert says in response.body
    with subscribed(exchange):
        assert counts(exchange) == {"handshake": 1}


def test_snapshots_missing_and_slow(exchange: Exchange) -> None:
    codes = exchange.codes()
    on(exchange, "snapshot_missing", stream="trade", code=codes[0])
    on(exchange, "snapshot_slow", stream="ticker", code=codes[1], ms=800)
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
        on(exchange, "idle_timeout", seconds=1)
        assert ended(client).rcvd is None


# --- delivery ----------------------------------------------------------------------------------------------------


def test_silence_of_a_code_of_a_stream_of_all_and_pings_are_answered(exchange: Exchange) -> None:
    btc = exchange.codes()[0].encode()
    with subscribed(exchange) as client:
        on(exchange, "silence", code=btc.decode(), duration=3600)
        acted(exchange, "silence")
        on(exchange, "silence", stream="orderbook")
        acted(exchange, "silence", counts(exchange)["silence"] + 5)
        mark = len(published(exchange))
        received(client, 60)  # of before
        quiet = received(client, 60)
        assert not [frame for frame in quiet if b'"orderbook"' in frame or b'"code":"%s"' % btc in frame]
        on(exchange, "silence")
        awaited(lambda: silent(client))
        assert client.ping().wait(5)
        awaited(lambda: len(published(exchange)) > mark + 300)
        switch(exchange, clear="silence")
        received(client, 50)


def test_a_gap_is_in_the_ledger_and_in_rest_and_the_log_says_what_was_not_sent(exchange: Exchange) -> None:
    code = exchange.codes()[0]
    with socket_to(exchange) as client:
        ask(client, {"type": "trade", "codes": [code], "is_only_realtime": True})
        received(client, 5)
        on(exchange, "gap", stream="trade", code=code, count=7)
        acted(exchange, "gap", 7)
        missing = {act["what"].split()[-1] for act in log(exchange) if act["what"].startswith("trade ")}
        newest = max(missing)
        frames = until(client, lambda frame: str(json.loads(frame)["sequential_id"]) > newest)
    seen = {str(json.loads(frame)["sequential_id"]) for frame in frames}
    assert len(missing) == 7
    assert not missing & seen
    written = {e.key["sequential_id"] for e in ledger.read(exchange.directory) if e.stream == "trade"}
    served = {str(trade["sequential_id"]) for trade in exchange.json(f"/v1/trades/ticks?market={code}&count=500")}
    assert missing <= written
    assert missing <= served


def test_duplicates_and_overtaken_trades_all_arrive_and_the_ledger_has_each_once(exchange: Exchange) -> None:
    codes = exchange.codes()
    with socket_to(exchange) as client:
        ask(client, {"type": "trade", "codes": codes, "is_only_realtime": True})
        received(client, 1)
        on(exchange, "duplicate", stream="trade")
        on(exchange, "reorder", ms=300)
        acted(exchange, "duplicate", 40)
        acted(exchange, "reorder", 20)
        switch(exchange, clear="all")
        on(exchange, "hold", stream="trade", ms=1500)
        acted(exchange, "hold")
        held = log(exchange)[-1]["what"].split()[-1]
        arrived = [json.loads(frame) for frame in until(client, lambda frame: held.encode() in frame)]
    ids = [(trade["code"], trade["sequential_id"]) for trade in arrived]
    assert ids != sorted(ids)
    assert len(set(ids)) < len(ids)
    entries = [
        entry for entry in ledger.read(exchange.directory) if (entry.stream, entry.kind) == ("trade", "realtime")
    ]
    keys = [(entry.code, int(entry.key["sequential_id"])) for entry in entries]
    assert len(set(keys)) == len(keys)
    # All that was published up to the held trade has arrived: it was overtaken by 1.5 s.
    assert set(keys[1 : keys.index((arrived[-1]["code"], int(held)))]) <= set(ids)
    overtaken = arrived[-1]
    assert any(t["code"] == overtaken["code"] and t["sequential_id"] > int(held) for t in arrived[:-1])


def test_fragments_arrive_whole(exchange: Exchange) -> None:
    with subscribed(exchange) as client:
        on(exchange, "fragments", pieces=7)
        acted(exchange, "fragments", 200)
        frames = received(client, 150)
        assert set(frames) <= set(published(exchange))


# --- altered events ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.acts == "true"])
def test_what_is_altered_is_sent_as_the_ledger_has_it(exchange: Exchange, name: str) -> None:
    with subscribed(exchange) as client:
        on(exchange, name, count=3)
        acted(exchange, name, 3)
        mark = len(published(exchange))
        frames = collect(client, lambda frames: len(frames) > mark)
    written = published(exchange)
    begin = written.index(frames[0])
    assert frames == written[begin : begin + len(frames)]
    for stream in STREAMS:
        assert (
            exchange.http(f"/v1/{'trades/ticks?market' if stream == 'trade' else stream + '?markets'}=KRW-BTC")[0]
            == 200
        )


@pytest.mark.parametrize("form", ["SIMPLE", "JSON_LIST", "SIMPLE_LIST"])
def test_altered_events_in_the_other_formats(exchange: Exchange, form: str) -> None:
    for name in (name for name, kind in KINDS.items() if kind.acts in ("true", "field")):
        on(exchange, name, count=0)
    with socket_to(exchange) as client:
        ask(client, *everything(exchange.codes()), form=form)
        assert len(received(client, 400)) == 400
    assert exchange.process.poll() is None


def test_a_trade_that_comes_hours_late_is_in_rest_where_it_was_matched(exchange: Exchange) -> None:
    code = exchange.codes()[0]
    with socket_to(exchange) as client:
        ask(client, {"type": "trade", "codes": [code], "is_only_realtime": True})
        received(client, 3)
        on(exchange, "late", code=code, ms=600_000)
        acted(exchange, "late")
        late = json.loads(until(client, lambda frame: json.loads(frame)["sequential_id"] % 10_000 >= 5000)[-1])
    assert 600_000 <= late["timestamp"] - late["trade_timestamp"] < 601_000
    page = exchange.json(f"/v1/trades/ticks?market={code}&count=1&cursor={late['sequential_id'] + 1}")
    page += exchange.json(f"/v1/trades/ticks?market={code}&count=1&cursor={late['sequential_id'] + 1}&days_ago=1")
    assert late["sequential_id"] in [trade["sequential_id"] for trade in page]


# --- wrong frames ------------------------------------------------------------------------------------------------

HARMLESS = [name for name, kind in KINDS.items() if kind.acts == "extra" and name not in ("bad_deflate",)]


@pytest.mark.parametrize("name", HARMLESS)
def test_a_wrong_frame_comes_beside_the_true_ones(exchange: Exchange, name: str) -> None:
    with subscribed(exchange, max_size=None) as client:
        on(exchange, name, count=2)
        acted(exchange, name, 2)
        frames = [client.recv(timeout=10) for _ in range(200)]
    written = published(exchange)
    wrong = [frame for frame in frames if frame not in written]
    true = [frame for frame in frames if frame in written]
    assert len(wrong) == 2
    assert [isinstance(frame, str) for frame in wrong] == [name == "text"] * 2
    begin = written.index(true[0])
    assert true == written[begin : begin + len(true)]


def test_a_frame_of_16_mib(exchange: Exchange) -> None:
    with subscribed(exchange, max_size=None) as client:
        on(exchange, "big", bytes=16 << 20)
        big = until(client, lambda frame: len(frame) > 1 << 20)[-1]
        assert len(big) == 16 << 20
        received(client, 20)
    with subscribed(exchange, max_size=8 << 20) as client:
        on(exchange, "big", bytes=16 << 20)
        closed = ended(client)
        assert closed.sent is not None
        assert closed.sent.code == 1009


@pytest.mark.parametrize("compression", ["deflate", None])
def test_compressed_bytes_that_are_not_end_the_connection_from_the_client_s_side(
    exchange: Exchange, compression: str | None
) -> None:
    with subscribed(exchange, compression=compression) as client:
        on(exchange, "bad_deflate")
        closed = ended(client)
        assert closed.sent is not None
        assert closed.sent.code in (1002, 1007, 1011)


# --- market ------------------------------------------------------------------------------------------------------


def test_a_burst_inside_one_millisecond_is_paged_whole_by_cursor(exchange: Exchange) -> None:
    code = exchange.codes()[1]
    with subscribed(exchange):
        on(exchange, "same_ms", code=code, trades=600)
        acted(exchange, "same_ms")
        switch(exchange, set="no_trades")
    entries = [e for e in ledger.read(exchange.directory) if (e.stream, e.code, e.kind) == ("trade", code, "realtime")]
    by_time: dict[int, list[str]] = {}
    for entry in entries:
        by_time.setdefault(entry.time, []).append(entry.key["sequential_id"])
    (burst,) = (ids for ids in by_time.values() if len(ids) >= 600)
    found: list[int] = []
    page = exchange.json(f"/v1/trades/ticks?market={code}&count=500")
    while page:
        found += [trade["sequential_id"] for trade in page]
        page = exchange.json(f"/v1/trades/ticks?market={code}&count=500&cursor={found[-1]}")
    assert {int(number) for number in burst} <= set(found)
    assert len(set(found)) == len(found)


def test_twins_share_their_id(exchange: Exchange) -> None:
    with subscribed(exchange):
        on(exchange, "twin", count=3, every=0.05)
        acted(exchange, "twin", 3)
    codes: dict[str, set[str]] = {}
    for entry in ledger.read(exchange.directory):
        if (entry.stream, entry.kind) == ("trade", "realtime"):
            codes.setdefault(entry.key["sequential_id"], set()).add(entry.code)
    assert len([shared for shared in codes.values() if len(shared) == 2]) == 3


def test_a_burst_arrives_whole(exchange: Exchange) -> None:
    with subscribed(exchange) as client:
        on(exchange, "burst", rate=2000, duration=1)
        frames = collect(client, lambda _: not switch(exchange)["on"])
        made = counts(exchange)["burst"]
        mark = len(published(exchange))
        frames += collect(client, lambda more: len(frames) + len(more) > mark)
    assert made == pytest.approx(2000, rel=0.1)
    written = published(exchange)
    begin = written.index(frames[0])
    assert frames == written[begin : begin + len(frames)]


def test_listing_and_delisting_while_it_runs_and_after_a_restart(
    exchange: Exchange, start: Callable[..., Exchange]
) -> None:
    gone = exchange.codes()[1]
    with subscribed(exchange) as client:
        on(exchange, "list", code="KRW-NEW")
        on(exchange, "delist", code=gone)
        assert exchange.codes() == [*[code for code in Exchange.codes(exchange) if code != "KRW-NEW"], "KRW-NEW"]
        assert gone not in exchange.codes()
        assert exchange.http(f"/v1/trades/ticks?market={gone}")[0] == 404
        ask(client, *everything([*exchange.codes(), gone]))
        until(client, lambda frame: b'"KRW-NEW"' in frame and b"SNAPSHOT" in frame)
        frames = until(
            client, lambda frame: b'"KRW-NEW"' in frame and b'"type":"trade"' in frame and b"REALTIME" in frame
        )
        assert not [frame for frame in frames if gone.encode() in frame]
        assert exchange.json("/v1/trades/ticks?market=KRW-NEW")
        assert exchange.http("/_local/faults?set=list&code=KRW-NEW")[0] == 400
    exchange.end()
    again = start(*OPTIONS)
    assert "KRW-NEW" in again.codes()
    assert again.status()["entries"] == len(list(ledger.read(again.directory)))


def test_nothing_is_traded_and_books_go_on(exchange: Exchange) -> None:
    with subscribed(exchange) as client:
        on(exchange, "no_trades")
        acted(exchange, "no_trades")
        until(client, lambda frame: json.loads(frame)["timestamp"] > exchange.status()["clock_ms"] - 50)
        assert {json.loads(frame)["type"] for frame in received(client, 150)} == {"ticker", "orderbook"}


# --- REST --------------------------------------------------------------------------------------------------------


def test_rest_is_refused_by_group(exchange: Exchange) -> None:
    on(exchange, "rest", status=429, group="candles", count=1)
    assert exchange.http("/v1/ticker?markets=KRW-BTC")[0] == 200
    assert exchange.http("/v1/candles/minutes/1?market=KRW-BTC")[::2] == (429, b"Too many API requests.")
    assert exchange.http("/v1/candles/minutes/1?market=KRW-BTC")[0] == 200
    on(exchange, "rest", status=418, wait=60)
    status, headers, body = exchange.http("/v1/trades/ticks?market=KRW-BTC")
    assert (status, headers["retry-after"]) == (418, "60")
    assert body.startswith(b"I'm a teapot")
    assert exchange.http("/_local/status")[0] == 200


def test_rest_lags(exchange: Exchange) -> None:
    code = exchange.codes()[0]
    on(exchange, "rest_lag", ms=3_600_000)
    with socket_to(exchange) as client:
        ask(client, {"type": "trade", "codes": [code], "is_only_realtime": True})
        trade = json.loads(received(client, 1)[0], parse_float=Decimal)
        assert exchange.json(f"/v1/trades/ticks?market={code}") == []
        switch(exchange, clear="rest_lag")
        page = exchange.json(f"/v1/trades/ticks?market={code}&count=500")
        assert trade["sequential_id"] in [row["sequential_id"] for row in page]


# --- scenario ----------------------------------------------------------------------------------------------------


def test_a_scenario_is_played_from_the_moment_the_market_begins(start: Callable[..., Exchange], tmp_path: Path) -> None:
    path = tmp_path / "scenario.jsonl"
    path.write_text(
        '{"at": 0.5, "set": "bad_json", "stream": "trade"}\n'
        '{"at": 1, "set": "close", "close_code": 1012}\n'
        '{"at": 1.5, "set": "silence"}\n{"at": 2.5, "clear": "silence"}\n'
    )
    exchange = start(*OPTIONS, "--scenario", str(path))
    assert counts(exchange) == {}
    with subscribed(exchange) as client:
        closed = ended(client)
    assert closed.rcvd is not None
    assert closed.rcvd.code == 1012
    with socket_to(exchange) as client:
        ask(client, *everything(exchange.codes()))
        acted(exchange, "silence", 100)
        awaited(lambda: switch(exchange)["on"] == [])
        received(client, 3 * CODES + 100)
    faults = [act["fault"] for act in log(exchange) if not act["what"].startswith("switched")]
    assert faults[:3] == ["bad_json", "close", "silence"]


def test_a_scenario_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scenario.jsonl"
    path.write_text('{"at": 1, "set": "drop"}\n{"at": 2, "set": "dorp"}\n')
    command = [sys.executable, "-m", "upbit_exchange", "--ledger", str(tmp_path / "l"), "--scenario", str(path)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment(), check=False)
    assert process.returncode == 2
    assert process.stderr == f"upbit_exchange: {path} line 2: fault 'dorp' is unknown; is it drop or deep?\n"


def test_a_socket_that_never_completes_its_handshake_disturbs_nobody(exchange: Exchange) -> None:
    with socket.create_connection(("127.0.0.1", exchange.port)):
        on(exchange, "drop", count=0, every=0.1, duration=1)
        awaited(lambda: switch(exchange)["on"] == [])
        with subscribed(exchange) as client:
            received(client, 20)
