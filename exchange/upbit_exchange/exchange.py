"""The exchange puts source, clock, ledger and board together, without sockets, and rebuilds them after a restart."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from random import Random
from typing import Any

from upbit_exchange.clock import ExchangeClock
from upbit_exchange.faults import scenario
from upbit_exchange.faults.active import Faults
from upbit_exchange.faults.catalogue import FaultError, Order
from upbit_exchange.faults.log import FaultLog
from upbit_exchange.journal.checkpoint import CheckpointedLedger
from upbit_exchange.journal.replay import Recording, Replay
from upbit_exchange.journal.source import Source
from upbit_exchange.market import levels, listing
from upbit_exchange.market.candle_feed import CandleFeed
from upbit_exchange.market.market import LocalMarket
from upbit_exchange.market.tape import TRADE_PRICES
from upbit_exchange.rest.handlers import Rest
from upbit_exchange.rest.lag import NO_LAG, RestLag
from upbit_exchange.settings import Settings
from upbit_exchange.wire.names import CANDLES, Channel, Event, Update
from upbit_exchange.wire.requests import View, Wish

EVENTS_AT_ONCE = 2_000


class Exchange:
    """The exchange gives the server the events that are due, the state for SNAPSHOTs, REST's answers and its status."""

    def __init__(
        self,
        source: Source,
        ledger: CheckpointedLedger,
        clock: ExchangeClock,
        fresh: bool,
        faults: Faults,
        rest_lag: RestLag = NO_LAG,
    ) -> None:
        self.source = source
        self.board = ledger.board
        self.clock = clock
        self.faults = faults
        self.rest = Rest(ledger.board, source.markets, rest_lag)
        self.candles = CandleFeed(ledger.board.history)
        self.codes = frozenset(market.code for market in source.markets)
        self._ledger = ledger
        self._begin = fresh
        self._whole_to_ms = 0
        self._steps: deque[scenario.Step] = deque()
        self._began: float | None = None

    @property
    def replayed(self) -> bool:
        """Whether a recording is published, not a market."""
        return isinstance(self.source, Replay)

    @property
    def respell(self) -> bool:
        """Whether SIMPLE books get their own number spelling (a recording keeps its text)."""
        return not self.replayed

    def let_go(self) -> None:
        """The clock begins to run, because a client listens."""
        if not self.clock.running:
            self.clock.let_go()
            if self._begin:
                self.source.begin(self.clock.now_ms())

    def publish_due(self, now: float) -> list[Event]:
        """Returns the events due now, already in the ledger and on the board. `now`: monotonic seconds."""
        if not self.clock.running:
            return []
        self._follow_scenario(now)
        events = self.faults.alter(self._due(self.clock.now_ms(), now), self.board.history.has, now)
        self._ledger.record("realtime", events)
        self.candles.published(events)
        return events

    def _due(self, ms: int, now: float) -> list[Event]:
        market = self.source
        if isinstance(market, LocalMarket):
            market.quiet = self.faults.without_trades(self.codes, now)
        events = market.take(ms, EVENTS_AT_ONCE)
        if len(events) < EVENTS_AT_ONCE:
            self._whole_to_ms = ms
        return events + self._further(market, ms, now) if isinstance(market, LocalMarket) else events

    def _further(self, market: LocalMarket, ms: int, now: float) -> list[Event]:
        events: list[Event] = []
        for order, count in self.faults.further_trades(now):
            if order.name == "twin":
                events += market.twins(ms, order.code)
            else:
                events += market.further(ms, count, order.code, same_ms=order.name == "same_ms")
        return events

    def candles_due(self) -> list[Update]:
        """Returns the candle frames due by the moment up to which everything has been published."""
        return self.candles.due(self._whole_to_ms)

    def latest(self, channel: Channel, code: str) -> Event | Update | None:
        """Returns the event that a SNAPSHOT shows; None for an unknown code."""
        if code not in self.codes:
            return None
        if channel in CANDLES:
            return self.candles.latest(channel, code, self.clock.now_ms())
        return self.board.last.get((channel, code))

    def views(self, wish: Wish) -> dict[str, View]:
        """Returns the view of each code of a wish, without the codes whose books are not gathered at its level."""
        level = levels.units(wish.level)
        return {
            code: View(depth, level)
            for code, depth in wish.codes.items()
            if not level or level in self.rest.levels(code)
        }

    # --- faults ----------------------------------------------------------------------------------------------------

    def play(self, steps: Iterable[scenario.Step]) -> None:
        """The exchange follows this scenario from the moment that the clock runs."""
        self._steps = deque(steps)

    def _follow_scenario(self, now: float) -> None:
        if self._began is None:
            self._began = now
        while self._steps and self._steps[0].at <= now - self._began:
            step = self._steps.popleft()
            # What was changed by hand meanwhile, or ended by itself, must not stop the scenario.
            with contextlib.suppress(FaultError):
                if step.order:
                    self.switch_on(step.order, now)
                else:
                    self.faults.switch_off(step.clear)

    def switch_on(self, order: Order, now: float) -> int | None:
        """Switches a fault on and returns its number, None if it was done at once. FaultError if it was before."""
        if order.kind.acts != "listing":
            return self.faults.switch_on(order, now)
        if (order.code in self.codes) == (order.name == "list"):
            raise FaultError(f"{order.code} is {'listed' if order.name == 'list' else 'not listed'} already")
        assert isinstance(self.source, LocalMarket)
        assert order.code is not None
        if order.name == "list":
            market = listing.further(order.code)
            shown = self.source.list_market(market, self.clock.now_ms(), self.board.last, self.board.history)
            self._ledger.record("initial", shown)
        else:
            self.source.delist_market(order.code)
        self.codes = frozenset(market.code for market in self.source.markets)
        self.rest.relist(self.source.markets)
        self.faults.count(order.name, order.code)
        return None

    def status(self, subscribers: int) -> dict[str, Any]:
        """Returns what /_local/status answers."""
        now = self.clock.now_ms()
        return {
            "clock": datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds"),
            "clock_ms": now,
            "running": self.clock.running,
            "published": {**self.board.published, "total": self.board.total},
            "entries": self.board.entries,
            "subscribers": subscribers,
            "ended": self.source.ended,
            "source": "replay" if self.replayed else "market",
            "faults": self.faults.counts,
        }

    def close(self) -> None:
        """The ledger is closed, with a checkpoint."""
        self._ledger.close()


def _identity(settings: Settings, recording: Recording | None) -> dict[str, Any]:
    if recording:
        return {"source": "replay", "frames": recording.frames, "first_ms": recording.first_ms}
    return {"source": "market", "codes": settings.codes, "seed": settings.seed}


def open_exchange(settings: Settings, recording: Recording | None, wall_ms: Callable[[], float]) -> Exchange:
    """Returns a new exchange, or the one that the ledger holds. LedgerError when the ledger cannot be used."""
    ledger = CheckpointedLedger(
        settings.ledger, _identity(settings, recording), int(settings.ledger_keep_gb * (1 << 30))
    )
    try:
        source, clock = (
            _replay(settings, recording, ledger, wall_ms) if recording else _market(settings, ledger, wall_ms)
        )
        # Without --start the market begins when the clock is let go, which is later than now.
        fresh = recording is None and settings.start_ms is None
        faults = Faults(Random(settings.seed), FaultLog(settings.ledger / "faults.jsonl", wall_ms).note)
        since_ms = ledger.board.newest_ms + 1
        lag = NO_LAG if recording else RestLag(int(settings.rest_lag * 1000), settings.seed, since_ms)
        exchange = Exchange(source, ledger, clock, fresh, faults, lag)
        if settings.scenario:
            exchange.play(scenario.load(settings.scenario, exchange.codes, exchange.replayed))
        return exchange
    except BaseException:
        ledger.close()
        raise


Made = tuple[Source, ExchangeClock]


def _replay(settings: Settings, recording: Recording, ledger: CheckpointedLedger, wall_ms: Callable[[], float]) -> Made:
    source = Replay(recording, ledger.board.total)
    start = settings.start_ms if settings.start_ms is not None and not ledger.board.entries else source.next_ms
    return source, ExchangeClock(wall_ms, start, settings.speed)


def _market(settings: Settings, ledger: CheckpointedLedger, wall_ms: Callable[[], float]) -> Made:
    board = ledger.board
    start = settings.start_ms
    resumed = bool(board.entries)
    if resumed and start is not None:
        start = max(start, board.newest_ms)
    opened = start if start is not None else int(wall_ms())
    markets = listing.markets(settings.codes)
    # What was listed at run time is still listed after a restart.
    known = {market.code for market in markets}
    markets += [listing.further(code) for code in dict.fromkeys(code for _, code in board.last) if code not in known]
    market = LocalMarket(markets, settings.rate, settings.seed, opened, TRADE_PRICES[settings.trade_prices])
    # All of them at first; after a start that was killed in the middle of writing them, the rest.
    initial = [event for event in market.initial() if (event.stream, event.code) not in board.last]
    if resumed:
        market.restore(board.last, board.history, board.entries)
        market.begin(opened)
    ledger.record("initial", initial)
    return market, ExchangeClock(wall_ms, start, settings.speed)
