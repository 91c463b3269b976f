"""A TCP proxy whose connections can be cut without a close frame, as a broken line cuts them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_CHUNK = 65536


class Proxy:
    """Forwards 127.0.0.1:`port` to another local port until it is closed."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._clients: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])

    def _do(self, step: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.append(writer)
        with contextlib.suppress(OSError):
            upstream, to_upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            up, down = self._copy(reader, to_upstream), self._copy(upstream, writer)
            await asyncio.wait([asyncio.ensure_future(up), asyncio.ensure_future(down)], return_when="FIRST_COMPLETED")
            to_upstream.transport.abort()
        writer.transport.abort()
        self._clients.remove(writer)

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                writer.write(data)
                await writer.drain()

    def cut_oldest(self) -> None:
        """Break the connection that has been open for longest."""

        async def cut() -> None:
            self._clients[0].transport.abort()

        self._do(cut())

    def close(self) -> None:
        """Break everything."""

        async def end() -> None:
            self._server.close()
            for writer in self._clients:
                writer.transport.abort()

        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
