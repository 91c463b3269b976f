"""Socket faults close, break or deafen a client's connection; `faults.active` decides which one, and when."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Collection, Coroutine, Iterable, Sequence
from typing import Any, Protocol

from websockets.protocol import Protocol as WebSocket
from websockets.protocol import State

from upbit_exchange.faults.active import Faults
from upbit_exchange.faults.catalogue import Order
from upbit_exchange.faults.mangle import ERROR, Extra
from upbit_exchange.wire.names import Channel

# On, for 0 s: close() sends RST and forgets what was not sent yet.
_LINGER_0 = struct.pack("ii", 1, 0)
CLOSE_AFTER_ERROR_S = 0.16

_closing: set[asyncio.Task[None]] = set()  # the loop itself keeps no strong reference to a task


class Target(Protocol):
    """The connection of a client, as far as faults touch it."""

    deaf: bool

    @property
    def protocol(self) -> WebSocket:
        """The WebSocket protocol without its I/O."""

    @property
    def transport(self) -> asyncio.Transport:
        """The TCP connection."""

    @property
    def realtime(self) -> Collection[tuple[Channel, str]]:
        """Returns the channels and codes that the client subscribed to."""

    def write(self, messages: Iterable[bytes]) -> None:
        """Sends binary frames now."""

    def silence(self) -> None:
        """The client gets no more frames of its subscription."""

    def drop(self) -> None:
        """Ends the TCP connection without a close frame."""

    def send_data(self) -> None:
        """Hands what the protocol made to the transport."""

    async def close(self, code: int) -> None:
        """Does the closing handshake."""


async def refuse(client: Target, frame: bytes) -> None:
    """Sends an error frame, then closes with 1000, as Upbit does."""
    client.silence()
    client.write([frame])
    await asyncio.sleep(CLOSE_AFTER_ERROR_S)
    await client.close(1000)


def act_on_sockets(clients: Sequence[Target], faults: Faults, now: float) -> None:
    """The faults act on the sockets now; `clients` oldest first."""
    sound = [client for client in clients if client.protocol.state is State.OPEN and not client.deaf]
    for index, order in faults.socket_acts([client.realtime for client in sound], now):
        _act_on(sound[index], order)


def _act_on(client: Target, order: Order) -> None:
    if order.name == "close":
        _later(client.close(int(order.number("close_code"))))
    elif order.name == "error_close":
        _later(refuse(client, ERROR))
    elif order.name == "half_open":
        client.silence()
        client.deaf = True
    else:
        if order.name == "reset":
            client.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        client.drop()


def _later(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    _closing.add(task)
    task.add_done_callback(_closing.discard)


def send_in_pieces(protocol: WebSocket, message: bytes, pieces: int) -> None:
    """Sends one message in so many fragments (RFC 6455 5.4); short ones have empty fragments."""
    step = -(-len(message) // pieces)
    protocol.send_binary(message[:step], fin=False)
    for piece in range(1, pieces):
        protocol.send_continuation(message[piece * step : (piece + 1) * step], fin=piece == pieces - 1)


def send_extras(clients: Sequence[Target], extras: Iterable[Extra]) -> None:
    """Sends each wrong frame to the clients that subscribed to the event it was made from."""
    for extra in extras:
        for client in clients:
            if (extra.event.stream, extra.event.code) in client.realtime and client.protocol.state is State.OPEN:
                _send_extra(client, extra)


def _send_extra(client: Target, extra: Extra) -> None:
    if extra.how == "raw":
        client.transport.write(extra.payload)
    elif extra.how == "text":
        client.protocol.send_text(extra.payload)
        client.send_data()
    else:
        client.write([extra.payload])
