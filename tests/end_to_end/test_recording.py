"""A recording of years ago, SIMPLE and DEFAULT, ends in the lake under its own dates, each frame once by key."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import PORT_OFFSET
from tests.harness import truth
from tests.harness.home import Home
from tests.harness.waiting import until

pytestmark = [pytest.mark.engines, pytest.mark.nightly]

CODES = ("KRW-BTC", "BTC-ITAM", "KRW-LAMB")
# Half a minute on both sides of an hour's end.
START_MS = int(datetime(2021, 4, 17, 16, 59, 30, tzinfo=UTC).timestamp() * 1000)
HOURS = (("2021-04-17", "16"), ("2021-04-17", "17"))
FRAMES, STEP_MS = 600, 100
SPEED = "10"

# Upbit's short names of the members that frames had in 2021: no best prices in trades, no level in books.
SHORT = {
    "type": "ty", "code": "cd", "timestamp": "tms", "trade_date": "td", "trade_time": "ttm", "trade_timestamp": "ttms",
    "trade_price": "tp", "trade_volume": "tv", "ask_bid": "ab", "prev_closing_price": "pcp", "change": "c",
    "change_price": "cp", "sequential_id": "sid", "stream_type": "st", "acc_trade_volume": "atv", "trade_status": "ts",
    "market_state_for_ios": "msfi", "total_ask_size": "tas", "total_bid_size": "tbs", "orderbook_units": "obu",
    "ask_price": "ap", "bid_price": "bp", "ask_size": "as", "bid_size": "bs",
}  # fmt: skip


class Recording:
    """The lines of a file, and what the lake must hold of them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.keys: dict[str, dict[truth.Hour, set[truth.Key]]] = defaultdict(lambda: defaultdict(set))
        self.trades: dict[truth.Hour, list[truth.Trade]] = defaultdict(list)
        for number in range(FRAMES):
            self._record(number, truth.STREAMS[number % 3], START_MS + number * STEP_MS)

    def _record(self, number: int, stream: str, ms: int) -> None:
        # Every second round of the three streams is SIMPLE, every fifth frame was a SNAPSHOT.
        simple, kind = number // 3 % 2 == 1, "SNAPSHOT" if number % 5 == 0 else "REALTIME"
        code = CODES[number // 6 % len(CODES)]
        frame = {"type": stream, "code": code, **_BODIES[stream](number, ms), "timestamp": ms, "stream_type": kind}
        self.lines.append(json.dumps(_short(frame) if simple else frame))
        hour = truth.hour_of(ms)
        self.keys[stream][hour].add(truth.key_of(stream, frame))
        if stream == "trade":
            price, volume = Decimal(str(frame["trade_price"])), Decimal(str(frame["trade_volume"]))
            self.trades[hour].append(truth.Trade(code, frame["sequential_id"], ms, price, volume))


def _trade(number: int, ms: int) -> dict[str, Any]:
    return {
        "trade_timestamp": ms, "trade_price": 127.0 + number % 7, "trade_volume": 46.48838371, "ask_bid": "BID",
        "prev_closing_price": 123.0, "change": "RISE", "change_price": 4.0, "sequential_id": ms * 10_000 + number,
    }  # fmt: skip


def _ticker(number: int, _: int) -> dict[str, Any]:
    return {
        "trade_price": 127.0, "acc_trade_volume": 2429.5 + number, "trade_status": "ACTIVE",
        "market_state_for_ios": "ACTIVE",
    }  # fmt: skip


def _book(number: int, _: int) -> dict[str, Any]:
    units = [{"ask_price": 116606000, "bid_price": 116534000, "ask_size": 0.06288509, "bid_size": 7.9276e-4}]
    return {"total_ask_size": 0.5 + number, "total_bid_size": 2.2403413, "orderbook_units": units}


_BODIES = {"trade": _trade, "ticker": _ticker, "orderbook": _book}


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {SHORT[name]: _short(inner) for name, inner in value.items()}
    return [_short(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording()


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, recording: Recording) -> Iterator[Home]:
    """A home of its own on the ports of the pipeline before it, which is down."""
    folder: Path = tmp_path_factory.mktemp("recording")
    path = folder / "frames.jsonl"
    path.write_text("\n".join(recording.lines) + "\n")
    home = Home(folder / "home", PORT_OFFSET)
    with home.running("--source", f"file:{path}", "--speed", SPEED):
        yield home


@pytest.mark.parametrize("stream", truth.STREAMS)
def test_each_frame_is_in_the_lake_once_under_its_own_date(replayed: Home, recording: Recording, stream: str) -> None:
    lake = truth.lake_of(replayed.setting)
    assert set(recording.keys[stream]) == set(HOURS)
    until(
        f"every {stream} in the lake",
        lambda: len(truth.lake_keys(lake, stream)) >= FRAMES / len(truth.STREAMS),
        120,
        every_s=3,
    )
    for hour in HOURS:
        found = truth.lake_keys(lake, stream, hour)
        assert len(found) == len(set(found)), f"a key stands twice in {hour}"
        assert set(found) == recording.keys[stream][hour]
    assert len(truth.lake_keys(lake, stream)) == FRAMES / len(truth.STREAMS), "rows under another date"


def test_its_candles_are_those_of_its_trades(replayed: Home, recording: Recording) -> None:
    lake = truth.lake_of(replayed.setting)
    for hour in HOURS:
        expected = truth.candles(recording.trades[hour])

        def equal(hour: truth.Hour = hour, expected: dict[truth.Key, truth.Candle] = expected) -> bool:
            return {key: candle for key, (candle, _) in truth.lake_candles(lake, hour).items()} == expected

        until(f"the candles of {hour}", equal, 120, every_s=3)


def test_no_frame_was_quarantined(replayed: Home) -> None:
    done = replayed.run("query", "SELECT count(*) AS n FROM dead_letter", "--format", "csv")
    assert done.stdout.split() == ["n", "0"]
