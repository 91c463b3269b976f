"""A session keeps one socket of a stream: it connects, subscribes, reads, and begins again whatever happens.

Upbit acknowledges nothing, closes with 1000 after an error and drops idle sockets without a close frame: every close
is a failure here, and silence is one too.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable
from typing import NoReturn, Protocol
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from upbit_ingester.backoff import Backoff, stated_wait_s
from upbit_ingester.clock import Clock
from upbit_ingester.upbit.budgets import Budgets
from upbit_ingester.upbit.fast_connection import FastConnection
from upbit_ingester.upbit.socket import SILENCE, SNAPSHOT_WAIT_S

log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 8 * 1024 * 1024
PING_S = 20
PONG_S = 10
CLOSE_S = 2
_QUEUE_FRAMES = (256, 64)  # frames buffered by the library before it stops reading, and where it resumes


class Sink(Protocol):
    """A session gives its frames to a sink."""

    def connected(self, codes: tuple[str, ...]) -> None:
        """The socket is open and subscribed to `codes`."""

    def frame(self, connection: str, number: int, data: bytes, received_ns: int) -> bool:
        """Take one frame; True when it was data."""

    def resubscribed(self, codes: tuple[str, ...]) -> None:
        """The codes are about to be replaced by `codes`; every SNAPSHOT comes again."""

    def check_snapshots(self) -> None:
        """Every SNAPSHOT has had its time: say which codes have sent none."""

    def lost(self, cause: str) -> None:
        """The connection is gone, or none came about."""

    async def room(self) -> None:
        """Return when frames may be read."""

    def is_full(self) -> bool:
        """True when reading must pause."""


class SilenceError(Exception):
    """No data frame within the bound."""


def subscription(stream: str, codes: tuple[str, ...], ticket: str) -> str:
    """The one request frame of a socket: a second request would replace the first, so it lists every code."""
    request = [
        {"ticket": ticket},
        {"type": stream, "codes": codes, "is_only_snapshot": False, "is_only_realtime": False},
        {"format": "DEFAULT"},
    ]
    return msgspec.json.encode(request).decode("utf-8")


def cause_of(error: BaseException) -> str:
    """The cause why a connection ended is a short name from a bounded set (it is a metric's label)."""
    # From the special to the general: the library's errors are OSErrors or each other's subclasses.
    if isinstance(error, SilenceError):
        return SILENCE
    if isinstance(error, ConnectionClosed):
        # Our own close frame names the cause when we gave up (1011 = no pong, 1009 = frame too large).
        close = error.sent if error.sent is not None and not error.rcvd_then_sent else error.rcvd
        return f"close_{close.code if close is not None else 1006}"
    if isinstance(error, InvalidStatus):
        return f"handshake_{error.response.status_code}"
    if isinstance(error, InvalidHandshake):
        return "handshake"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, OSError):
        return "connect"
    return "defect"


def refusal(error: BaseException) -> tuple[int, float]:
    """(HTTP status, how many seconds it asks to stay away) of a refused handshake; (0, 0.0) for any other end."""
    if not isinstance(error, InvalidStatus):
        return 0, 0.0
    response = error.response
    body = bytes(response.body or b"").decode("utf-8", "replace")
    return response.status_code, stated_wait_s(response.status_code, response.headers, body)


class Session:
    """A session keeps one socket of a stream open for ever."""

    def __init__(
        self,
        url: str,
        stream: str,
        name: str,
        codes: Callable[[], tuple[str, ...]],
        sink: Sink,
        backoff: Backoff,
        budgets: Budgets,
        silence_s: float,
        clock: Clock,
    ) -> None:
        """`name` is the socket's own, in the log and in the id of each of its connections."""
        self._url = url
        self._stream = stream
        self._name = name
        self._codes = codes
        self._sink = sink
        self._backoff = backoff
        self._budgets = budgets
        self._silence_s = silence_s
        self._last_data_s = 0.0
        self._connections = itertools.count(1)
        self._clock = clock
        self._run = f"{clock.wall_ms():x}"

    async def run(self) -> NoReturn:
        """Connect, read, wait, again; without a limit of attempts."""
        while True:
            await self._sink.room()
            await self._budgets.turn(self._budgets.connects)
            try:
                await self._connection()
            except Exception as error:
                self._sink.lost(cause_of(error))
                wait = self._backoff.next_s()
                status, asked_s = refusal(error)
                if asked_s:
                    self._budgets.refused(self._budgets.connects, status, asked_s)
                self._explain(error, max(wait, asked_s))
            await asyncio.sleep(wait)

    def _explain(self, error: Exception, wait_s: float) -> None:
        cause = cause_of(error)
        text = " ".join(str(error).split())[:200]
        if cause == "defect":
            log.error(
                "%s: unexpected error while reading, a bug (%s: %s)",
                self._name,
                type(error).__name__,
                text,
                exc_info=error,
            )
        log.warning("%s: connection lost or refused (%s: %s); next try in %.1f s", self._name, cause, text, wait_s)

    async def _connection(self) -> NoReturn:
        connection = f"{self._run}-{self._name}-{next(self._connections)}"
        loopback = urlsplit(self._url).hostname in ("127.0.0.1", "::1", "localhost")
        async with connect(
            self._url,
            compression=None if loopback else "deflate",
            proxy=None if loopback else True,
            open_timeout=10,
            ping_interval=PING_S,
            ping_timeout=PONG_S,
            close_timeout=CLOSE_S,
            max_size=MAX_FRAME_BYTES,
            max_queue=_QUEUE_FRAMES,
            create_connection=FastConnection,
        ) as socket:
            assert isinstance(socket, FastConnection)
            codes = self._codes()
            await socket.send(subscription(self._stream, codes, connection))
            log.info("%s: connected as %s, %d codes", self._name, connection, len(codes))
            self._sink.connected(codes)
            await self._read(socket, connection, codes)

    async def _read(self, socket: FastConnection, connection: str, codes: tuple[str, ...]) -> NoReturn:
        loop = asyncio.get_running_loop()
        self._last_data_s = loop.time()
        try:
            async with asyncio.timeout(self._silence_s) as deadline:
                tasks = [
                    loop.create_task(self._extend(deadline)),
                    loop.create_task(self._follow(socket, connection, codes)),
                ]
                try:
                    await self._frames(socket, connection)
                finally:
                    for task in tasks:
                        task.cancel()
        except TimeoutError:
            raise SilenceError(f"no data for {self._silence_s:.0f} s") from None

    async def _extend(self, deadline: asyncio.Timeout) -> None:
        # Moving a timer with each frame would cost more than the frame: once a second is exact enough.
        while not deadline.expired():
            await asyncio.sleep(1.0)
            deadline.reschedule(self._last_data_s + self._silence_s)

    async def _follow(self, socket: FastConnection, connection: str, codes: tuple[str, ...]) -> NoReturn:
        """Check what the subscription brought, then wait for another list of codes and subscribe to that.

        A second request replaces the first and counts as a message (docs/upbit.md#limits):
        one in ten seconds at the most.
        """
        for number in itertools.count(2):
            await asyncio.sleep(SNAPSHOT_WAIT_S)
            self._sink.check_snapshots()
            while (wanted := self._codes()) is codes:
                await asyncio.sleep(1.0)
            codes = wanted
            self._sink.resubscribed(codes)
            with contextlib.suppress(ConnectionClosed):  # the reader meets it too
                await socket.send(subscription(self._stream, codes, f"{connection}-{number}"))
            log.info("%s: subscribed to %d codes instead", self._name, len(codes))
        raise AssertionError("itertools.count ends")

    async def _frames(self, socket: FastConnection, connection: str) -> NoReturn:
        loop = asyncio.get_running_loop()
        numbers, now_ns = itertools.count(1), self._clock.wall_ns
        fresh = True

        def take(data: bytes) -> None:
            nonlocal fresh
            if self._sink.frame(connection, next(numbers), data, now_ns()):
                self._last_data_s = loop.time()
                if fresh:
                    self._backoff.reset()
                    fresh = False

        # Frames come straight from the parser while we keep up, else through `recv`; `take` sees all of them in order.
        with socket.handing_to(take, self._sink.is_full):
            while True:
                take(await socket.recv(decode=False))
                if self._sink.is_full():
                    await self._pause()
                socket.resume()

    async def _pause(self) -> None:
        log.warning("%s: the spool is full, reading pauses", self._name)
        room = asyncio.ensure_future(self._sink.room())
        while not room.done():
            await asyncio.wait([room], timeout=1.0)
            self._last_data_s = asyncio.get_running_loop().time()  # our own pause is not the exchange's silence
