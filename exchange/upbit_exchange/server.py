"""The thin shell: one port for WebSocket and REST, a loop that publishes what is due, sockets that are bounded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from upbit_exchange import frames, levels, protocol
from upbit_exchange.clock import wall_ms
from upbit_exchange.exchange import Exchange
from upbit_exchange.http_reply import refusal, remaining
from upbit_exchange.http_reply import response as _response
from upbit_exchange.limits import WEBSOCKET, MessageLimit, RateLimit
from upbit_exchange.protocol import View
from upbit_exchange.rest import Reply
from upbit_exchange.settings import Settings
from upbit_exchange.wire import STREAMS, Channel, Event, Format, Update

TICK_S = 0.02
UP_EVERY_S = 10.0
NARROW_WAIT_S = 2.0
CLOSE_AFTER_ERROR_S = 0.16
WEBSOCKET_PATH = "/websocket/v1"

_log = logging.getLogger("upbit_exchange")


class Client(ServerConnection):
    """One socket. It is written to without waiting; one that does not read is dropped like a broken line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.active_at = time.monotonic()
        self.pinged = False
        self.subscription: protocol.Subscription | None = None
        self.format: Format = "DEFAULT"
        self.realtime: dict[tuple[Channel, str], dict[View, None]] = {}
        self.messages = MessageLimit()
        self.connects_left = 0

    def data_received(self, data: bytes) -> None:
        """Any byte from the client, a protocol ping too, keeps the socket alive."""
        self.active_at = time.monotonic()
        super().data_received(data)

    def drop(self) -> None:
        """End the TCP connection without a close frame (the client sees 1006)."""
        self.transport.abort()

    def write(self, messages: Iterable[bytes]) -> None:
        """Send binary frames now."""
        if self.protocol.state is not State.OPEN:
            return
        for message in messages:
            self.protocol.send_binary(message)
        self.active_at = time.monotonic()
        self.send_data()

    @property
    def waiting_bytes(self) -> int:
        """What the client has not read yet (beyond the operating system's buffers)."""
        return self.transport.get_write_buffer_size()


class Batch:
    """The events of one tick, encoded once a format and view, and only for those somebody asked for."""

    def __init__(self, events: Sequence[Event | Update], respell: bool) -> None:
        self._events = events
        self._respell = respell
        self._made: dict[tuple[int, View, Format], bytes] = {}

    def messages(self, client: Client) -> list[bytes]:
        """What this client subscribed to."""
        chosen = client.realtime
        return [
            self._frame(index, event, view, client.format)
            for index, event in enumerate(self._events)
            for view in chosen.get((event.stream, event.code), ())
        ]

    def _frame(self, index: int, event: Event | Update, view: View, wanted: Format) -> bytes:
        if wanted == "DEFAULT" and view == protocol.WHOLE:
            return event.frame
        made = self._made.get((index, view, wanted))
        if made is None:
            made = encode(event, view, wanted, self._respell)
            self._made[index, view, wanted] = made
        return made


def encode(event: Event | Update, view: View, wanted: Format, respell: bool) -> bytes:
    """An event's frame for one client: the view of a book, then format."""
    frame = event.frame
    if event.stream == "orderbook" and view != protocol.WHOLE:
        frame = frames.shallow(levels.book(frame, view.level), view.depth)
    return frames.in_format(event.stream, frame, wanted, respell)


class ExchangeServer:
    """Sockets around an Exchange."""

    def __init__(self, exchange: Exchange, settings: Settings) -> None:
        self._exchange = exchange
        self._settings = settings
        self._limit = RateLimit(settings.rate_limit)
        self._clients: set[Client] = set()
        self._let_go: asyncio.TimerHandle | None = None

    # --- WebSocket -------------------------------------------------------------------------------------------------

    async def _serve_client(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Client)
        self._clients.add(connection)
        try:
            async for message in connection:
                self._handle(connection, message)
        except protocol.RequestError as refusal:
            connection.realtime = {}
            connection.write([refusal.frame])
            await asyncio.sleep(CLOSE_AFTER_ERROR_S)
            await connection.close(1000)
        except ConnectionClosed:
            pass
        finally:
            self._clients.discard(connection)
            self._exchange.candles.want(self._wanted())

    def _handle(self, client: Client, message: str | bytes) -> None:
        if not client.messages.allows(int(wall_ms())) and self._settings.rate_limit:
            raise protocol.RequestError(*protocol.TOO_MANY_MESSAGES)
        request = protocol.parse(message)
        if isinstance(request, protocol.Ping):
            client.pinged = True
        elif isinstance(request, protocol.ListRequest):
            client.format = request.format or client.format
            client.write([protocol.listing(request, client.subscription, client.format)])
        else:
            self._subscribe(client, request)

    def _subscribe(self, client: Client, subscription: protocol.Subscription) -> None:
        client.subscription = subscription
        client.format = subscription.format
        wanted: dict[tuple[Channel, str], dict[View, None]] = {}
        snapshots: list[bytes] = []
        for wish in subscription.wishes:
            views = self._exchange.views(wish)
            if wish.snapshot:
                snapshots += self._snapshots(wish.stream, views, client.format)
            if wish.realtime:
                for code, view in views.items():
                    wanted.setdefault((wish.stream, code), {})[view] = None
        client.realtime = wanted
        client.write(snapshots)
        self._start_clock()

    def _snapshots(self, channel: Channel, views: dict[str, View], wanted: Format) -> list[bytes]:
        found = [(self._exchange.latest(channel, code), view) for code, view in views.items()]
        respell = self._exchange.respell
        return [
            encode(msgspec.structs.replace(event, frame=frames.snapshot(event.frame)), view, wanted, respell)
            for event, view in found
            if event is not None
        ]

    def _wanted(self) -> set[tuple[Channel, str]]:
        return {event for client in self._clients for event in client.realtime}

    def _start_clock(self) -> None:
        """The market waits for a full audience (of all sockets), or for 2 s without another subscription."""
        wanted = self._wanted()
        self._exchange.candles.want(wanted)
        if self._exchange.clock.running or not wanted:
            return
        if self._let_go is not None:
            self._let_go.cancel()
        full = all((stream, code) in wanted for stream in STREAMS for code in self._exchange.codes)
        wait_s = 0.0 if full else NARROW_WAIT_S
        self._let_go = asyncio.get_running_loop().call_later(wait_s, self._exchange.let_go)

    # --- REST ------------------------------------------------------------------------------------------------------

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        assert isinstance(connection, Client)
        url = urlsplit(request.path)
        if url.path == "/_local/status":
            listening = sum(1 for client in self._clients if client.realtime)
            return _response(Reply(200, msgspec.json.encode(self._exchange.status(listening))), None)
        group = WEBSOCKET if url.path == WEBSOCKET_PATH else self._exchange.rest.group(url.path)
        left = None
        if group:
            address = str(connection.remote_address[0])
            verdict = self._limit.take(address, group, int(wall_ms()), "Origin" in request.headers)
            if verdict.status != 200:
                return refusal(verdict, group)
            left = remaining(group, verdict.left)
            connection.connects_left = verdict.left
        if group == WEBSOCKET:
            return None
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        reply = self._exchange.rest.answer(url.path, query, self._exchange.clock.now_ms())
        return _response(reply, left, "gzip" in request.headers.get("Accept-Encoding", ""))

    @staticmethod
    def _process_response(connection: ServerConnection, _request: Request, response: Response) -> None:
        assert isinstance(connection, Client)
        if response.status_code == 101:
            response.headers["remaining-req"] = remaining(WEBSOCKET, connection.connects_left)
            response.headers["limit-by-ip"] = "Yes"

    # --- loops -----------------------------------------------------------------------------------------------------

    async def _publish(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            events: list[Event | Update] = [*self._exchange.publish_due(), *self._exchange.candles_due()]
            if events:
                batch = Batch(events, self._exchange.respell)
                for client in list(self._clients):
                    messages = batch.messages(client) if client.realtime else []
                    if messages:
                        client.write(messages)
                        self._bound(client)
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())

    def _bound(self, client: Client) -> None:
        if client.waiting_bytes > self._settings.client_buffer_mb * (1 << 20):
            _log.warning("dropped a client that does not read: %d bytes were waiting for it", client.waiting_bytes)
            client.drop()

    async def _say_up(self) -> None:
        while True:
            await asyncio.sleep(UP_EVERY_S)
            for client in list(self._clients):
                if client.pinged:
                    client.write([protocol.UP])

    async def _drop_idle(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._settings.idle_timeout / 4))
            oldest = time.monotonic() - self._settings.idle_timeout
            for client in list(self._clients):
                if client.active_at < oldest:
                    client.drop()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set or a loop fails (its error is raised: a ledger that cannot be written)."""
        # The library logs every REST answer as a failed handshake.
        quiet = logging.getLogger("upbit_exchange.websockets")
        quiet.setLevel(logging.CRITICAL)
        async with serve(
            self._serve_client,
            self._settings.host,
            self._settings.port,
            process_request=self._process_request,
            process_response=self._process_response,
            create_connection=Client,
            ping_interval=None,
            close_timeout=1,
            max_size=1 << 20,
            server_header=None,
            logger=quiet,
        ) as server:
            _announce(server)
            loops = [asyncio.create_task(loop()) for loop in (self._publish, self._say_up, self._drop_idle)]
            waiting = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait([*loops, waiting], return_when=asyncio.FIRST_COMPLETED)
            for task in (*loops, waiting):
                task.cancel()
            for task in done:
                task.result()


def _announce(server: Server) -> None:
    host, port = next(iter(server.sockets)).getsockname()[:2]
    _log.info("listening on ws://%s:%d%s and http://%s:%d/v1", host, port, WEBSOCKET_PATH, host, port)


async def serve_until_signal(exchange: Exchange, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    await ExchangeServer(exchange, settings).run(stop)
