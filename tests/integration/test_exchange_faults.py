"""How faults of the local exchange are switched, and those of its REST: a real process, plain HTTP."""

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tests.integration.fault_scene import CODES, OPTIONS, ended, subscribed
from tests.integration.local_exchange import (
    Exchange,
    ask,
    environment,
    everything,
    received,
    socket_to,
)
from upbit_exchange.faults.catalogue import KINDS

# --- switching --------------------------------------------------------------------------------------------------------


def test_faults_are_listed_cleared_counted_and_nonsense_is_one_line(exchange: Exchange) -> None:
    assert [kind["fault"] for kind in exchange.json("/_local/faults/kinds")] == list(KINDS)
    number = exchange.faults.set("silence", stream="trade", duration=60)
    assert number is not None
    exchange.faults.set("half_open", stream="ticker")
    listed = exchange.faults.listed()
    assert [(fault["id"], fault["name"], fault["stream"]) for fault in listed] == [
        (number, "silence", "trade"),
        (number + 1, "half_open", "ticker"),
    ]
    assert exchange.faults.clear(number) == 1
    assert exchange.faults.clear() == 1
    assert exchange.faults.listed() == []
    for query in ("set=clos", "set=drop&count=many", "clear=drop", "clear=all&set=drop", "drop", "set=gap&code=KRW-X"):
        status, headers, body = exchange.http(f"/_local/faults?{query}")
        assert (status, headers["content-type"], body.count(b"\n")) == (400, "text/plain;charset=UTF-8", 1), body
    assert exchange.http("/_local/faults/nope")[0] == 400
    assert exchange.faults.counts() == {}


# --- REST -------------------------------------------------------------------------------------------------------------


def test_rest_is_refused_by_group(exchange: Exchange) -> None:
    exchange.faults.set("rest", status=429, group="candles", count=1)
    assert exchange.http("/v1/ticker?markets=KRW-BTC")[0] == 200
    assert exchange.http("/v1/candles/minutes/1?market=KRW-BTC")[::2] == (429, b"Too many API requests.")
    assert exchange.http("/v1/candles/minutes/1?market=KRW-BTC")[0] == 200
    exchange.faults.set("rest", status=418, wait=60)
    status, headers, body = exchange.http("/v1/trades/ticks?market=KRW-BTC")
    assert (status, headers["retry-after"]) == (418, "60")
    assert body.startswith(b"I'm a teapot")
    assert exchange.http("/_local/status")[0] == 200


def test_rest_lags(exchange: Exchange) -> None:
    code = exchange.codes()[0]
    exchange.faults.set("rest_lag", ms=3_600_000)
    with socket_to(exchange) as client:
        ask(client, {"type": "trade", "codes": [code], "is_only_realtime": True})
        trade = json.loads(received(client, 1)[0], parse_float=Decimal)
        assert exchange.json(f"/v1/trades/ticks?market={code}") == []
        exchange.faults.clear("rest_lag")
        page = exchange.json(f"/v1/trades/ticks?market={code}&count=500")
        assert trade["sequential_id"] in [row["sequential_id"] for row in page]


# --- scenario ---------------------------------------------------------------------------------------------------------


def test_a_scenario_is_played_from_the_moment_the_market_begins(start: Callable[..., Exchange], tmp_path: Path) -> None:
    path = tmp_path / "scenario.jsonl"
    path.write_text(
        '{"at": 0.5, "set": "bad_json", "stream": "trade"}\n'
        '{"at": 1, "set": "close", "close_code": 1012}\n'
        '{"at": 1.5, "set": "silence"}\n{"at": 2.5, "clear": "silence"}\n'
    )
    exchange = start(*OPTIONS, "--scenario", str(path))
    assert exchange.faults.counts() == {}
    with subscribed(exchange) as client:
        closed = ended(client)
    assert closed.rcvd is not None
    assert closed.rcvd.code == 1012
    with socket_to(exchange) as client:
        ask(client, *everything(exchange.codes()))
        exchange.faults.acted("silence", 100)
        exchange.faults.ended()
        received(client, 3 * CODES + 100)
    faults = [act["fault"] for act in exchange.faults.log() if not act["what"].startswith("switched")]
    assert faults[:3] == ["bad_json", "close", "silence"]


def test_a_scenario_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scenario.jsonl"
    path.write_text('{"at": 1, "set": "drop"}\n{"at": 2, "set": "dorp"}\n')
    command = [sys.executable, "-m", "upbit_exchange", "--ledger", str(tmp_path / "l"), "--scenario", str(path)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment(), check=False)
    assert process.returncode == 2
    assert process.stderr == f"upbit_exchange: {path} line 2: fault 'dorp' is unknown; is it drop or deep?\n"
