"""Recordings on the local exchange's wire, and what cannot start."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.integration.local_exchange import (
    Exchange,
    ask,
    awaited,
    environment,
    everything,
    received,
    silent,
    socket_to,
)
from upbit_exchange.journal import ledger

RECORDED = (
    '{"ty":"trade","cd":"BTC-ITAM","tms":1618678272375,"ttms":1618678272000,"tp":0.00000113,"tv":3416.89061628,'
    '"ab":"ASK","pcp":0.00000119,"c":"FALL","cp":6E-8,"sid":16186782720000000,"st":"REALTIME"}',
    '{"type":"trade","code":"KRW-LAMB","timestamp":1618678275178,"trade_timestamp":1618678275000,"trade_price":127.0,'
    '"trade_volume":46.48838371,"ask_bid":"BID","prev_closing_price":123.00000000,"sequential_id":1618678275000000,'
    '"stream_type":"SNAPSHOT"}',
    '{"ty":"orderbook","cd":"KRW-LAMB","tms":1618678264237,"tas":1.0,"tbs":2.0,'
    '"obu":[{"ap":127.0,"bp":126.0,"as":1.0,"bs":2.0}],"st":"REALTIME"}',
    # What a LIST format gives: one frame a line, or several, or none.
    '[{"ty":"ticker","cd":"KRW-LAMB","tms":1618678276000,"tp":127.0,"atv":1E+3,"st":"REALTIME"}]',
    "[]",
    '[{"type":"ticker","code":"KRW-LAMB","timestamp":1618678276010,"trade_price":127.0,"acc_trade_volume":2E+3,'
    '"stream_type":"REALTIME"},{"ty":"orderbook","cd":"KRW-LAMB","tms":1618678276020,"obu":[],"st":"REALTIME"}]',
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
        frames = received(client, 6)
        assert awaited(lambda: exchange.status()["ended"])
        assert silent(client)
        assert client.ping().wait(5)
    assert [json.loads(frame)["type"] for frame in frames] == [
        *("trade", "trade", "orderbook", "ticker", "ticker", "orderbook")
    ]
    assert all(frame.endswith(b'"stream_type":"REALTIME"}') for frame in frames)
    assert b'"trade_price":0.00000113,' in frames[0]
    assert b'"acc_trade_volume":1E+3,' in frames[3]
    assert [bytes(entry.frame) for entry in ledger.read(exchange.directory)] == frames
    assert exchange.status()["source"] == "replay"
    exchange.end()
    again = start("--replay", str(path))
    assert awaited(lambda: again.status())["ended"]
    assert again.status()["published"]["total"] == 6


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
    assert refused("--replay", str(path), "--check") == (0, f"{path}: 6 frames, 2 markets, all well-formed\n")
