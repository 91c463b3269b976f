"""The exchange without its sockets: source, clock, ledger and board put together, and rebuilt after a restart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from upbit_exchange import levels, listing
from upbit_exchange.candle_feed import CandleFeed
from upbit_exchange.clock import ExchangeClock
from upbit_exchange.lag import NO_LAG, RestLag
from upbit_exchange.market import LocalMarket
from upbit_exchange.memory import Memory
from upbit_exchange.protocol import View, Wish
from upbit_exchange.replay import Recording, Replay
from upbit_exchange.rest import Rest
from upbit_exchange.settings import Settings
from upbit_exchange.source import Source
from upbit_exchange.tape import TRADE_PRICES
from upbit_exchange.wire import CANDLES, Channel, Event, Update

EVENTS_AT_ONCE = 2_000


class Exchange:
    """What the server asks: events due, state for snapshots, REST, status."""

    def __init__(
        self, source: Source, memory: Memory, clock: ExchangeClock, fresh: bool, rest_lag: RestLag = NO_LAG
    ) -> None:
        self.source = source
        self.board = memory.board
        self.clock = clock
        self.rest = Rest(memory.board, source.markets, rest_lag)
        self.candles = CandleFeed(memory.board.history)
        self.codes = frozenset(market.code for market in source.markets)
        self._memory = memory
        self._begin = fresh
        self._whole_to_ms = 0

    @property
    def respell(self) -> bool:
        """Whether SIMPLE books get their own number spelling (a recording keeps its text)."""
        return not isinstance(self.source, Replay)

    def let_go(self) -> None:
        """Let the clock run: somebody listens."""
        if not self.clock.running:
            self.clock.let_go()
            if self._begin:
                self.source.begin(self.clock.now_ms())

    def publish_due(self) -> list[Event]:
        """The events due now, already in the ledger and on the board: ready to be sent."""
        if not self.clock.running:
            return []
        now = self.clock.now_ms()
        events = self.source.take(now, EVENTS_AT_ONCE)
        self._memory.record("realtime", events)
        self.candles.published(events)
        if len(events) < EVENTS_AT_ONCE:
            self._whole_to_ms = now
        return events

    def candles_due(self) -> list[Update]:
        """The candle frames due by the moment up to which everything has been published."""
        return self.candles.due(self._whole_to_ms)

    def latest(self, channel: Channel, code: str) -> Event | Update | None:
        """What a SNAPSHOT shows; None for an unknown code."""
        if channel in CANDLES:
            return self.candles.latest(channel, code, self.clock.now_ms())
        return self.board.last.get((channel, code))

    def views(self, wish: Wish) -> dict[str, View]:
        """How each code of a wish is to be seen; without the codes whose books are not gathered at its level."""
        level = levels.units(wish.level)
        return {
            code: View(depth, level)
            for code, depth in wish.codes.items()
            if not level or level in self.rest.levels(code)
        }

    def status(self, subscribers: int) -> dict[str, Any]:
        """What /_local/status says."""
        now = self.clock.now_ms()
        return {
            "clock": datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds"),
            "clock_ms": now,
            "running": self.clock.running,
            "published": {**self.board.published, "total": self.board.total},
            "entries": self.board.entries,
            "subscribers": subscribers,
            "ended": self.source.ended,
            "source": "replay" if isinstance(self.source, Replay) else "market",
        }

    def close(self) -> None:
        """Let go of the ledger."""
        self._memory.close()


def _identity(settings: Settings, recording: Recording | None) -> dict[str, Any]:
    if recording:
        return {"source": "replay", "frames": recording.frames, "first_ms": recording.first_ms}
    return {"source": "market", "codes": settings.codes, "seed": settings.seed}


def open_exchange(settings: Settings, recording: Recording | None, wall_ms: Callable[[], float]) -> Exchange:
    """A new exchange, or the one that the ledger remembers. LedgerError when the ledger cannot be used."""
    memory = Memory(settings.ledger, _identity(settings, recording), int(settings.ledger_keep_gb * (1 << 30)))
    try:
        if recording:
            return _replay(settings, recording, memory, wall_ms)
        return _market(settings, memory, wall_ms)
    except BaseException:
        memory.close()
        raise


def _replay(settings: Settings, recording: Recording, memory: Memory, wall_ms: Callable[[], float]) -> Exchange:
    source = Replay(recording, memory.board.total)
    start = settings.start_ms if settings.start_ms is not None and not memory.board.entries else source.next_ms
    return Exchange(source, memory, ExchangeClock(wall_ms, start, settings.speed), fresh=False)


def _market(settings: Settings, memory: Memory, wall_ms: Callable[[], float]) -> Exchange:
    board = memory.board
    start = settings.start_ms
    resumed = bool(board.entries)
    if resumed and start is not None:
        start = max(start, board.newest_ms)
    opened = start if start is not None else int(wall_ms())
    market = LocalMarket(
        listing.markets(settings.codes), settings.rate, settings.seed, opened, TRADE_PRICES[settings.trade_prices]
    )
    # All of them at first; after a start that was killed in the middle of writing them, the rest.
    initial = [event for event in market.initial() if (event.stream, event.code) not in board.last]
    if resumed:
        market.restore(board.last, board.history, board.entries)
        market.begin(opened)
    memory.record("initial", initial)
    # Without --start the market begins when the clock is let go, which is later than now.
    clock = ExchangeClock(wall_ms, start, settings.speed)
    lag = RestLag(int(settings.rest_lag * 1000), settings.seed, since_ms=board.newest_ms + 1)
    return Exchange(market, memory, clock, start is None, lag)
