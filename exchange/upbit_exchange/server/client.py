"""A client is a socket, with its subscription and the frames that go to it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from upbit_exchange.faults import socket_faults
from upbit_exchange.market import levels
from upbit_exchange.wire import frames, requests
from upbit_exchange.wire.limits import MessageLimit
from upbit_exchange.wire.names import Channel, Event, Format, Update
from upbit_exchange.wire.requests import View


class Client(ServerConnection):
    """The client's socket is written to without waiting; one that does not read is dropped like a broken line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.active_at = time.monotonic()
        self.pinged = False
        self.deaf = False  # half-open: what comes is not heard, nothing is said
        self.subscription: requests.Subscription | None = None
        self.format: Format = "DEFAULT"
        self.realtime: dict[tuple[Channel, str], dict[View, None]] = {}
        self.messages = MessageLimit()
        self.connects_left = 0

    def data_received(self, data: bytes) -> None:
        """Notes that the socket is alive: any byte from the client counts, a protocol ping too."""
        self.active_at = time.monotonic()
        if not self.deaf:
            super().data_received(data)

    def drop(self) -> None:
        """Ends the TCP connection without a close frame (the client sees 1006)."""
        self.transport.abort()

    def silence(self) -> None:
        """The client gets no more frames of its subscription."""
        self.realtime = {}

    def write(self, messages: Iterable[bytes], pieces: int = 1) -> None:
        """Sends binary frames now, each in so many fragments."""
        if self.protocol.state is not State.OPEN or self.deaf:
            return
        for message in messages:
            if pieces > 1:
                socket_faults.send_in_pieces(self.protocol, message, pieces)
            else:
                self.protocol.send_binary(message)
        self.active_at = time.monotonic()
        self.send_data()

    @property
    def waiting_bytes(self) -> int:
        """Returns how many bytes the client has not read yet (beyond the operating system's buffers)."""
        return self.transport.get_write_buffer_size()


class Batch:
    """The events of one tick, encoded once a format and view, and only for those that a client asked for."""

    def __init__(self, events: Sequence[Event | Update], respell: bool) -> None:
        self._events = events
        self._respell = respell
        self._made: dict[tuple[int, View, Format], bytes] = {}

    def messages(self, client: Client) -> list[bytes]:
        """Returns the frames of this batch that the client subscribed to."""
        chosen = client.realtime
        return [
            self._frame(index, event, view, client.format)
            for index, event in enumerate(self._events)
            for view in chosen.get((event.stream, event.code), ())
        ]

    def _frame(self, index: int, event: Event | Update, view: View, wanted: Format) -> bytes:
        if wanted == "DEFAULT" and view == requests.WHOLE:
            return event.frame
        made = self._made.get((index, view, wanted))
        if made is None:
            made = encode(event, view, wanted, self._respell)
            self._made[index, view, wanted] = made
        return made


def encode(event: Event | Update, view: View, wanted: Format, respell: bool) -> bytes:
    """Returns an event's frame for one client: the view of a book, then format."""
    frame = event.frame
    if event.stream == "orderbook" and view != requests.WHOLE:
        frame = frames.shallow(levels.book(frame, view.level), view.depth)
    return frames.in_format(event.stream, frame, wanted, respell)
