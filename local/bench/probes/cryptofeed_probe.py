"""cryptofeed as its users run it: its Upbit feed, pointed to the sender of frames, and its Kafka backend.

Two things are not its defaults: `acks="all"`, so that "acknowledged" means the same for both, and one topic for all
markets (its backend's `topic` is there to be overridden). Runs in cryptofeed's own environment.
"""

import asyncio
import json
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

from cryptofeed import FeedHandler, connection
from cryptofeed.backends.kafka import BookKafka, TradeKafka
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import L2_BOOK, TRADES
from cryptofeed.exchanges import Upbit

EVERY = 20
_notes: list[tuple[int, int]] = []


def _note(received_ns: int, done: asyncio.Future[Any]) -> None:
    if done.exception() is None:
        _notes.append((received_ns, time.time_ns()))


class _Noted:
    """Notes when every twentieth update was received and when Kafka acknowledged it."""

    name: str
    producer: Any
    number = 0
    received_ns = 0

    def topic(self, data: dict[str, Any]) -> str:
        # Called just before each send; what the backend sends it sends one by one.
        self.received_ns = int(data["receipt_timestamp"] * 1e9)
        return self.name

    async def _connect(self) -> None:
        await super()._connect()  # type: ignore[misc]
        send = self.producer.send

        async def noted(*arguments: Any) -> asyncio.Future[Any]:
            sent: asyncio.Future[Any] = await send(*arguments)
            self.number += 1
            if self.number % EVERY == 0:
                sent.add_done_callback(partial(_note, self.received_ns))
            return sent

        self.producer.send = noted


class _Trades(_Noted, TradeKafka):  # type: ignore[misc]
    name = "peer-trades"


class _Books(_Noted, BookKafka):  # type: ignore[misc]
    name = "peer-book"


def _point_to(port: int) -> None:
    Upbit.websocket_endpoints = [WebsocketEndpoint(f"wss://127.0.0.1:{port}/websocket/v1")]
    Upbit.rest_endpoints = [RestEndpoint(f"http://127.0.0.1:{port}", routes=Routes("/v1/market/all"))]
    open_tls = connection.connect  # it refuses ws:// addresses; neither subject pays for TLS here
    connection.connect = lambda address, **options: open_tls(address.replace("wss://", "ws://"), **options)


def _end() -> None:
    Path(os.environ["BENCH_LATENCIES"]).write_text(json.dumps(_notes))
    os._exit(0)


def main() -> None:
    """Until SIGTERM; what is still queued then is left."""
    _point_to(int(os.environ["BENCH_PORT"]))
    login = {
        "security_protocol": "KAFKA_SECURITY_PROTOCOL",
        "sasl_mechanism": "KAFKA_SASL_MECHANISM",
        "sasl_plain_username": "KAFKA_USERNAME",
        "sasl_plain_password": "KAFKA_PASSWORD",
    }
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    kafka = {"bootstrap_servers": servers, "acks": "all", **{key: os.environ[name] for key, name in login.items()}}
    handler = FeedHandler(config={"log": {"filename": "cryptofeed.log", "level": "WARNING"}, "uvloop": True})
    callbacks = {TRADES: _Trades(**kafka), L2_BOOK: _Books(**kafka)}
    handler.add_feed(Upbit(symbols=Upbit.symbols(), channels=[TRADES, L2_BOOK], callbacks=callbacks))
    loop = asyncio.new_event_loop()  # uvloop makes none of itself any more
    asyncio.set_event_loop(loop)
    loop.add_signal_handler(signal.SIGTERM, _end)
    handler.run(install_signal_handlers=False)


if __name__ == "__main__":
    main()
