"""Frames reach the taker in order, once each, whichever way they go: handed over, or through the library's queue."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from upbit_ingester.upbit.fast_connection import FastConnection

FRAMES = 500
Serve = Callable[[ServerConnection], Awaitable[None]]


class Taker:
    """A session in small: what is not handed over is received."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.received = 0
        self.full = False
        self.broken_at: int | None = None

    def take(self, data: bytes) -> None:
        if len(self.taken) == self.broken_at:
            raise ValueError("a defect")
        self.taken.append(data)

    async def read(self, socket: FastConnection) -> None:
        with socket.handing_to(self.take, lambda: self.full):
            while True:
                data = await socket.recv(decode=False)
                self.received += 1
                self.take(data)
                self.full = False
                socket.resume()


async def read_from(sends: Serve, taker: Taker) -> None:
    async with serve(sends, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(
            f"ws://127.0.0.1:{port}", create_connection=FastConnection, max_queue=(16, 4), close_timeout=1
        ) as socket:
            assert isinstance(socket, FastConnection)
            await socket.send("begin")
            async with asyncio.timeout(20):
                await taker.read(socket)


def run(sends: Serve, taker: Taker) -> None:
    with pytest.raises(ConnectionClosed):
        asyncio.run(read_from(sends, taker))


async def numbers(socket: ServerConnection) -> None:
    await socket.recv()
    for frame in WANTED:
        await socket.send(frame)


# Together more than one reading of the socket brings (256 KiB), however the machine is loaded.
WANTED = [b"%2000d" % number for number in range(FRAMES)]


def test_frames_are_handed_over() -> None:
    taker = Taker()
    run(numbers, taker)
    assert taker.taken == WANTED
    assert taker.received == 0


def test_a_full_taker_makes_the_rest_wait_in_order() -> None:
    taker = Taker()
    taker.full = True
    run(numbers, taker)
    assert taker.taken == WANTED
    assert 0 < taker.received < FRAMES, "it must go both ways"


def test_a_message_in_parts_keeps_its_place() -> None:
    async def sends(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(b"0")
        await socket.send([b"1", b"", b"1"])
        await socket.send("2")
        await socket.ping()
        await socket.send(b"3")

    taker = Taker()
    run(sends, taker)
    assert taker.taken == [b"0", b"11", b"2", b"3"]
    assert taker.received >= 1


def test_a_defect_ends_the_reading_task() -> None:
    taker = Taker()
    taker.broken_at = 3
    with pytest.raises(ValueError, match="a defect"):
        asyncio.run(read_from(numbers, taker))
    assert taker.taken == WANTED[:3]


def test_nothing_is_taken_once_the_reader_has_ended() -> None:
    """A frame of the time in which a silent connection is closed would hide what is missing before it."""
    taker = Taker()

    async def sends(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(b"before")
        await socket.recv()
        await socket.send(b"after")

    async def give_up_and_go_on() -> bytes:
        async with serve(sends, "127.0.0.1", 0, compression=None) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}", create_connection=FastConnection) as socket:
                assert isinstance(socket, FastConnection)
                await socket.send("begin")
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await taker.read(socket)
                await socket.send("go on")
                async with asyncio.timeout(20):
                    return bytes(await socket.recv(decode=False))

    assert asyncio.run(give_up_and_go_on()) == b"after"
    assert taker.taken == [b"before"]
