"""One stream's socket: connect, subscribe, read, and begin again whatever happens.

Upbit acknowledges nothing, closes with 1000 after an error and drops idle sockets without a close frame: every close
is a failure here, and silence is one too.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable
from typing import NoReturn, Protocol
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from upbit_ingester.backoff import Backoff, Pace, stated_wait_s

log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 8 * 1024 * 1024
PING_S = 20
PONG_S = 10
CLOSE_S = 2
SNAPSHOT_WAIT_S = 10.0
_QUEUE_FRAMES = (256, 64)  # frames buffered by the library before it stops reading, and where it resumes


class Sink(Protocol):
    """Where a session's frames go."""

    def connected(self) -> None:
        """The socket is open and subscribed."""

    def frame(self, connection: str, number: int, data: bytes, received_ns: int) -> bool:
        """Take one frame; True when it was data."""

    def missing_snapshots(self) -> int:
        """Codes that have sent no SNAPSHOT on this connection."""

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
    """A short name for why a connection ended, from a bounded set (it is a metric's label)."""
    if isinstance(error, SilenceError):
        return "silence"
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


def asked_wait_s(error: BaseException) -> float:
    """How long a refused handshake asks to stay away, in seconds."""
    if not isinstance(error, InvalidStatus):
        return 0.0
    response = error.response
    body = bytes(response.body or b"").decode("utf-8", "replace")
    return stated_wait_s(response.status_code, response.headers, body)


class Session:
    """Keeps one stream's socket open for ever."""

    def __init__(
        self,
        url: str,
        stream: str,
        codes: Callable[[], tuple[str, ...]],
        sink: Sink,
        backoff: Backoff,
        pace: Pace,
        silence_s: float,
    ) -> None:
        self._url = url
        self._stream = stream
        self._codes = codes
        self._sink = sink
        self._backoff = backoff
        self._pace = pace
        self._silence_s = silence_s
        self._last_data_s = 0.0
        self._connections = itertools.count(1)
        self._run = f"{time.time_ns() // 1_000_000:x}"

    async def run(self) -> NoReturn:
        """Connect, read, wait, again; without a limit of attempts."""
        while True:
            await self._sink.room()
            await asyncio.sleep(self._pace.reserve(asyncio.get_running_loop().time()))
            try:
                await self._connection()
            except Exception as error:
                self._sink.lost(cause_of(error))
                wait = max(self._backoff.next_s(), asked_wait_s(error))
                self._explain(error, wait)
            await asyncio.sleep(wait)

    def _explain(self, error: Exception, wait_s: float) -> None:
        cause = cause_of(error)
        text = " ".join(str(error).split())[:200]
        if cause == "defect":
            log.error("%s: defect while reading (%s: %s)", self._stream, type(error).__name__, text, exc_info=error)
        log.warning("%s: connection lost or refused (%s: %s); next try in %.1f s", self._stream, cause, text, wait_s)

    async def _connection(self) -> NoReturn:
        connection = f"{self._run}-{self._stream}-{next(self._connections)}"
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
        ) as socket:
            codes = self._codes()
            await socket.send(subscription(self._stream, codes, connection))
            log.info("%s: connected as %s, %d codes", self._stream, connection, len(codes))
            self._sink.connected()
            await self._read(socket, connection)

    async def _read(self, socket: ClientConnection, connection: str) -> NoReturn:
        loop = asyncio.get_running_loop()
        self._last_data_s = loop.time()
        snapshots = loop.call_later(SNAPSHOT_WAIT_S, self._check_snapshots)
        try:
            async with asyncio.timeout(self._silence_s) as deadline:
                watch = loop.create_task(self._extend(deadline))
                try:
                    await self._frames(socket, connection)
                finally:
                    watch.cancel()
        except TimeoutError:
            raise SilenceError(f"no data for {self._silence_s:.0f} s") from None
        finally:
            snapshots.cancel()

    async def _extend(self, deadline: asyncio.Timeout) -> None:
        # Moving a timer with each frame would cost more than the frame: once a second is exact enough.
        while not deadline.expired():
            await asyncio.sleep(1.0)
            deadline.reschedule(self._last_data_s + self._silence_s)

    async def _frames(self, socket: ClientConnection, connection: str) -> NoReturn:
        loop = asyncio.get_running_loop()
        fresh = True
        for number in itertools.count(1):
            data = await socket.recv(decode=False)
            if self._sink.frame(connection, number, data, time.time_ns()):
                self._last_data_s = loop.time()
                if fresh:
                    self._backoff.reset()
                    fresh = False
            if self._sink.is_full():
                await self._pause()
        raise AssertionError("itertools.count ends")

    async def _pause(self) -> None:
        log.warning("%s: the spool is full, reading pauses", self._stream)
        room = asyncio.ensure_future(self._sink.room())
        while not room.done():
            await asyncio.wait([room], timeout=1.0)
            self._last_data_s = asyncio.get_running_loop().time()  # our own pause is not the exchange's silence

    def _check_snapshots(self) -> None:
        missing = self._sink.missing_snapshots()
        if missing:
            log.warning("%s: %d codes without a SNAPSHOT after %.0f s", self._stream, missing, SNAPSHOT_WAIT_S)
