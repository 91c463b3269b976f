"""Frames for benchmarks: the market's own, each with a key of its own, with the header that the wire has."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from upbit_exchange.flood import Command, Flood, template
from upbit_exchange.market import listing
from upbit_exchange.market.market import LocalMarket
from upbit_exchange.wire import spelling
from upbit_exchange.wire.names import Event, Stream

MARKETS = listing.markets(3)
KEYS = {"trade": ("sequential_id", "sid"), "ticker": ("timestamp", "tms"), "orderbook": ("timestamp", "tms")}


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return list(LocalMarket(MARKETS, 1000, 1, 1_767_225_600_000, spelling.dotted).take(sys.maxsize, 300))


@pytest.mark.parametrize("simple", [False, True])
@pytest.mark.parametrize("stream", KEYS)
def test_only_the_key_differs(events: list[Event], stream: Stream, simple: bool) -> None:
    event = next(event for event in events if event.stream == stream)
    made = template(event, simple)
    frames = [made.frame(number) for number in (0, 7)]
    bodies = []
    for frame in frames:
        start = 2 if frame[1] < 126 else 4
        assert frame[0] == 0x82
        assert len(frame) - start == (frame[1] if start == 2 else int.from_bytes(frame[2:4], "big"))
        bodies.append(json.loads(frame[start:]))
    key = KEYS[stream][simple]
    assert bodies[1].pop(key) - bodies[0].pop(key) == 7
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("rate", [0.0, 5000.0])
def test_a_client_gets_every_frame_it_asked_for_once(events: list[Event], rate: float) -> None:
    async def received() -> list[dict[str, object]]:
        flood = Flood(events, MARKETS)
        async with serve(flood.serve_client, "127.0.0.1", 0, compression=None) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with asyncio.timeout(20), connect(f"ws://127.0.0.1:{port}/websocket/v1") as client:
                request = [{"ticket": "t"}, {"type": "trade"}, {"type": "ticker"}, {"format": "DEFAULT"}]
                await client.send(json.dumps(request))
                answer = await flood.run(Command(["trade", "ticker"], 200, rate))
                assert answer["sent"] == 200
                return [json.loads(await client.recv()) for _ in range(200)]

    frames = asyncio.run(received())
    assert {frame["type"] for frame in frames} == {"trade", "ticker"}
    keys = {(f["type"], f["code"], f["sequential_id" if f["type"] == "trade" else "timestamp"]) for f in frames}
    assert len(keys) == 200
