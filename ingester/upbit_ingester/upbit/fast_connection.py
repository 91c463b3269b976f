"""A client connection that hands frames over as they are parsed: one wake-up takes all frames of a segment.

The library puts each frame in a queue and wakes the task that reads it. Here nothing stands between the parser and the
taker, as long as the taker keeps up. What cannot be handed over goes through the library's queue, and so does all that
follows it until the queue is empty: the order of frames is kept.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode

_WHOLE = (Opcode.BINARY, Opcode.TEXT)


class FastConnection(ClientConnection):
    """`connect` takes it as `create_connection`. Outside `handing_to` it behaves as the library's own."""

    _take: Callable[[bytes], None] | None = None
    _is_full: Callable[[], bool]
    _hands_over = False

    @contextmanager
    def handing_to(self, take: Callable[[bytes], None], is_full: Callable[[], bool]) -> Iterator[None]:
        """For the block give each frame to `take`; when `is_full` says so, the next ones wait for `recv` instead.

        Behind the block nothing is taken any more: a frame that comes while the connection closes would hide that
        others before it are missing.
        """
        self._take, self._is_full = take, is_full
        self.resume()
        try:
            yield
        finally:
            self._take, self._hands_over = None, False

    def resume(self) -> None:
        """After a `recv`: hand over again, unless more waits to be received."""
        self._hands_over = self._take is not None and len(self.recv_messages.frames) == 0

    def process_event(self, event: Any) -> None:
        """See the library: called for each frame, in order."""
        if self._hands_over and isinstance(event, Frame):
            if event.opcode in _WHOLE and event.fin:
                if self._handed_over(bytes(event.data)):
                    return
            elif event.opcode is Opcode.CONT or event.opcode in _WHOLE:
                self._hands_over = False  # a message in parts: the library joins them
        super().process_event(event)

    def data_received(self, data: bytes) -> None:
        """See the library: called for each segment."""
        super().data_received(data)
        if self._hands_over and self._is_full():
            self._hands_over = False

    def _handed_over(self, data: bytes) -> bool:
        assert self._take is not None
        try:
            self._take(data)
        except Exception:
            self._hands_over = False  # the transport would swallow it: the reading task must meet it and end
            return False
        return True
