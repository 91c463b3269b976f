"""The ingester put together: settings in, exit code out."""

import asyncio
import fcntl
import logging
import os
import random
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

import msgspec
from confluent_kafka import KafkaError, Producer
from prometheus_client import CollectorRegistry

from upbit_ingester.backoff import Backoff
from upbit_ingester.clock import Clock
from upbit_ingester.continuity.refetch import Refetcher, Target
from upbit_ingester.delivery.producer import Delivery, Lane, producer_settings
from upbit_ingester.delivery.pump import DEAD_LETTER, Item, Pump, PumpSettings, keep
from upbit_ingester.health import liveness
from upbit_ingester.health.endpoints import Endpoints, Health
from upbit_ingester.health.liveness import Pulse, Watchdog
from upbit_ingester.health.metrics import Collector, Metrics
from upbit_ingester.settings import Settings, SettingsError
from upbit_ingester.spool import state as states
from upbit_ingester.spool.gap_log import Gap, Gaps
from upbit_ingester.spool.log import Spool
from upbit_ingester.spool.state import Change, State
from upbit_ingester.streams.expiry import Expiry
from upbit_ingester.streams.left_over import take_over
from upbit_ingester.streams.rest_sink import RestSink
from upbit_ingester.streams.shared import Shared
from upbit_ingester.streams.socket_sink import SocketSink
from upbit_ingester.streams.stream import StreamSink
from upbit_ingester.upbit.budgets import Budgets
from upbit_ingester.upbit.markets import Markets
from upbit_ingester.upbit.rest import RestClient
from upbit_ingester.upbit.session import Session

log = logging.getLogger(__name__)

DRAIN_S = 20.0  # with the sockets' close below the 25 s that a supervisor waits
EXIT_OK = 0
EXIT_UNDELIVERED = 1


class Service:
    """The service is one run of the ingester."""

    def __init__(self, settings: Settings) -> None:
        """Take over the spool directory and bind the HTTP port.

        Raises:
            SettingsError: another ingester holds the directory, the disk refuses, or the port is taken.
        """
        self._settings = settings
        self._lock = _lock(settings)
        self._metrics = Metrics()
        self._clock = Clock()
        self._trades = settings.contract.trades
        self._gaps = Gaps(settings.spool_dir, self._clock.wall_ms)
        state_path = settings.spool_dir / "state.json"
        try:
            kept = states.load(state_path)
            lanes = self._lanes()
            take_over(lanes.values(), settings.contract.streams, kept, state_path, self._metrics)
        except OSError as error:
            raise SettingsError(f"INGESTER_SPOOL_DIR: cannot read or write the spool ({error})") from None
        self._state = msgspec.json.decode(msgspec.json.encode(kept), type=State)
        self._pump = Pump(
            PumpSettings(settings.spool_max_bytes, settings.spool_sync_s, state_path),
            lanes,
            partial(self._delivery, list(lanes.values())),
            kept,
            self._metrics,
            self._clock.monotonic_s,
            chore=self._expiry(lanes).look,
        )
        self._stopping = asyncio.Event()
        self._loop_heartbeat_s = self._clock.monotonic_s()
        self._endpoints = self._bind()

    # -- parts ---------------------------------------------------------------------------------------------------

    def _lanes(self) -> dict[str, Lane]:
        topics = {name: stream.topic for name, stream in self._settings.contract.streams.items()}
        topics[DEAD_LETTER] = self._settings.contract.dead_letter_topic
        return {name: Lane(name, topic, self._spool(name), Backoff(random.random)) for name, topic in topics.items()}

    def _spool(self, name: str) -> Spool:
        clock = self._clock
        return Spool(self._settings.spool_dir / name, clock.monotonic_s, wall_clock=clock.wall_s)

    def _expiry(self, lanes: dict[str, Lane]) -> Expiry:
        expiring = [lanes[name] for name, stream in self._settings.contract.streams.items() if stream.expires]
        return Expiry(expiring, self._settings.spool_max_age_s, self._gaps, self._metrics)

    def _delivery(self, lanes: list[Lane], refuse: Callable[[Any, str], bool]) -> Delivery:
        def make(on_error: Callable[[KafkaError], None]) -> Producer:
            settings = producer_settings(self._settings.kafka, on_error)
            return Producer(settings, logger=logging.getLogger("librdkafka"))

        bound = self._settings.in_flight_max_bytes
        return Delivery(lanes, make, self._metrics, self._clock.monotonic_s, bound, refuse)

    def _bind(self) -> Endpoints:
        registry = CollectorRegistry()
        registry.register(Collector(self._metrics, self._pump.gauges, self._clock.wall_s))
        host, port = self._settings.http_host, self._settings.http_port
        try:
            return Endpoints(host, port, self._live, self._ready, self._known_gaps, registry)
        except OSError as error:
            text = f"INGESTER_HTTP_HOST, INGESTER_HTTP_PORT: cannot listen on {host}:{port} ({error.strerror})"
            raise SettingsError(text) from None

    # -- health --------------------------------------------------------------------------------------------------

    def _pulse(self) -> Pulse:
        now = self._clock.monotonic_s()
        return Pulse(now - self._loop_heartbeat_s, now - self._pump.heartbeat_s, self._pump.is_alive())

    def _live(self) -> Health:
        return liveness.live(self._pulse())

    def _ready(self) -> Health:
        metrics = self._metrics
        oldest_s, refused = self._pump.gauges().oldest_s, self._pump.login_refused
        return liveness.ready(metrics.connected, metrics.received, self._settings.streams, oldest_s, refused)

    def _known_gaps(self) -> list[Gap]:
        name = self._trades.name if self._trades else ""
        since_ms = {code: known.gap_from_ms for code, known in dict(self._state.trades).items()}
        fetching = [Gap(name, 1, "refetch", ms, 0, 0, 0, code) for code, ms in since_ms.items() if ms is not None]
        return self._gaps.report(fetching)

    async def _beat(self) -> None:
        while True:
            self._loop_heartbeat_s = self._clock.monotonic_s()
            await asyncio.sleep(0.5)

    # -- the run -------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Ingest until SIGTERM or SIGINT; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        self._pump.start()
        self._endpoints.start()
        beat = loop.create_task(self._beat())
        watchdog = Watchdog(self._pulse, lambda: self._stopping.is_set())
        watchdog.start()
        ingest = loop.create_task(self._ingest())
        stopping = loop.create_task(self._stopping.wait())
        await asyncio.wait([ingest, stopping], return_when=asyncio.FIRST_COMPLETED)
        if ingest.done() and not ingest.cancelled() and (error := ingest.exception()):
            log.critical("stopped by an unexpected error (a bug)", exc_info=error)
        self._stopping.set()
        ingest.cancel()
        await asyncio.wait([ingest])
        code = await self._drain()
        beat.cancel()
        return code if not ingest.done() or ingest.cancelled() or ingest.exception() is None else EXIT_UNDELIVERED

    async def _drain(self) -> int:
        log.info("stopping: sockets closed, %d records to deliver", self._pump.undelivered())
        self._pump.stop(self._clock.monotonic_s() + DRAIN_S)
        await asyncio.get_running_loop().run_in_executor(None, self._pump.join)
        self._endpoints.stop()
        left = self._pump.undelivered()
        if left:
            log.error("stopped with %d records undelivered; the spool keeps them for the next start", left)
            return EXIT_UNDELIVERED
        log.info("stopped: everything is delivered")
        return EXIT_OK

    async def _ingest(self) -> None:
        budgets = Budgets(self._clock)
        client = RestClient(self._settings.rest_url, self._metrics, budgets)
        backoff, sockets = Backoff(random.random), self._settings.redundancy
        codes, event_ms, listed = self._settings.codes, self._event_ms, self._listed
        markets = Markets(codes, client, self._metrics, backoff, event_ms, listed, sockets)
        try:
            await markets.start()
            await self._streams(client, budgets, markets)
        finally:
            client.close()

    def _event_ms(self) -> int:
        mark = self._state.streams.get(self._trades.name) if self._trades else None
        return mark.event_ms if mark is not None else 0

    def _listed(self, codes: tuple[str, ...], since_ms: int) -> None:
        """The trades of a new market are fetched back to when it was not listed yet."""
        if self._trades is None or not since_ms:
            return
        name = self._trades.name
        for code in codes:
            if code not in self._state.trades:
                keep(self._pump, self._state, Item(name, None, Change("baseline", name, code, since_ms)))

    async def _streams(self, client: RestClient, budgets: Budgets, markets: Markets) -> None:
        refetcher = self._refetcher(client, self._trades.name) if self._trades else None
        heal = refetcher.add if refetcher else _never
        shared = Shared(self._pump, self._state, self._metrics, self._gaps, markets.codes, heal, self._clock)
        streams = [self._settings.contract.streams[name] for name in self._settings.streams]
        sinks = [StreamSink(stream, shared, self._settings.redundancy) for stream in streams]
        async with asyncio.TaskGroup() as tasks:
            if refetcher:
                tasks.create_task(refetcher.run())
            tasks.create_task(markets.follow(self._settings.markets_refresh_s))
            tasks.create_task(_look(sinks))
            for sink in sinks:
                for session in self._sessions(sink, budgets, markets):
                    tasks.create_task(session.run())

    def _refetcher(self, client: RestClient, trades: str) -> Refetcher:
        rest = RestSink(trades, self._pump, self._state, self._metrics, self._gaps, self._clock)
        known, room = self._state.trades.get, self._pump.room
        return Refetcher(client, self._metrics, known, room, rest.keep, rest.healed, rest.unreachable)

    def _sessions(self, stream: StreamSink, budgets: Budgets, markets: Markets) -> Iterator[Session]:
        """One session a socket; with two of them `-a` and `-b` stand in their names."""
        for number, (socket, letter) in enumerate(zip(stream.sockets, "ab", strict=False)):
            name = stream.name if len(stream.sockets) == 1 else f"{stream.name}-{letter}"
            yield Session(
                self._settings.websocket_url,
                stream.name,
                name,
                partial(markets.codes, number),
                SocketSink(name, stream, socket),
                Backoff(random.random),
                budgets,
                self._settings.silence_s,
                self._clock,
            )


def _never(target: Target) -> None:
    raise AssertionError(f"{target}: no stream of the contract holds trades")


async def _look(sinks: list[StreamSink]) -> NoReturn:
    while True:
        await asyncio.sleep(1.0)
        for sink in sinks:
            sink.look()


def _lock(settings: Settings) -> int:
    """Hold the spool directory: two writers of one spool would tear each other's segments."""
    handle = os.open(settings.spool_dir / "lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise SettingsError(f"INGESTER_SPOOL_DIR: another ingester works in {settings.spool_dir}") from None
    return handle
