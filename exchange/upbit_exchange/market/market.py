"""The local market draws believable events in exchange time from a seed. No clock, no socket, no file.

Hot and quiet codes by a Zipf-like weight, prices that walk on the KRW tick grid because orders at the best levels are
cancelled, improved and consumed, books of 30 levels, trades at the book's best price. The sequence of events depends
on seed, start, codes and rate only: never on how often or how late `take` is called.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate

import msgspec

from upbit_exchange.market.book import DEPTH, Book, Side, down, on_grid, up
from upbit_exchange.market.history import History, Trade
from upbit_exchange.market.listing import Market
from upbit_exchange.market.tape import Tape, TradePriceSpelling
from upbit_exchange.wire import frames
from upbit_exchange.wire.names import STREAMS, Channel, Event
from upbit_exchange.wire.spelling import UNIT

TRADE_SHARE, TICKER_SHARE = 0.15, 0.25
PUBLISH_DELAY_MS = (36, 58)
BOOK_GRID_MS = 100
NEW_SHARE = 0.5  # a market that was just listed is traded like the first one
MIN_ORDER_KRW = 5_000
MAX_SIZE = 10**11 * UNIT  # in 1e-8; a market of 0.0008 KRW would otherwise show sizes that no client's column takes

Published = Mapping[tuple[Channel, str], Event]


class _Code:
    """One market's moving state."""

    __slots__ = ("anchor", "book", "book_ms", "phase", "tape", "ticker_key")

    def __init__(self, tape: Tape, book: Book, phase: int) -> None:
        self.tape = tape
        self.book = book
        self.phase = phase
        self.anchor = tape.last.price
        self.book_ms = 0
        self.ticker_key = (0, -1)


class LocalMarket:
    """The source of a market's events. `rate` = events a second of exchange time over all codes and streams."""

    ended = False

    def __init__(
        self, markets: Sequence[Market], rate: float, seed: int, start_ms: int, trade_price: TradePriceSpelling
    ) -> None:
        self.markets = list(markets)
        self._rate = rate / 1000
        self._seed = seed
        self._trade_price = trade_price
        self._random = random.Random(f"{seed}")
        self.quiet: Collection[str] = ()  # codes in which nothing is traded now
        self._shares = [1 / (rank + 2) for rank in range(len(self.markets))]
        self._weights = list(accumulate(self._shares))
        self._codes = [self._open(rank, market, start_ms) for rank, market in enumerate(self.markets)]
        self.begin(start_ms)

    # --- beginning -------------------------------------------------------------------------------------------------

    def begin(self, ms: int) -> None:
        """The market's events follow from `ms` on. The first ones come late enough for their match to lie after it."""
        self._next = ms + PUBLISH_DELAY_MS[1] + 1 + self._random.expovariate(self._rate)

    def initial(self) -> list[Event]:
        """Returns every code's state before its first event: last trade, ticker, book, stamped before the start."""
        return [event for code in self._codes for event in _first_shown(code)]

    def restore(self, last: Published, history: History, published: int) -> None:
        """Goes on from what was published before: the `last` event of each stream and code and all trades.

        The draws that follow depend on the seed and on how much was published.
        """
        self._random = random.Random(f"{self._seed}:{published}")
        for code in self._codes:
            name = code.tape.code
            if all((stream, name) in last for stream in STREAMS):
                _restore(code, last, history, self._trade_price)

    # --- listing while it runs -------------------------------------------------------------------------------------

    def list_market(self, market: Market, now: int, last: Published, history: History) -> list[Event]:
        """Lists a further market, much traded from `now` (ms) on; returns its state before its first event.

        One that was listed before goes on from its `last` events and trades, and shows nothing new.
        """
        code = self._open(0, market, now)
        self.markets.append(market)
        self._codes.append(code)
        self._shares.append(NEW_SHARE)
        self._weights = list(accumulate(self._shares))
        if all((stream, market.code) in last for stream in STREAMS):
            _restore(code, last, history, self._trade_price)
            return []
        return _first_shown(code)

    def delist_market(self, name: str) -> None:
        """The market publishes nothing more of this code."""
        index = [market.code for market in self.markets].index(name)
        del self.markets[index], self._codes[index], self._shares[index]
        self._weights = list(accumulate(self._shares))

    def _open(self, rank: int, market: Market, start_ms: int) -> _Code:
        draw = self._random
        price = market.price or int(10 ** draw.uniform(0.7, 4.3) * UNIT)
        price = on_grid(int(price * draw.uniform(0.97, 1.03)))
        close = on_grid(int(price * draw.uniform(0.95, 1.05)))
        quiet_ms = int(draw.uniform(1_000, 2_000) + 30_000 * draw.random() * rank)
        ms = start_ms - min(quiet_ms, 7_200_000)
        book = Book()
        for side, step in ((book.asks, up), (book.bids, down)):
            level = step(price) if side is book.asks else price
            for index in range(DEPTH):
                side.insert(index, level, self._size(level))
                level = step(level) if draw.random() < 0.8 else step(step(level))
        first = Trade(ms, price, self._volume(price), "ASK", ms * 10_000)
        return _Code(Tape(market.code, close, first, self._trade_price), book, draw.randrange(BOOK_GRID_MS))

    # --- going on --------------------------------------------------------------------------------------------------

    def take(self, until_ms: int, limit: int) -> list[Event]:
        """Returns the events due up to `until_ms`, at most `limit`, in order of publication."""
        events: list[Event] = []
        while self._next <= until_ms and len(events) < limit:
            now = int(self._next)
            self._next += self._random.expovariate(self._rate)
            kind = self._random.random()
            if not self._codes:
                continue
            if kind < TRADE_SHARE:
                code = self._pick()
                events.append(self._change_book(now) if code.tape.code in self.quiet else self._trade(code, now))
            elif kind < TRADE_SHARE + TICKER_SHARE:
                events.append(self._ticker(self._pick(), now))
            else:
                events.append(self._change_book(now))
        return events

    def further(self, now: int, count: int, name: str | None = None, same_ms: bool = False) -> list[Event]:
        """Returns further trades at `now`, of `code` if it is given; `same_ms`: of one code in a millisecond."""
        code = self._named(name)
        if code is None:
            return []
        events = [self._trade(code, now)]
        for _ in range(count - 1):
            code = code if same_ms or name else self._pick()
            events.append(self._trade(code, now, code.tape.last.ms if same_ms else None))
        return events

    def twins(self, now: int, name: str | None = None) -> list[Event]:
        """Returns two trades of two codes with the same sequential_id, as on the wire; none with a single code."""
        code = self._named(name)
        if code is None or len(self._codes) < 2:
            return []
        events, last = [self._trade(code, now)], code.tape.last
        for other in reversed(self._codes):
            if other.tape.last.sequential_id < last.sequential_id:
                return [*events, self._trade(other, now, last.ms, last.sequential_id)]
        return events

    def _named(self, name: str | None) -> _Code | None:
        named = (code for code in self._codes if code.tape.code == name)
        return next(named, None) if name else self._pick() if self._codes else None

    def _pick(self) -> _Code:
        return self._codes[bisect_left(self._weights, self._random.random() * self._weights[-1])]

    def _trade(self, code: _Code, now: int, ms: int | None = None, sequential_id: int | None = None) -> Event:
        """A trade published at `now`, matched at `ms`; both times and id are the market's own if not given."""
        draw, tape = self._random, code.tape
        if ms is None:
            ms = max(now - draw.randint(*PUBLISH_DELAY_MS), tape.last.ms)
        buys = draw.random() < self._buy_share(code)
        side = code.book.asks if buys else code.book.bids
        price = side.prices[0]
        volume = min(self._volume(price), side.sizes[0])
        tape.add(Trade(ms, price, volume, "BID" if buys else "ASK", sequential_id or tape.next_id(ms)))
        if volume == side.sizes[0]:
            self._drop_best(side)
        else:
            side.resize(0, side.sizes[0] - volume)
        return tape.trade_event(now, code.book)

    def _ticker(self, code: _Code, now: int) -> Event:
        tape = code.tape
        # A trade that is published later was matched after this moment: the day rolls only then.
        tape.roll(now - PUBLISH_DELAY_MS[1])
        volume = tape.ask_volume + tape.bid_volume
        stamp, shown = code.ticker_key
        now = max(now, stamp + 1 if volume == shown else stamp)
        code.ticker_key = (now, volume)
        return tape.ticker_event(now)

    def _change_book(self, now: int) -> Event:
        code = self._pick()
        for _ in range(3):
            if _grid(code, now) > code.book_ms:
                break
            code = self._pick()
        for _ in range(self._random.randint(1, 3)):
            self._act(code)
        stamp = _grid(code, now)
        return _book(code, stamp if stamp > code.book_ms else max(now, code.book_ms + 1))

    def _act(self, code: _Code) -> None:
        draw = self._random
        action, ask = draw.random(), draw.random() < self._buy_share(code)
        asks, bids = code.book.asks, code.book.bids
        side = asks if ask else bids
        if action < 0.08:
            self._drop_best(side)
        elif action < 0.25 and up(bids.prices[0]) < asks.prices[0]:
            # The other way round than a cancelled best ask, which lifts the price: a better bid lifts it too.
            better = up(bids.prices[0]) if ask else down(asks.prices[0])
            (bids if ask else asks).insert(0, better, self._size(better))
        else:
            index = min(int(draw.expovariate(0.15)), DEPTH - 1)
            side.resize(index, self._size(side.prices[index]))

    def _drop_best(self, side: Side) -> None:
        side.remove(0)
        price = side.deeper(1 if self._random.random() < 0.8 else 2)
        side.insert(DEPTH - 1, price, self._size(price))

    def _buy_share(self, code: _Code) -> float:
        """Probability of an upward move: a half at the anchor, leaning back to it when the price strayed."""
        strayed = code.tape.last.price / code.anchor - 1
        return 0.5 - max(-0.35, min(0.35, strayed * 8))

    def _size(self, price: int) -> int:
        return self._worth(self._random.lognormvariate(15.0, 1.4), price)

    def _volume(self, price: int) -> int:
        return self._worth(self._random.lognormvariate(11.5, 1.6) + MIN_ORDER_KRW, price)

    def _worth(self, krw: float, price: int) -> int:
        return min(max(int(krw * UNIT) * UNIT // price, 1), MAX_SIZE)


def _grid(code: _Code, now: int) -> int:
    """Books of busy markets are stamped on a 100 ms grid with a phase per market."""
    return now - (now - code.phase) % BOOK_GRID_MS


def _first_shown(code: _Code) -> list[Event]:
    shown = code.tape.last.ms + PUBLISH_DELAY_MS[0]
    code.book_ms = shown
    code.ticker_key = (shown, code.tape.ask_volume + code.tape.bid_volume)
    events = (code.tape.trade_event(shown, code.book), code.tape.ticker_event(shown), _book(code, shown))
    return [msgspec.structs.replace(event, frame=frames.snapshot(event.frame)) for event in events]


def _book(code: _Code, stamp: int) -> Event:
    code.book_ms = stamp
    name = code.tape.code
    return Event("orderbook", name, {"code": name, "timestamp": str(stamp)}, stamp, code.book.frame(name, stamp))


def _restore(code: _Code, last: Published, history: History, trade_price: TradePriceSpelling) -> None:
    name = code.tape.code
    trades = list(history.trades(name))
    tape = Tape(name, history.first_close(name), trades[0], trade_price)
    for trade in trades[1:]:
        tape.add(trade)
    ticker, book = last["ticker", name], last["orderbook", name]
    code.tape = tape
    code.anchor = tape.close
    code.book = _restored_book(book, code.book)
    code.book_ms = book.time
    code.ticker_key = (ticker.time, tape.ask_volume + tape.bid_volume)


def _restored_book(last: Event, fresh: Book) -> Book:
    """The book that was published last; the fresh one where a fault had emptied it."""
    book = Book()
    book.load(frames.units(frames.fields(last.frame)["orderbook_units"]))
    whole = all(len(side.prices) == DEPTH and all(side.prices) for side in (book.asks, book.bids))
    return book if whole else fresh
