"""`python -m upbit_exchange.flood` sends the market's frames, encoded beforehand, paced or as fast as they are taken.

For benchmarks of clients: what is measured is the client, so nothing is computed here per frame but its key. Every
frame has a key of its own. One command a line on stdin, one answer a line on stdout, both JSON:

    {"streams": ["trade"], "frames": 100000, "rate": 0}      ->  {"sent": 100000, "seconds": 2.1, "bytes": 44000000}

`rate` = frames a second, 0 = as fast as the sockets take them. It waits for a socket of each stream first. The first
line on stdout is {"port": …}; the end of stdin ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from upbit_exchange.market import listing
from upbit_exchange.market.market import LocalMarket
from upbit_exchange.server.server import WEBSOCKET_PATH
from upbit_exchange.wire import frames, spelling
from upbit_exchange.wire.names import SHORT, STREAMS, Event, Stream

TICK_S = 0.001
PATIENCE_S = 30.0
TOGETHER = 64  # frames in one write when there is no pace
_BEGAN_MS = 1_767_225_600_000  # 2026-01-01
# The field that makes a frame's key its own, and the number that it counts from; the length never changes.
_COUNTED: dict[Stream, tuple[str, int]] = {
    "trade": ("sequential_id", _BEGAN_MS * 10_000),
    "ticker": ("timestamp", _BEGAN_MS),
    "orderbook": ("timestamp", _BEGAN_MS),
}


class Template(NamedTuple):
    """A frame with its WebSocket header, cut where its own number stands."""

    stream: Stream
    head: bytes
    tail: bytes
    first: int

    def frame(self, number: int) -> bytes:
        """Returns the whole frame with the key of `number`."""
        return b"%b%d%b" % (self.head, self.first + number, self.tail)


class Command(msgspec.Struct):
    """One line of stdin."""

    streams: list[Stream]
    frames: int
    rate: float = 0.0


def template(event: Event, simple: bool) -> Template:
    """Returns the event's frame in format DEFAULT or SIMPLE as a template."""
    name, first = _COUNTED[event.stream]
    body = frames.simple(event.stream, event.frame) if simple else event.frame
    spelled = SHORT[event.stream][name] if simple else name
    found = re.search(rb'"%b":([0-9]+)' % spelled.encode(), body)
    assert found is not None
    head, tail = body[: found.start(1)], body[found.end(1) :]
    return Template(event.stream, _header(len(head) + len(str(first)) + len(tail)) + head, tail, first)


def _header(length: int) -> bytes:
    """The header of an unmasked binary frame (RFC 6455, 5.2)."""
    return b"\x82" + (bytes([length]) if length < 126 else b"\x7e" + length.to_bytes(2, "big"))


class Flood:
    """Serves one client's sockets and sends what it asks for."""

    def __init__(self, events: Sequence[Event], markets: Sequence[listing.Market]) -> None:
        self._templates = {simple: [template(event, simple) for event in events] for simple in (False, True)}
        self._markets = msgspec.json.encode([listing.named(market) for market in markets])
        self._sockets: dict[Stream, tuple[ServerConnection, bool]] = {}
        self._numbers = itertools.count()

    async def serve_client(self, connection: ServerConnection) -> None:
        """Notes what the client asks for; the latest socket of a stream gets its frames."""
        with contextlib.suppress(ConnectionClosed):  # a client that was killed says no goodbye
            async for message in connection:
                request: list[dict[str, Any]] = msgspec.json.decode(message)
                simple = any(part.get("format") == "SIMPLE" for part in request)
                for part in request:
                    if part.get("type") in STREAMS:
                        self._sockets[part["type"]] = (connection, simple)

    def answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        """REST answers every request with the list of markets."""
        if request.path.startswith(WEBSOCKET_PATH):
            return None
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(self._markets))})
        headers["Connection"] = "close"
        return Response(200, "OK", headers, self._markets)

    async def run(self, command: Command) -> dict[str, float]:
        """Sends as commanded; returns how much, and how long it took until the sockets had it."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            while not all(self._is_open(stream) for stream in command.streams):
                await asyncio.sleep(0.01)
        began, size = loop.time(), 0
        source = self._frames(command.streams)
        if command.rate:
            size = await self._paced(source, command)
        else:
            size = await self._unpaced(source, command.frames)
        await self._drain(command.streams)
        return {"sent": command.frames, "seconds": loop.time() - began, "bytes": size}

    def _is_open(self, stream: Stream) -> bool:
        return stream in self._sockets and not self._sockets[stream][0].transport.is_closing()

    def _frames(self, streams: Sequence[Stream]) -> Iterator[tuple[ServerConnection, bytes]]:
        """Frames of these streams without end, in the market's order."""
        order = [
            (self._sockets[made.stream][0], made)
            for made in self._templates[self._sockets[streams[0]][1]]
            if made.stream in streams
        ]
        for connection, made in itertools.cycle(order):
            yield connection, made.frame(next(self._numbers))

    async def _unpaced(self, source: Iterator[tuple[ServerConnection, bytes]], wanted: int) -> int:
        size = 0
        for first in range(0, wanted, TOGETHER):
            batches: dict[ServerConnection, list[bytes]] = {}
            for connection, frame in itertools.islice(source, min(TOGETHER, wanted - first)):
                batches.setdefault(connection, []).append(frame)
            for connection, batch in batches.items():
                data = b"".join(batch)
                size += len(data)
                connection.transport.write(data)
                await connection.drain()
        return size

    async def _paced(self, source: Iterator[tuple[ServerConnection, bytes]], command: Command) -> int:
        loop = asyncio.get_running_loop()
        began, sent, size = loop.time(), 0, 0
        while sent < command.frames:
            due = min(command.frames, int((loop.time() - began) * command.rate) + 1)
            # One write a frame: so the wire sends them.
            for connection, frame in itertools.islice(source, due - sent):
                connection.transport.write(frame)
                size += len(frame)
            sent = due
            await self._drain(command.streams)
            await asyncio.sleep(TICK_S)
        return size

    async def _drain(self, streams: Sequence[Stream]) -> None:
        for stream in streams:
            await self._sockets[stream][0].drain()


async def _serve(port: int, flood: Flood) -> None:
    async with serve(
        flood.serve_client, "127.0.0.1", port, process_request=flood.answer, compression=None, ping_interval=None
    ) as server:
        _say({"port": next(iter(server.sockets)).getsockname()[1]})
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                _say(await flood.run(msgspec.json.decode(line, type=Command)))
            except (msgspec.MsgspecError, TimeoutError, ConnectionError) as error:
                _say({"error": f"{type(error).__name__}: {error}"})


def _say(answer: dict[str, Any]) -> None:
    print(msgspec.json.encode(answer).decode(), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Encodes the frames, then serves them."""
    parser = argparse.ArgumentParser(prog="python -m upbit_exchange.flood", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 = any free port")
    parser.add_argument("--codes", type=int, default=100, help="markets")
    parser.add_argument("--events", type=int, default=6000, help="different frames, sent in turn")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    markets = listing.markets(options.codes)
    market = LocalMarket(markets, 1000, options.seed, _BEGAN_MS, spelling.dotted)
    uvloop.run(_serve(options.port, Flood(market.take(sys.maxsize, options.events), markets)))


if __name__ == "__main__":
    main(sys.argv[1:])
