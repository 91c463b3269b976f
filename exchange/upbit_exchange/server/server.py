"""The server holds one port for WebSocket and REST, publishes what is due and bounds each socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from upbit_exchange.clock import wall_ms
from upbit_exchange.exchange import Exchange
from upbit_exchange.faults import socket_faults
from upbit_exchange.rest.handlers import Reply
from upbit_exchange.rest.http_reply import refusal, refused, remaining
from upbit_exchange.rest.http_reply import response as _response
from upbit_exchange.server import admin
from upbit_exchange.server.client import Batch, Client, encode
from upbit_exchange.settings import Settings
from upbit_exchange.wire import frames, requests
from upbit_exchange.wire.limits import WEBSOCKET, RateLimit
from upbit_exchange.wire.names import STREAMS, Channel, Event, Update
from upbit_exchange.wire.requests import View

TICK_S = 0.02
UP_EVERY_S = 10.0
NARROW_WAIT_S = 2.0
WEBSOCKET_PATH = "/websocket/v1"

_log = logging.getLogger("upbit_exchange")


class ExchangeServer:
    """The server puts sockets around an Exchange."""

    def __init__(self, exchange: Exchange, settings: Settings) -> None:
        self._exchange = exchange
        self._settings = settings
        self._limit = RateLimit(settings.rate_limit)
        self._clients: dict[Client, None] = {}  # oldest first
        self._let_go: asyncio.TimerHandle | None = None

    # --- WebSocket -------------------------------------------------------------------------------------------------

    async def _serve_client(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Client)
        self._clients[connection] = None
        try:
            async for message in connection:
                self._handle(connection, message)
        except requests.RequestError as refusal:
            await socket_faults.refuse(connection, refusal.frame)
        except ConnectionClosed:
            pass
        finally:
            self._clients.pop(connection, None)
            self._exchange.candles.want(self._wanted())

    def _handle(self, client: Client, message: str | bytes) -> None:
        if not client.messages.allows(int(wall_ms())) and self._settings.rate_limit:
            raise requests.RequestError(*requests.TOO_MANY_MESSAGES)
        request = requests.parse(message)
        if isinstance(request, requests.Ping):
            client.pinged = True
        elif isinstance(request, requests.ListRequest):
            client.format = request.format or client.format
            client.write([requests.listing(request, client.subscription, client.format)])
        else:
            self._subscribe(client, request)

    def _subscribe(self, client: Client, subscription: requests.Subscription) -> None:
        client.subscription = subscription
        client.format = subscription.format
        wanted: dict[tuple[Channel, str], dict[View, None]] = {}
        for wish in subscription.wishes:
            views = self._exchange.views(wish)
            if wish.snapshot:
                self._send_snapshots(client, wish.stream, views)
            if wish.realtime:
                for code, view in views.items():
                    wanted.setdefault((wish.stream, code), {})[view] = None
        client.realtime = wanted
        self._start_clock()

    def _send_snapshots(self, client: Client, channel: Channel, views: dict[str, View]) -> None:
        """One SNAPSHOT a code, at once or as late as a fault makes it."""
        now = time.monotonic()
        made: dict[float, list[bytes]] = {0.0: []}
        for code, view in views.items():
            event = self._exchange.latest(channel, code)
            delay = self._exchange.faults.snapshot_delay(channel, code, now) if event else None
            if event is not None and delay is not None:
                shown = msgspec.structs.replace(event, frame=frames.snapshot(event.frame))
                made.setdefault(delay, []).append(encode(shown, view, client.format, self._exchange.respell))
        client.write(made.pop(0.0))
        for delay, late in made.items():
            asyncio.get_running_loop().call_later(delay, client.write, late)

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
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        faults, now = self._exchange.faults, time.monotonic()
        if url.path == "/_local/status":
            listening = sum(1 for client in self._clients if client.realtime)
            return _response(Reply(200, msgspec.json.encode(self._exchange.status(listening))), None)
        # A fault refuses before the limit counts, so that what it refuses uses up no quota. The handshake goes on to
        # the WebSocket library (None) only after both.
        group = WEBSOCKET if url.path == WEBSOCKET_PATH else self._exchange.rest.group(url.path)
        left = None
        fault = faults.refused(group, now) if group else None
        if fault:
            return refused(fault)
        if group:
            address = str(connection.remote_address[0])
            result = self._limit.take(address, group, int(wall_ms()), "Origin" in request.headers)
            if result.status != 200:
                return refusal(result, group)
            left = remaining(group, result.left)
            connection.connects_left = result.left
        if group == WEBSOCKET:
            return None
        self._exchange.rest.behind_ms = int(faults.setting("rest_lag", "ms", now) or 0)
        reply = self._exchange.rest.answer(url.path, query, self._exchange.clock.now_ms())
        return _response(reply, left, "gzip" in request.headers.get("Accept-Encoding", ""))

    def _administer(self, _connection: ServerConnection, request: Request) -> Response:
        url = urlsplit(request.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        return _response(admin.answer(self._exchange, url.path, query, time.monotonic()), None)

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
            self._send_due(time.monotonic())
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())

    def _send_due(self, now: float) -> None:
        faults = self._exchange.faults
        events: list[Event | Update] = [*self._exchange.publish_due(now), *self._exchange.candles_due()]
        sent = faults.deliver(events, now)
        if sent.events:
            batch = Batch(sent.events, self._exchange.respell)
            pieces = faults.pieces(now, len(sent.events))
            for client in list(self._clients):
                messages = batch.messages(client) if client.realtime else []
                if messages:
                    client.write(messages, pieces)
                    self._bound(client)
        socket_faults.send_extras(list(self._clients), sent.extras)
        socket_faults.act_on_sockets(list(self._clients), faults, now)

    def _bound(self, client: Client) -> None:
        if client.waiting_bytes > self._settings.client_buffer_mb * (1 << 20):
            _log.warning("dropped a client that does not read: %d bytes were waiting for it", client.waiting_bytes)
            client.drop()

    async def _say_up(self) -> None:
        while True:
            await asyncio.sleep(UP_EVERY_S)
            for client in list(self._clients):
                if client.pinged:
                    client.write([requests.UP])

    async def _drop_idle(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._settings.idle_timeout / 4))
            now = time.monotonic()
            changed = self._exchange.faults.setting("idle_timeout", "seconds", now)
            oldest = now - (changed or self._settings.idle_timeout)
            for client in list(self._clients):
                if client.active_at < oldest and not client.deaf:
                    client.drop()

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set or a loop fails (its error is raised: a ledger that cannot be written)."""
        async with contextlib.AsyncExitStack() as servers:
            if self._settings.admin_port is not None:
                administer = self._listen(self._settings.admin_port, process_request=self._administer)
                _announce(await servers.enter_async_context(administer), f"faults: http://%s:%d{admin.PATH}")
            wire = self._listen(
                self._settings.port,
                process_request=self._process_request,
                process_response=self._process_response,
                create_connection=Client,
            )
            where = f"listening on ws://%s:%d{WEBSOCKET_PATH} and http://%s:%d/v1"
            _announce(await servers.enter_async_context(wire), where)
            loops = [asyncio.create_task(loop()) for loop in (self._publish, self._say_up, self._drop_idle)]
            waiting = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait([*loops, waiting], return_when=asyncio.FIRST_COMPLETED)
            for task in (*loops, waiting):
                task.cancel()
            for task in done:
                task.result()

    def _listen(self, port: int, **options: Any) -> AbstractAsyncContextManager[Server]:
        # The library logs every REST answer as a failed handshake.
        quiet = logging.getLogger("upbit_exchange.websockets")
        quiet.setLevel(logging.CRITICAL)
        return serve(
            self._serve_client,
            self._settings.host,
            port,
            ping_interval=None,
            close_timeout=1,
            max_size=1 << 20,
            server_header=None,
            logger=quiet,
            **options,
        )


def _announce(server: Server, text: str) -> None:
    address = next(iter(server.sockets)).getsockname()[:2]
    _log.info(text, *address * (text.count("%d")))


async def serve_until_signal(exchange: Exchange, settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    await ExchangeServer(exchange, settings).run(stop)
