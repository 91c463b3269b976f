"""The thin shell: one port for WebSocket and REST, a loop that publishes what is due, sockets that are bounded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Iterable
from hashlib import md5
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from upbit_exchange import frames, protocol
from upbit_exchange.exchange import Exchange
from upbit_exchange.limits import RateLimit
from upbit_exchange.rest import JSON, TOO_MANY, Reply
from upbit_exchange.settings import Settings
from upbit_exchange.wire import STREAMS, Event, Format, Stream

TICK_S = 0.02
UP_EVERY_S = 10.0
NARROW_WAIT_S = 2.0
CLOSE_AFTER_ERROR_S = 0.16
WEBSOCKET_PATH = "/websocket/v1"
_PHRASES = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}

_log = logging.getLogger("upbit_exchange")


class Client(ServerConnection):
    """One socket. It is written to without waiting; one that does not read is dropped like a broken line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.active_at = time.monotonic()
        self.pinged = False
        self.subscription: protocol.Subscription | None = None
        self.format: Format = "DEFAULT"
        self.realtime: dict[tuple[Stream, str], tuple[int, ...]] = {}

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
    """The events of one tick, encoded once a format and depth, and only for those somebody asked for."""

    def __init__(self, events: list[Event], respell: bool) -> None:
        self._events = events
        self._respell = respell
        self._made: dict[tuple[int, int, Format], bytes] = {}

    def messages(self, client: Client) -> list[bytes]:
        """What this client subscribed to."""
        chosen = client.realtime
        return [
            self._frame(index, event, depth, client.format)
            for index, event in enumerate(self._events)
            for depth in chosen.get((event.stream, event.code), ())
        ]

    def _frame(self, index: int, event: Event, depth: int, wanted: Format) -> bytes:
        if wanted == "DEFAULT" and depth == protocol.DEPTHS[-1]:
            return event.frame
        made = self._made.get((index, depth, wanted))
        if made is None:
            made = encode(event, depth, wanted, self._respell)
            self._made[index, depth, wanted] = made
        return made


def encode(event: Event, depth: int, wanted: Format, respell: bool) -> bytes:
    """An event's frame for one client: book depth, then format."""
    cut = event.stream == "orderbook" and depth < protocol.DEPTHS[-1]
    frame = frames.shallow(event.frame, depth) if cut else event.frame
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

    def _handle(self, client: Client, message: str | bytes) -> None:
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
        wanted: dict[tuple[Stream, str], tuple[int, ...]] = {}
        snapshots: list[bytes] = []
        for wish in subscription.wishes:
            if wish.level:
                continue  # grouped books are not made: silence, as for an unsupported level
            if wish.snapshot:
                snapshots += self._snapshots(wish, client.format)
            if wish.realtime:
                for code, depth in wish.codes.items():
                    depths = wanted.get((wish.stream, code), ())
                    wanted[wish.stream, code] = depths if depth in depths else (*depths, depth)
        client.realtime = wanted
        client.write(snapshots)
        self._start_clock()

    def _snapshots(self, wish: protocol.Wish, wanted: Format) -> list[bytes]:
        last = self._exchange.board.last
        found = [(last.get((wish.stream, code)), depth) for code, depth in wish.codes.items()]
        respell = self._exchange.respell
        return [
            encode(msgspec.structs.replace(event, frame=frames.snapshot(event.frame)), depth, wanted, respell)
            for event, depth in found
            if event is not None
        ]

    def _start_clock(self) -> None:
        """The market waits for a full audience (of all sockets), or for 2 s without another subscription."""
        wanted = {event for client in self._clients for event in client.realtime}
        if self._exchange.clock.running or not wanted:
            return
        if self._let_go is not None:
            self._let_go.cancel()
        full = all((stream, code) in wanted for stream in STREAMS for code in self._exchange.codes)
        wait_s = 0.0 if full else NARROW_WAIT_S
        self._let_go = asyncio.get_running_loop().call_later(wait_s, self._exchange.let_go)

    # --- REST ------------------------------------------------------------------------------------------------------

    def _process_request(self, _connection: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if url.path == WEBSOCKET_PATH:
            return None
        if url.path == "/_local/status":
            listening = sum(1 for client in self._clients if client.realtime)
            return _response(Reply(200, msgspec.json.encode(self._exchange.status(listening))), None)
        group = self._exchange.rest.group(url.path)
        left = self._limit.take(group, int(time.time() * 1000)) if group else None
        if group and left is None:
            return _response(TOO_MANY, f"group={group}; min=600; sec=0")
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        reply = self._exchange.rest.answer(url.path, query, self._exchange.clock.now_ms())
        return _response(reply, f"group={group}; min=600; sec={left}" if group else None)

    @staticmethod
    def _process_response(_connection: ServerConnection, _request: Request, response: Response) -> None:
        if response.status_code == 101:
            response.headers["remaining-req"] = "group=websocket; min=300; sec=4"
            response.headers["limit-by-ip"] = "Yes"

    # --- loops -----------------------------------------------------------------------------------------------------

    async def _publish(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            events = self._exchange.publish_due()
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


def _response(reply: Reply, remaining: str | None) -> Response:
    headers = Headers()
    headers["Content-Type"] = reply.content_type
    headers["Content-Length"] = str(len(reply.body))
    headers["Connection"] = "close"
    headers["Cache-Control"] = "no-cache, no-store, max-age=0, must-revalidate"
    headers["Pragma"] = "no-cache"
    headers["Expires"] = "0"
    headers["Vary"] = "origin,access-control-request-method,access-control-request-headers,accept-encoding"
    if reply.content_type == JSON and reply.status == 200:
        headers["ETag"] = f'W/"{md5(reply.body, usedforsecurity=False).hexdigest()}"'
    if remaining is not None:
        headers["Remaining-Req"] = remaining
        headers["Limit-By-Ip"] = "Yes"
    return Response(reply.status, _PHRASES[reply.status], headers, reply.body)


async def serve_until_signal(exchange: Exchange, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    await ExchangeServer(exchange, settings).run(stop)
