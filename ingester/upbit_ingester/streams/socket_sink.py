"""The session's view of a stream: one SocketSink a socket, all of them in front of one StreamSink."""

import logging

from upbit_ingester.streams.stream import StreamSink
from upbit_ingester.upbit.markets import named
from upbit_ingester.upbit.socket import SNAPSHOT_WAIT_S, Socket

log = logging.getLogger(__name__)


class SocketSink:
    """A socket's sink is the Sink of one session; it knows which socket of the stream that is."""

    def __init__(self, name: str, stream: StreamSink, socket: Socket) -> None:
        """`name` stands in the log."""
        self._name = name
        self._stream = stream
        self._socket = socket
        self._missing_before: set[str] = set()

    def connected(self, codes: tuple[str, ...]) -> None:
        """See Sink."""
        self._stream.connected(self._socket, codes)

    def resubscribed(self, codes: tuple[str, ...]) -> None:
        """See Sink."""
        self._stream.resubscribed(self._socket, codes)

    def frame(self, connection: str, number: int, data: bytes, received_ns: int) -> bool:
        """See Sink."""
        return self._stream.frame(self._socket, connection, number, data, received_ns)

    def check_snapshots(self) -> None:
        """See Sink."""
        missing = self._socket.missing()
        if missing:
            text = "%s: %d codes without a SNAPSHOT after %.0f s: %s"
            log.warning(text, self._name, len(missing), SNAPSHOT_WAIT_S, named(missing))
        again = missing & self._missing_before
        if again:
            text = "%s: %d of them had none at the subscription before either, likely delisted or never traded: %s"
            log.warning(text, self._name, len(again), named(again))
        self._missing_before = missing

    def lost(self, cause: str) -> None:
        """See Sink."""
        self._stream.lost(self._socket, cause)

    def is_full(self) -> bool:
        """See Sink."""
        return self._stream.is_full()

    async def room(self) -> None:
        """See Sink."""
        await self._stream.room()
