"""A small busy market to meet faults in, and how its frames are read."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.integration.local_exchange import (
    Exchange,
    ask,
    awaited,
    everything,
    received,
)
from upbit_exchange.journal import ledger

CODES = 6
OPTIONS = ("--codes", str(CODES), "--rate", "200", "--no-rate-limit", "--rest-lag", "0")


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
